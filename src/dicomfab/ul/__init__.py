"""The DICOM upper layer (PS3.8) without a socket: PDUs, the state machine, and the negotiation of contexts.

Bytes go in, events come out; requests go in, what to send comes out. Whoever owns the socket and the clock drives it::

    layer = UpperLayer(Role.REQUESTOR)
    layer.associate(request)              # A-ASSOCIATE request primitive
    layer.connected()                     # the transport connection is there
    send(layer.data_to_send())
    while ...:
        count = receive_into(layer.get_buffer())
        for event in layer.received(count):
            ...

Nothing here reads a clock, opens a file or knows a thread, so every path of it can be tested byte by byte. Only the
standard library's values are imported.
"""

from dicomfab.ul.errors import LocalProtocolError, ProtocolError
from dicomfab.ul.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    ConnectionLost,
    Event,
    Fragment,
    ProtocolViolated,
    Released,
    ReleaseRequested,
    RequestRefused,
)
from dicomfab.ul.layer import Role, UpperLayer
from dicomfab.ul.pdata import Chunk, FileRange
from dicomfab.ul.pdu import (
    Abort,
    AssociateAC,
    AssociateRJ,
    AssociateRQ,
    ContextResult,
    PresentationContext,
    ReleaseRP,
    ReleaseRQ,
)
from dicomfab.ul.states import State
from dicomfab.ul.user_information import (
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)

__all__ = [
    "Abort",
    "Aborted",
    "AssociateAC",
    "AssociateRJ",
    "AssociateRQ",
    "AssociationAccepted",
    "AssociationRejected",
    "AssociationRequested",
    "AsynchronousOperations",
    "Chunk",
    "CommonExtendedNegotiation",
    "ConnectionLost",
    "ContextResult",
    "Event",
    "ExtendedNegotiation",
    "FileRange",
    "Fragment",
    "LocalProtocolError",
    "PresentationContext",
    "ProtocolError",
    "ProtocolViolated",
    "ReleaseRP",
    "ReleaseRQ",
    "ReleaseRequested",
    "Released",
    "RequestRefused",
    "Role",
    "RoleSelection",
    "State",
    "UpperLayer",
    "UserIdentity",
    "UserInformation",
]
