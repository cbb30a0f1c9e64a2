"""HL7 v2 text to orders. Pure: no files, no sockets."""
