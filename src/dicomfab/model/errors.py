"""Every failure the product can report, as one tree.

::

    DicomFabError
    ├── InvalidInput            caller: a value that cannot be used (names the field)
    ├── NotFound                caller: no such server, study, file
    ├── Conflict                caller: already there, or two things that cannot both be
    ├── NotSignedIn             caller: who asks is not known, or could not prove it
    │   ├── RenewalNeeded           what an identity provider said is too old; its browser has to go there again
    │   ├── CodeNeeded              the password was right; the code of the second factor is missing
    │   └── TooManyAttempts         wait before the next one
    ├── AccessDenied            caller: the policy table says no
    ├── ConfirmationRequired    caller: allowed, but production wants an explicit yes
    ├── RouteMissing            caller: no C-MOVE route; nothing was sent
    ├── Recorded                any of them, read from where it was written down
    ├── PeerError               the other side, or the road to it
    │   ├── ConnectionFailed        TCP: refused, unreachable, name unknown, no answer
    │   │   └── TlsFailed               connected, but not securely (PS3.15 annex B)
    │   ├── AssociationRejected     A-ASSOCIATE-RJ (PS3.8 9.3.4)
    │   ├── AssociationAborted      A-ABORT (PS3.8 9.3.8)
    │   │   ├── ConnectionLost          the connection was dropped without one
    │   │   └── ProtocolViolation       what came is not what the protocol allows; we hung up
    │   ├── PeerTimeout             connected, then silence
    │   ├── ContextRejected         no usable presentation context (PS3.8 9.3.3.2)
    │   ├── AnswerIncomplete        a query was answered, but not with everything that there is
    │   ├── StatusFailure           a DIMSE response with a failure status (PS3.7 annex C)
    │   └── HttpFailure             a DICOMweb response with a failure status (PS3.18 8.5)
    ├── DirectoryUnavailable    nobody could be asked who somebody is; that lets nobody in
    └── LocalFailure            us: this machine, this installation
        ├── DiskFull                work waits until there is space again
        ├── InstanceUnreadable      the file of an instance cannot be read, or not to its end
        ├── PortInUse
        ├── SetupMissing
        ├── TransferIncomplete      not everything arrived, whatever was answered
        ├── TranscodingFailed       an instance that cannot be written in another transfer syntax
        └── Interrupted             the user, or a shutdown, stopped it

Two questions are answered by the class and its attributes: whose fault (``fault``) and is it worth trying again
(``transient``). Every error says what happened, the most likely cause and what to do.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar, Self


class Fault(enum.StrEnum):
    """Who has to act."""

    CALLER = "caller"
    PEER = "peer"
    US = "us"


class DicomFabError(Exception):
    """Base of every reported failure.

    Args:
        what: what happened, one sentence, with the names and numbers involved.
        cause: the most likely cause.
        remedy: what to do about it.
    """

    heading: str = "Failed"
    fault: ClassVar[Fault] = Fault.US
    transient: bool = False
    exit_code: int = 1
    #: Whether the audit log has an entry of it: a refusal passes several places, and is recorded once.
    is_recorded: bool = False

    def __init__(self, what: str, *, cause: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        """Heading, what happened, likely cause and remedy, one line each."""
        lines = [f"{self.heading}: {self.what}"]
        if self.cause:
            lines.append(f"  Likely cause: {self.cause}")
        if self.remedy:
            lines.append(f"  What to do:   {self.remedy}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for ``--json`` and the REST interface."""
        return {
            "error": type(self).__name__,
            "heading": self.heading,
            "what": self.what,
            "cause": self.cause,
            "remedy": self.remedy,
            "fault": str(self.fault),
            "transient": self.transient,
        }


class InvalidInput(DicomFabError):
    """A value from outside that cannot be used. Nothing was changed.

    Args:
        field: the parameter, column or JSON key at fault.
        value: the value as given, shown back to the user.
        source: the file or place it came from, if any.
    """

    heading = "Invalid input"
    fault = Fault.CALLER
    exit_code = 2

    def __init__(
        self, what: str, *, field: str = "", value: object = None, source: str = "", cause: str = "", remedy: str = ""
    ) -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.field = field
        self.value = value
        self.source = source

    def as_dict(self) -> dict[str, Any]:
        """Adds ``field``, ``value`` and ``source``."""
        return {**super().as_dict(), "field": self.field, "value": self.value, "source": self.source}


class NotFound(DicomFabError):
    """Something named does not exist."""

    heading = "Not found"
    fault = Fault.CALLER
    exit_code = 3


class Conflict(DicomFabError):
    """The request contradicts what is already there. Nothing was changed."""

    heading = "Conflict"
    fault = Fault.CALLER
    exit_code = 2


