"""The measurements in docs/benchmarks.md, and the programs that the image is compared with."""
