"""The client's side of DICOMweb (PS3.18 section 10): QIDO-RS, WADO-RS and STOW-RS of one server, streamed."""
