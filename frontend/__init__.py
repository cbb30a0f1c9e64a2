"""Makes what the pages load, when the package is built; no part of it."""
