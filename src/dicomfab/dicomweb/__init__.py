"""DICOMweb (PS3.18): searches, retrieves, renders, stores, deletes; no web framework, values in, values out."""
