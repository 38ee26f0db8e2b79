"""A trained model as a C library for somebody's own firmware."""
