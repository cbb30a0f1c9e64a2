"""What a modality makes of a body: pixels, and nothing about DICOM attributes."""
