"""Sockets, TLS and deadlines below an association. Nothing here knows what DICOM says."""
