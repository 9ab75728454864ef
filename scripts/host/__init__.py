"""The machine that runs `./ship`: Docker engine, Debian packages, emulation, base images, local registries."""
