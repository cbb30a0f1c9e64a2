"""The DICOM file header of PS3.10 7.1: preamble, prefix and File Meta Information.

Pure bytes, so that everything that writes an instance (archive, exports) writes the same header for it.
"""

from __future__ import annotations

import struct

# A UID root derived from a fixed UUID (PS3.5 B.2); the last component is the version of the writer.
IMPLEMENTATION_CLASS_UID = "2.25.317286492134521853903467106275189842817.1"
IMPLEMENTATION_VERSION_NAME = "DICOMFAB_1"


def pad_uid(text: str) -> bytes:
    """Encode a UID to even length with a trailing NUL (PS3.5 9.1)."""
    raw = text.encode("ascii")
    return raw + b"\0" if len(raw) % 2 else raw


def file_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """The 128-byte preamble, ``DICM`` and group 0002, explicit VR little endian.

    Returns:
        What comes before the data set in a DICOM file; the same arguments give the same bytes.
    """
    version_name = IMPLEMENTATION_VERSION_NAME.encode("ascii")
    elements = (
        struct.pack("<HH2s2xI2s", 0x0002, 0x0001, b"OB", 2, b"\0\1")
        + _short(0x0002, b"UI", pad_uid(sop_class_uid))
        + _short(0x0003, b"UI", pad_uid(sop_instance_uid))
        + _short(0x0010, b"UI", pad_uid(transfer_syntax_uid))
        + _short(0x0012, b"UI", pad_uid(IMPLEMENTATION_CLASS_UID))
        + _short(0x0013, b"SH", version_name + b" " * (len(version_name) % 2))
    )
    group_length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(elements))
    return bytes(128) + b"DICM" + group_length + elements


def _short(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value
