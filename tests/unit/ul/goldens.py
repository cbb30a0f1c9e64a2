"""PDUs written byte by byte from PS3.8 section 9.3 and PS3.7 annex D.3.3, beside the values that they stand for."""

from __future__ import annotations

from dicomfab.ul import (
    Abort,
    AssociateAC,
    AssociateRJ,
    AssociateRQ,
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ContextResult,
    ExtendedNegotiation,
    PresentationContext,
    ReleaseRP,
    ReleaseRQ,
    RoleSelection,
    UserIdentity,
    UserInformation,
)

ASSOCIATE_RQ = AssociateRQ(
    called_ae_title="ANY-SCP",
    calling_ae_title="ECHOSCU",
    contexts=(
        PresentationContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")),
        PresentationContext(3, "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2",)),
    ),
    user=UserInformation(
        max_pdu_length=16384,
        implementation_class_uid="1.2.3.4",
        implementation_version_name="FABRICATOR_01",
        asynchronous_operations=AsynchronousOperations(invoked=8, performed=4),
        roles=(RoleSelection("1.2.840.10008.5.1.4.1.1.2", scu=False, scp=True),),
        extended=(ExtendedNegotiation("1.2.840.10008.5.1.4.1.2.2.1", b"\x01\x00\x01"),),
        common_extended=(
            CommonExtendedNegotiation(
                "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.4.2", ("1.2.840.10008.5.1.4.1.1.88.33",)
            ),
        ),
        identity=UserIdentity(kind=2, primary=b"nurse", secondary=b"secret", response_requested=True),
    ),
)
ASSOCIATE_RQ_BYTES = (
    b"\x01\x00"  # A-ASSOCIATE-RQ, reserved
    b"\x00\x00\x01\xc1"  # PDU length: 449
    b"\x00\x01"  # protocol version: bit 0
    b"\x00\x00"  # reserved
    b"ANY-SCP         "  # called AE title, 16 bytes
    b"ECHOSCU         "  # calling AE title, 16 bytes
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"  # reserved, 32 bytes
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    # application context item
    b"\x10\x00"  # item type 10H, reserved
    b"\x00\x15"  # item length: 21
    b"1.2.840.10008.3.1.1.1"  # DICOM application context name
    # presentation context item
    b"\x20\x00"  # item type 20H, reserved
    b"\x00\x45"  # item length: 69
    b"\x01\x00\x00\x00"  # presentation context ID: 1, three reserved bytes
    b"\x30\x00"  # abstract syntax sub-item, reserved
    b"\x00\x11"  # item length: 17
    b"1.2.840.10008.1.1"  # Verification
    b"\x40\x00"  # transfer syntax sub-item, reserved
    b"\x00\x11"  # item length: 17
    b"1.2.840.10008.1.2"  # implicit VR little endian
    b"\x40\x00"  # transfer syntax sub-item, reserved
    b"\x00\x13"  # item length: 19
    b"1.2.840.10008.1.2.1"  # explicit VR little endian
    # presentation context item
    b"\x20\x00"  # item type 20H, reserved
    b"\x00\x36"  # item length: 54
    b"\x03\x00\x00\x00"  # presentation context ID: 3, three reserved bytes
    b"\x30\x00"  # abstract syntax sub-item, reserved
    b"\x00\x19"  # item length: 25
    b"1.2.840.10008.5.1.4.1.1.2"  # CT Image Storage
    b"\x40\x00"  # transfer syntax sub-item, reserved
    b"\x00\x11"  # item length: 17
    b"1.2.840.10008.1.2"  # implicit VR little endian
    # user information item
    b"\x50\x00"  # item type 50H, reserved
    b"\x00\xdd"  # item length: 221
    b"\x51\x00"  # maximum length sub-item, reserved
    b"\x00\x04"  # item length: 4
    b"\x00\x00\x40\x00"  # 16384
    b"\x52\x00"  # implementation class UID sub-item, reserved
    b"\x00\x07"  # item length: 7
    b"1.2.3.4"
    b"\x53\x00"  # asynchronous operations window sub-item, reserved
    b"\x00\x04"  # item length: 4
    b"\x00\x08"  # maximum number of operations invoked: 8
    b"\x00\x04"  # maximum number of operations performed: 4
    b"\x54\x00"  # SCP/SCU role selection sub-item, reserved
    b"\x00\x1d"  # item length: 29
    b"\x00\x19"  # UID length: 25
    b"1.2.840.10008.5.1.4.1.1.2"  # CT Image Storage
    b"\x00"  # SCU role: no
    b"\x01"  # SCP role: yes
    b"\x55\x00"  # implementation version name sub-item, reserved
    b"\x00\x0d"  # item length: 13
    b"FABRICATOR_01"
    b"\x56\x00"  # SOP class extended negotiation sub-item, reserved
    b"\x00\x20"  # item length: 32
    b"\x00\x1b"  # SOP class UID length: 27
    b"1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve - FIND
    b"\x01\x00\x01"  # service class application information
    b"\x57\x00"  # SOP class common extended negotiation sub-item, version 0
    b"\x00\x53"  # item length: 83
    b"\x00\x1d"  # SOP class UID length: 29
    b"1.2.840.10008.5.1.4.1.1.88.22"  # Enhanced SR Storage
    b"\x00\x11"  # service class UID length: 17
    b"1.2.840.10008.4.2"  # Storage Service Class
    b"\x00\x1f"  # related general SOP class identification length: 31
    b"\x00\x1d"  # related general SOP class UID length: 29
    b"1.2.840.10008.5.1.4.1.1.88.33"  # Comprehensive SR Storage
    b"\x58\x00"  # user identity sub-item, reserved
    b"\x00\x11"  # item length: 17
    b"\x02"  # user identity type: user name and passcode
    b"\x01"  # positive response requested: yes
    b"\x00\x05"  # primary field length: 5
    b"nurse"
    b"\x00\x06"  # secondary field length: 6
    b"secret"
)

