"""Values and errors of the domain. No I/O, and nothing but the standard library."""