class NotSignedIn(DicomFabError):
    """Nobody that we know asks, or what was presented does not prove it.

    Args:
        what, cause, remedy: the same for every reason, so that nobody learns which names exist.
        reason: the true one, for the audit trail alone; it is in no text and in no JSON.
    """

    heading = "Not signed in"
    fault = Fault.CALLER
    exit_code = 5

    def __init__(self, what: str, *, reason: str = "", cause: str = "", remedy: str = "") -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.reason = reason


class RenewalNeeded(NotSignedIn):
    """What an identity provider said about somebody is too old: the browser has to go there again.

    Args:
        source: the provider.
    """

    def __init__(self, source: str, *, reason: str) -> None:
        super().__init__(
            "your sign-in has to be confirmed",
            reason=reason,
            cause="what the identity provider says about somebody's groups holds for 15 minutes",
            remedy="open the page again: the browser is sent there and back",
        )
        self.source = source


class CodeNeeded(NotSignedIn):
    """Name and password were right, and the account has a second factor: ask for its code."""

    heading = "Code needed"


class TooManyAttempts(NotSignedIn):
    """Too many attempts failed; nothing was checked.

    Args:
        what, cause, remedy, reason: as of :class:`NotSignedIn`.
        retry_after_s: seconds until the next attempt is looked at.
    """

    heading = "Too many attempts"
    transient = True

    def __init__(self, what: str, *, retry_after_s: int, reason: str = "", cause: str = "", remedy: str = "") -> None:
        super().__init__(what, reason=reason, cause=cause, remedy=remedy)
        self.retry_after_s = retry_after_s

    def as_dict(self) -> dict[str, Any]:
        """Adds ``retry_after_s``."""
        return {**super().as_dict(), "retry_after_s": self.retry_after_s}


class AccessDenied(DicomFabError):
    """The policy table does not allow it (see :mod:`dicomfab.access`)."""

    heading = "Not allowed"
    fault = Fault.CALLER
    exit_code = 5


class ConfirmationRequired(DicomFabError):
    """The role allows it, but writing to production wants an explicit yes first."""

    heading = "Confirmation needed"
    fault = Fault.CALLER
    exit_code = 5


class RouteMissing(DicomFabError):
    """There is no C-MOVE route between two servers; refused before anything was sent."""

    heading = "C-MOVE failed"
    fault = Fault.CALLER
    exit_code = 2


class PeerError(DicomFabError):
    """The peer, or the road to it, failed.

    ``code`` says in a word what was seen, for programs: ``refused``, ``1/1/3`` (PS3.8 table 9-21), ``A801``.
    """

    heading = "Connection failed"
    fault = Fault.PEER
    exit_code = 4
    code: str = ""

    def coded(self, code: str) -> Self:
        """The same error with its code."""
        self.code = code
        return self

    def as_dict(self) -> dict[str, Any]:
        """Adds ``code``."""
        return {**super().as_dict(), "code": self.code}


class ConnectionFailed(PeerError):
    """No TCP connection: refused, unreachable, name not known, or no answer in time."""

    transient = True


class TlsFailed(ConnectionFailed):
    """TCP connected, but no secure connection came about (PS3.15 annex B); nothing of DICOM was exchanged."""

    heading = "Secure connection failed"
    transient = False


class AssociationRejected(PeerError):
    """The peer answered A-ASSOCIATE-RJ (PS3.8 9.3.4).

    Args:
        result: 1 permanent, 2 transient.
        source: 1 service user, 2 ACSE provider, 3 presentation provider.
        reason: by source, table 9-21.
    """

    heading = "Association rejected"

    def __init__(self, what: str, *, result: int, source: int, reason: int, cause: str = "", remedy: str = "") -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.result = result
        self.source = source
        self.reason = reason
        self.transient = result == 2
        self.code = f"{result}/{source}/{reason}"
        if source == 1 and reason in (3, 7):
            self.heading = "AE Title not recognized"

    def as_dict(self) -> dict[str, Any]:
        """Adds the result, source and reason of the A-ASSOCIATE-RJ."""
        return {**super().as_dict(), "result": self.result, "source": self.source, "reason": self.reason}


class AssociationAborted(PeerError):
    """The peer sent A-ABORT (PS3.8 9.3.8), or the association ended as its subclasses say."""

    heading = "Association aborted"
    transient = True


class ConnectionLost(AssociationAborted):
    """The connection was closed or reset without A-ABORT and without A-RELEASE."""

    heading = "Connection lost"


class ProtocolViolation(AssociationAborted):
    """The peer sent what is not DICOM, or what the protocol does not allow; we aborted."""

    heading = "Protocol violation"
    transient = False


