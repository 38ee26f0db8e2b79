"""Export a trained model as a C library for other firmware."""
