"""The asking side: one file per DIMSE service."""
