"""Which boards there are, how a firmware for one is built, and emulated ones that run."""
