"""The lab's test PACS servers: real DICOM servers on this machine, each with its archive and a web page."""
