"""Instance files, their index, and DICOM matching: one implementation for the local store and every test PACS."""
