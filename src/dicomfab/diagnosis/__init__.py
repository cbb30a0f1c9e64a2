"""Why DICOM fails: what was tried and seen as values, the knowledge as data, and the ranking of causes. No I/O."""
