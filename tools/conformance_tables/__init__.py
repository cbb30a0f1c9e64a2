"""The tables of the conformance statement, each from the modules that do what it says."""