ASSOCIATE_AC = AssociateAC(
    called_ae_title="ANY-SCP",
    calling_ae_title="ECHOSCU",
    results=(ContextResult(1, 0, "1.2.840.10008.1.2"), ContextResult(3, 4, "1.2.840.10008.1.2")),
    user=UserInformation(
        max_pdu_length=0,
        implementation_class_uid="1.2.3.5",
        implementation_version_name="FABRICATOR_01",
        asynchronous_operations=AsynchronousOperations(invoked=1, performed=1),
        roles=(RoleSelection("1.2.840.10008.5.1.4.1.1.2", scu=False, scp=True),),
        extended=(ExtendedNegotiation("1.2.840.10008.5.1.4.1.2.2.1", b"\x01\x00\x01"),),
        identity_response=b"yes",
    ),
)
ASSOCIATE_AC_BYTES = (
    b"\x02\x00"  # A-ASSOCIATE-AC, reserved
    b"\x00\x00\x01\x15"  # PDU length: 277
    b"\x00\x01"  # protocol version: bit 0
    b"\x00\x00"  # reserved
    b"ANY-SCP         "  # reserved: the called AE title of the request
    b"ECHOSCU         "  # reserved: the calling AE title of the request
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"  # reserved: 32 bytes of the request
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    # application context item
    b"\x10\x00"  # item type 10H, reserved
    b"\x00\x15"  # item length: 21
    b"1.2.840.10008.3.1.1.1"  # DICOM application context name
    # presentation context item
    b"\x21\x00"  # item type 21H, reserved
    b"\x00\x19"  # item length: 25
    b"\x01\x00"  # presentation context ID: 1, reserved
    b"\x00\x00"  # result: acceptance, reserved
    b"\x40\x00"  # transfer syntax sub-item, reserved
    b"\x00\x11"  # item length: 17
    b"1.2.840.10008.1.2"  # implicit VR little endian
    # presentation context item
    b"\x21\x00"  # item type 21H, reserved
    b"\x00\x19"  # item length: 25
    b"\x03\x00"  # presentation context ID: 3, reserved
    b"\x04\x00"  # result: transfer syntaxes not supported, reserved
    b"\x40\x00"  # transfer syntax sub-item, not significant
    b"\x00\x11"  # item length: 17
    b"1.2.840.10008.1.2"
    # user information item
    b"\x50\x00"  # item type 50H, reserved
    b"\x00\x7a"  # item length: 122
    b"\x51\x00"  # maximum length sub-item, reserved
    b"\x00\x04"  # item length: 4
    b"\x00\x00\x00\x00"  # no limit
    b"\x52\x00"  # implementation class UID sub-item, reserved
    b"\x00\x07"  # item length: 7
    b"1.2.3.5"
    b"\x53\x00"  # asynchronous operations window sub-item, reserved
    b"\x00\x04"  # item length: 4
    b"\x00\x01"  # maximum number of operations invoked: 1
    b"\x00\x01"  # maximum number of operations performed: 1
    b"\x54\x00"  # SCP/SCU role selection sub-item, reserved
    b"\x00\x1d"  # item length: 29
    b"\x00\x19"  # UID length: 25
    b"1.2.840.10008.5.1.4.1.1.2"  # CT Image Storage
    b"\x00"  # SCU role: not accepted
    b"\x01"  # SCP role: accepted
    b"\x55\x00"  # implementation version name sub-item, reserved
    b"\x00\x0d"  # item length: 13
    b"FABRICATOR_01"
    b"\x56\x00"  # SOP class extended negotiation sub-item, reserved
    b"\x00\x20"  # item length: 32
    b"\x00\x1b"  # SOP class UID length: 27
    b"1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve - FIND
    b"\x01\x00\x01"  # service class application information
    b"\x59\x00"  # user identity sub-item of the answer, reserved
    b"\x00\x05"  # item length: 5
    b"\x00\x03"  # server response length: 3
    b"yes"
)

