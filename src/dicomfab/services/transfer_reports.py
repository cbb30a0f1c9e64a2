"""What transfers are asked for and what they report: values, without anything that is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydicom import Dataset

from dicomfab.archive.records import StoredInstance
from dicomfab.dimse.messages import Response
from dicomfab.dimse.scu.store import StoreOutcome
from dicomfab.dimse.status import CANCEL
from dicomfab.model.errors import DicomFabError, PeerError, StatusFailure
from dicomfab.model.query import Level
from dicomfab.model.suboperations import Suboperations
from dicomfab.model.values import uid
from dicomfab.services.progress import Cancelled, OnProgress, ignore, never
from dicomfab.services.verification import DEFAULT_WAIT_S, Verdict, doubted, not_proven


@dataclass(frozen=True, slots=True)
class Part:
    """What is retrieved: a study, or one series of it.

    Args:
        study_instance_uid: the study.
        series_instance_uid: the series; blank for all of them.
    """

    study_instance_uid: str
    series_instance_uid: str = ""

    def checked(self) -> Part:
        """Itself.

        Raises:
            InvalidInput: a UID that is none.
        """
        uid(self.study_instance_uid, field="study")
        if self.series_instance_uid:
            uid(self.series_instance_uid, field="series")
        return self

    def identifier(self) -> Dataset:
        """The identifier of a C-MOVE or C-GET: at its level, with the unique keys down to it (PS3.4 C.4.2.2.1)."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = str(Level.SERIES if self.series_instance_uid else Level.STUDY)
        identifier.StudyInstanceUID = self.study_instance_uid
        if self.series_instance_uid:
            identifier.SeriesInstanceUID = self.series_instance_uid
        return identifier

    def __str__(self) -> str:
        if self.series_instance_uid:
            return f"series {self.series_instance_uid} of study {self.study_instance_uid}"
        return f"study {self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class FailedInstance:
    """An instance that the peer did not take, and why."""

    sop_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What was asked, what the peer said and what was found afterwards.

    Args:
        operation: ``C-STORE``, ``C-MOVE`` or ``C-GET``; over DICOMweb ``STOW-RS`` or ``WADO-RS``.
        study_instance_uid: the study.
        source: name of where it came from.
        destination: name of where it went.
        instances: how many instances the transfer is about.
        accepted: how many the peer said that it took (completed plus warning); ``None`` if it did not say.
        failed: instances refused, with reasons, as far as the peer named them.
        resent: instances sent a second time because no response came to the first.
        transcoded: transfer syntax UID -> how many instances were converted to it for the destination, which does not
            take their own; the decoded pixels are the same.
        suboperations: the final counters of C-MOVE and C-GET.
        verdict: verified, mismatch or unverified.
        seconds: transfer time without verification.
        size_bytes: sent, for C-STORE.
        cancelled: stopped on request before the end.
        error: what broke the transfer off half-way; what came before it is counted and verified all the same.
        detour: why a C-MOVE to our own Storage SCP was used where a C-GET was asked for; blank if it was not.
        identifiers: why fabricated identifiers could not be checked at the destination; blank if they could.
        series_instance_uid: of the only series that it is about; blank if it is about the whole study.
        accepted_before: how many of those accepted were so by an earlier attempt, whose time is not in ``seconds``.
    """

    operation: str
    study_instance_uid: str
    source: str
    destination: str
    instances: int
    accepted: int | None
    failed: tuple[FailedInstance, ...]
    resent: int
    suboperations: Suboperations | None
    verdict: Verdict
    seconds: float
    size_bytes: int | None = None
    cancelled: bool = False
    error: DicomFabError | None = None
    transcoded: Mapping[str, int] = field(default_factory=dict)
    detour: str = ""
    identifiers: str = ""
    series_instance_uid: str = ""
    accepted_before: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """How a caller follows and limits a transfer.

    Args:
        on_progress: told after every response.
        cancelled: asked before every instance or after every response.
        verify_wait_s: how long the destination may take to list what it received.
        on_start: told of the instances that are sent, in order, before the first of them is.
        on_outcome: told of every instance that was answered for.
        comes_again: whoever sends tries again later: what the destination refuses for a reason that may pass (its
            disk is full) ends the sending with that error instead of counting as refused.
    """

    on_progress: OnProgress = ignore
    cancelled: Cancelled = never
    verify_wait_s: float = DEFAULT_WAIT_S
    on_start: Callable[[Sequence[StoredInstance]], None] = lambda _instances: None
    on_outcome: Callable[[StoreOutcome], None] = lambda _outcome: None
    comes_again: bool = False


@dataclass(frozen=True, slots=True)
class Earlier:
    """What attempts before this one did of a study.

    Args:
        accepted: SOP instance UIDs that the peer took.
        failed: those that it refused, with its reasons.
        resent: instances that were sent more than once.
    """

    accepted: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    resent: int = 0


def with_kept(report: TransferReport, kept: Sequence[str] | None) -> TransferReport:
    """The report, when of some instances the local store kept what it had; ``None`` if that is not known."""
    if kept is None:
        return replace(report, verdict=kept_unknown(report.verdict, report.verdict.before))
    failed = tuple(FailedInstance(u, "the local store kept its own, which has other content") for u in kept)
    return replace(report, failed=report.failed + failed, verdict=doubted(report.verdict, len(failed)))


def kept_unknown(verdict: Verdict, before: int | None) -> Verdict:
    """The verdict of a get when it is not known of which instances the local store kept what it had.

    Args:
        verdict: of what the local store lists.
        before: how many of the instances it had before; ``None`` if that is not known either.
    """
    if before == 0:
        return verdict
    some = "some may have been" if before is None else f"{before} of them were"
    return not_proven(verdict, f"{some} here before, and whether what came is the same is not known")


def ended_unasked(operation: str, source: str) -> StatusFailure:
    """Why a retrieve failed that its source ended as cancelled by itself (PS3.4 C.4.2.1.5, C.4.3.1.4)."""
    return StatusFailure(
        f"{source} answered FE00: it ended the {operation} as cancelled, which nobody asked for.",
        operation=operation,
        status=CANCEL,
        cause="somebody stopped it at the source, or the source gives up in this way",
        remedy="look at the source's log; then transfer it again",
    )


def retrieve_report(
    operation: str,
    part: Part,
    ends: tuple[str, str],
    expected: int,
    final: Response,
    error: PeerError | None,
    verdict: Verdict,
    seconds: float,
) -> TransferReport:
    """What a C-MOVE or a C-GET came to.

    Args:
        operation: ``C-MOVE``, ``C-GET`` or ``WADO-RS``.
        part: what was asked for.
        ends: names of source and destination.
        expected: instances.
        final: the last response.
        error: what broke it off after that.
        verdict: of the destination.
        seconds: transfer time without verification.
    """
    return TransferReport(
        operation=operation,
        study_instance_uid=part.study_instance_uid,
        series_instance_uid=part.series_instance_uid,
        source=ends[0],
        destination=ends[1],
        instances=expected,
        accepted=final.suboperations.delivered,
        failed=tuple(FailedInstance(u, "named by the source as failed") for u in final.failed_sop_instance_uids),
        resent=0,
        suboperations=final.suboperations,
        verdict=doubted(verdict, final.suboperations.failed or 0),
        seconds=seconds,
        cancelled=final.status == CANCEL and not isinstance(error, StatusFailure),  # else nobody asked for it
        error=error,
    )
