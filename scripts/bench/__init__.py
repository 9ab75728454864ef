"""The measurements of docs/benchmarks.md, and the programs that the image is measured beside."""