ASSOCIATE_RJ = AssociateRJ(result=1, source=1, reason=7)
ASSOCIATE_RJ_BYTES = (
    b"\x03\x00"  # A-ASSOCIATE-RJ, reserved
    b"\x00\x00\x00\x04"  # PDU length: 4
    b"\x00"  # reserved
    b"\x01"  # result: rejected permanent
    b"\x01"  # source: service user
    b"\x07"  # reason: called AE title not recognized
)

RELEASE_RQ = ReleaseRQ()
RELEASE_RQ_BYTES = (
    b"\x05\x00"  # A-RELEASE-RQ, reserved
    b"\x00\x00\x00\x04"  # PDU length: 4
    b"\x00\x00\x00\x00"  # reserved
)

RELEASE_RP = ReleaseRP()
RELEASE_RP_BYTES = (
    b"\x06\x00"  # A-RELEASE-RP, reserved
    b"\x00\x00\x00\x04"  # PDU length: 4
    b"\x00\x00\x00\x00"  # reserved
)

ABORT = Abort(source=2, reason=6)
ABORT_BYTES = (
    b"\x07\x00"  # A-ABORT, reserved
    b"\x00\x00\x00\x04"  # PDU length: 4
    b"\x00\x00"  # reserved
    b"\x02"  # source: service provider
    b"\x06"  # reason: invalid PDU parameter value
)

ECHO_COMMAND = (
    b"\x00\x00\x00\x00\x04\x00\x00\x00\x38\x00\x00\x00"  # (0000,0000) UL command group length: 56
    b"\x00\x00\x02\x00\x12\x00\x00\x00"  # (0000,0002) UI affected SOP class UID, 18 bytes
    b"1.2.840.10008.1.1\x00"  # Verification
    b"\x00\x00\x00\x01\x02\x00\x00\x00\x30\x00"  # (0000,0100) US command field: C-ECHO-RQ
    b"\x00\x00\x10\x01\x02\x00\x00\x00\x01\x00"  # (0000,0110) US message ID: 1
    b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x01"  # (0000,0800) US command data set type: none
)
ECHO_BYTES = (
    b"\x04\x00"  # P-DATA-TF, reserved
    b"\x00\x00\x00\x4a"  # PDU length: 74
    b"\x00\x00\x00\x46"  # presentation data value length: 70
    b"\x01"  # presentation context ID: 1
    b"\x03" + ECHO_COMMAND  # message control header: command, last fragment
)

# A peer that takes PDUs of 16 bytes: fragments of at most 10.
DATA = b"\x08\x00\x52\x00CS\x06\x00STUDY \x10\x00\x10\x00PN\x00\x00"
DATA_BYTES = (
    b"\x04\x00"  # P-DATA-TF, reserved
    b"\x00\x00\x00\x0a"  # PDU length: 10
    b"\x00\x00\x00\x06"  # presentation data value length: 6
    b"\x03"  # presentation context ID: 3
    b"\x03"  # message control header: command, last fragment
    b"\x00\x00\x00\x00"
    b"\x04\x00"  # P-DATA-TF, reserved
    b"\x00\x00\x00\x10"  # PDU length: 16
    b"\x00\x00\x00\x0c"  # presentation data value length: 12
    b"\x03"  # presentation context ID: 3
    b"\x00"  # message control header: data set, not the last fragment
    b"\x08\x00\x52\x00CS\x06\x00ST"
    b"\x04\x00"  # P-DATA-TF, reserved
    b"\x00\x00\x00\x10"  # PDU length: 16
    b"\x00\x00\x00\x0c"  # presentation data value length: 12
    b"\x03"  # presentation context ID: 3
    b"\x00"  # message control header: data set, not the last fragment
    b"UDY \x10\x00\x10\x00PN"
    b"\x04\x00"  # P-DATA-TF, reserved
    b"\x00\x00\x00\x08"  # PDU length: 8
    b"\x00\x00\x00\x04"  # presentation data value length: 4
    b"\x03"  # presentation context ID: 3
    b"\x02"  # message control header: data set, last fragment
    b"\x00\x00"
)

# Command and data in one PDU, as some peers send them, the data going on in a second one.
MIXED_BYTES = (
    b"\x04\x00"  # P-DATA-TF, reserved
    b"\x00\x00\x00\x14"  # PDU length: 20
    b"\x00\x00\x00\x06"  # presentation data value length: 6
    b"\x03"  # presentation context ID: 3
    b"\x03"  # message control header: command, last fragment
    b"abcd"
    b"\x00\x00\x00\x06"  # presentation data value length: 6
    b"\x03"  # presentation context ID: 3
    b"\x00"  # message control header: data set, not the last fragment
    b"efgh"
    b"\x04\x00"  # P-DATA-TF, reserved
    b"\x00\x00\x00\x0e"  # PDU length: 14
    b"\x00\x00\x00\x02"  # presentation data value length: 2, no data
    b"\x03"  # presentation context ID: 3
    b"\xfc"  # message control header: data set, not the last fragment; bits 2 to 7 are not to be checked
    b"\x00\x00\x00\x04"  # presentation data value length: 4
    b"\x03"  # presentation context ID: 3
    b"\x02"  # message control header: data set, last fragment
    b"ij"
)
