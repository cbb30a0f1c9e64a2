"""Whether DICOM files are valid: David Clunie's validators, and our own rules for what they miss.

:func:`.run.validate` does it all; :mod:`.rules` has one function for each rule; :mod:`.external` runs dciodvfy and
dcentvfy; :mod:`.report` counts and groups.
"""
