"""DICOMweb (PS3.18): handlers for QIDO-RS, WADO-RS and STOW-RS that know no web framework. Values in, values out."""
