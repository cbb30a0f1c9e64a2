"""The doctor: runs the checks that tell causes apart, in order and within a time limit."""