class PeerTimeout(PeerError):
    """The peer accepted the connection and then did not answer in time.

    Args:
        stage: what was waited for: ``association``, ``dimse`` (a response), ``pdu`` (the rest of a message),
            ``sending`` (the peer to read on), ``release`` or ``idle``.
        timeout_s: seconds waited.
    """

    transient = True

    def __init__(self, what: str, *, stage: str, timeout_s: float, cause: str = "", remedy: str = "") -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.stage = stage
        self.timeout_s = timeout_s
        self.code = f"timeout-{stage}"


class ContextRejected(PeerError):
    """The peer accepted none of the presentation contexts needed (PS3.8 9.3.3.2)."""

    heading = "Presentation context rejected"


class AnswerIncomplete(PeerError):
    """A query was answered with success or a warning, but not with everything that the peer holds."""

    heading = "Answer not complete"


class StatusFailure(PeerError):
    """A DIMSE response with a failure status (PS3.7 annex C).

    Args:
        operation: ``C-ECHO``, ``C-STORE``, ``C-FIND``, ``C-MOVE`` or ``C-GET``.
        status: the 16-bit status code.
        comment: the peer's ErrorComment (0000,0902), if it sent one.
    """

    def __init__(
        self, what: str, *, operation: str, status: int, comment: str = "", cause: str = "", remedy: str = ""
    ) -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.operation = operation
        self.status = status
        self.comment = comment
        self.heading = f"{operation} failed"
        self.transient = 0xA700 <= status <= 0xA7FF
        self.code = f"{status:04X}"

    def as_dict(self) -> dict[str, Any]:
        """Adds the operation, the status in hexadecimal and the peer's comment."""
        return {
            **super().as_dict(),
            "operation": self.operation,
            "status": f"{self.status:04X}",
            "comment": self.comment,
        }


class HttpFailure(PeerError):
    """A DICOMweb response with a failure status of HTTP (PS3.18 8.5).

    Args:
        operation: ``QIDO-RS``, ``WADO-RS`` or ``STOW-RS``.
        http_status: 300 or more.
    """

    def __init__(self, what: str, *, operation: str, http_status: int, cause: str = "", remedy: str = "") -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.operation = operation
        self.http_status = http_status
        self.heading = f"{operation} failed"
        self.transient = http_status in (408, 425, 429) or (http_status >= 500 and http_status not in (501, 505))
        self.code = f"http-{http_status}"

    @property
    def is_refusal(self) -> bool:
        """Whether the server does not do this, or not for us."""
        return (300 <= self.http_status < 500 and not self.transient) or self.http_status == 501

    def as_dict(self) -> dict[str, Any]:
        """Adds the operation and the status of HTTP."""
        return {**super().as_dict(), "operation": self.operation, "http_status": self.http_status}


class DirectoryUnavailable(DicomFabError):
    """A directory or an identity provider could not be asked, or not safely. Nobody is let in on doubt."""

    heading = "Sign-in is not possible now"
    fault = Fault.PEER
    transient = True
    exit_code = 4


class LocalFailure(DicomFabError):
    """Something on this machine is in the way."""

    fault = Fault.US
    heading = "Failed on our side"


class DiskFull(LocalFailure):
    """No space left on a disk of this machine; what was complete is kept, and the work can go on."""

    heading = "Disk full"


class InstanceUnreadable(LocalFailure):
    """The file of an instance cannot be read, or ended before the instance did; the peer did not get it."""

    heading = "Instance unreadable"


class PortInUse(LocalFailure):
    """A port that must be listened on belongs to another process."""

    heading = "Port in use"


class SetupMissing(LocalFailure):
    """A step of the installation has not been done yet."""

    heading = "Setup missing"


class TranscodingFailed(LocalFailure):
    """An instance cannot be written in another transfer syntax; nothing of it was written or sent."""

    heading = "Transcoding failed"


class TransferIncomplete(LocalFailure):
    """What should be at the destination is not all there, or was refused."""

    heading = "Not all arrived"
    fault = Fault.PEER
    exit_code = 6


class Interrupted(LocalFailure):
    """Stopped by the user or by a shutdown; what was done is stated."""

    heading = "Stopped"
    exit_code = 130


class Recorded(DicomFabError):
    """A failure of work that ran elsewhere or earlier, as it was written down.

    Args:
        values: what :meth:`DicomFabError.as_dict` gave.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(str(values["what"]), cause=str(values["cause"]), remedy=str(values["remedy"]))
        self.heading = str(values["heading"])
        self.transient = bool(values["transient"])
        kind = globals().get(str(values["error"]))
        self.exit_code = getattr(kind, "exit_code", 1)
        self._values = dict(values)

    def as_dict(self) -> dict[str, Any]:
        """As it was written down."""
        return dict(self._values)
