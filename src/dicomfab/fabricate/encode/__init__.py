"""Data sets to bytes, fast: what is the same in a whole series is encoded once."""
