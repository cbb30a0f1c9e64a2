"""What a simulated modality is asked to do, and what it tells of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dicomfab.dimse.peer import Peer
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.ordering.performing import REASONS

AE_TITLE: Final = "MODALITY1"
PORT: Final = 11113
COMMIT_S: Final = 60.0
#: Nothing is waited for.
FAST: Final = 0.0


@dataclass(frozen=True, slots=True)
class ModalityConfig:
    """Which modality, and what it does.

    Args:
        worklist: the information system that it asks and reports to.
        pacs: where images go, and who commits to them.
        ae_title: its own, for every association.
        host: the address that reports of commitments come to.
        port: the same; 0 takes a free one.
        accession_number: only this one; empty takes the next item.
        modality: only items of it; empty takes any.
        kind: what is made; empty follows from the item.
        is_discontinued: broken off after the images.
        reason: why, a code of CID 9301; empty is that the doctor cancelled it.
        commit_s: how long to wait for the report of the commitment; 0 asks for none.
        poll_s: item after item, asking the worklist again after so many seconds; 0 asks once.
        count: ends after so many items; 0 is one, or no end if it polls.
        pace: how fast time goes: 1 as in reality, 10 ten times as fast, 0 without any waiting.
        is_appended: adds series to a study that was made here, named by the accession number, else to the newest.
        is_wrong_item: takes the item after the right one first, and notices it when the images are stored.
        is_grouped: performs all items of the patient that are of the same modality as one.
        group_with: accession numbers of items that are performed together with ``accession_number``.
        unscheduled: the patient of an examination that nobody ordered; what is empty of him is invented.
        announce: tell the information system in the name of the PACS that the images are available.
    """

    worklist: Peer
    pacs: PacsServer
    ae_title: str = AE_TITLE
    host: str = "127.0.0.1"
    port: int = PORT
    accession_number: str = ""
    modality: str = ""
    kind: str = ""
    is_discontinued: bool = False
    reason: str = ""
    commit_s: float = COMMIT_S
    poll_s: float = 0.0
    count: int = 0
    pace: float = FAST
    is_appended: bool = False
    is_wrong_item: bool = False
    is_grouped: bool = False
    group_with: tuple[str, ...] = ()
    unscheduled: Patient | None = None
    announce: bool = False

    @property
    def most(self) -> int:
        """How many items are performed; 0 for no end."""
        return self.count or (0 if self.poll_s else 1)

    @property
    def takes_any(self) -> bool:
        """Whether the whole worklist is needed, not only what has the accession number."""
        return self.is_wrong_item or self.is_grouped or bool(self.group_with)


@dataclass(frozen=True, slots=True)
class Told:
    """Something that a modality has done.

    Args:
        step: one of :data:`STEPS`.
        text: for people; it names no patient.
        study_instance_uid: of the study.
        reference: UID of the performed step, of the transaction or of the notification, if one is meant.
    """

    step: str
    text: str
    study_instance_uid: str = ""
    reference: str = ""


#: What can be told, in the order in which it usually is.
STEPS: Final = (
    "not asked",  # the worklist gave no answer, and is asked again
    "waiting",  # it has nothing to do
    "skipped",  # of an item nothing can be made
    "worklist",  # an item is taken
    "append",  # a study of before is taken
    "unscheduled",  # nothing is taken: nobody ordered it
    "wrong item",  # the wrong one is taken
    "in progress",
    "acquiring",  # a series is begun; only where time is waited for
    "acquired",
    "stored",
    "completed",
    "discontinued",
    "committed",
    "not committed",  # it was stopped before the report came
    "announced",
)


def pace_of(text: str, *, field: str) -> float:
    """How fast time goes: ``fast``, ``real`` or a factor such as ``10x``.

    Raises:
        InvalidInput: it is none of them.
    """
    named = {"fast": FAST, "real": 1.0}
    text = text.strip().casefold()
    if text in named:
        return named[text]
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?x", text) and float(text[:-1]) > 0:
        return float(text[:-1])
    raise InvalidInput(
        f"{field}: {text!r} is no pace",
        field=field,
        value=text,
        cause="it is fast (no waiting), real, or how many times as fast as reality",
        remedy="write it as fast, real or 10x",
    )


def must_be_performable(config: ModalityConfig) -> None:
    """Refuse what cannot be performed, or not together, before anything is begun.

    Raises:
        InvalidInput: names the option.
    """
    _must_be_test(config.pacs)
    for field in ("poll_s", "count", "pace", "commit_s"):
        value = getattr(config, field)
        if not 0 <= value < 1e6:
            raise InvalidInput(f"{field}: {value} is out of range", field=field, value=value, remedy="0 or more")
    if config.reason and not config.is_discontinued:
        raise _unfit("reason", config.reason, "a reason belongs to what is broken off", "break it off: --discontinue")
    if config.reason and config.reason not in REASONS:
        known = "; ".join(f"{code} {meaning}" for code, meaning in REASONS.items())
        raise InvalidInput(
            f"reason: {config.reason!r} is no code of CID 9301",
            field="reason",
            value=config.reason,
            cause=f"the codes are {known}",
            remedy="name one of them",
        )
    if config.group_with and not config.accession_number:
        raise _unfit("group_with", config.group_with, "the first accession number is missing", "name it: --accession")
    chosen = {
        "is_appended": config.is_appended,
        "is_wrong_item": config.is_wrong_item,
        "is_grouped": config.is_grouped or bool(config.group_with),
        "unscheduled": config.unscheduled is not None,
    }
    given = [name for name, is_given in chosen.items() if is_given]
    if len(given) > 1:
        raise _unfit(given[1], True, f"it does not go with {given[0]}", "do one after the other")
    if config.most != 1 and given and given != ["is_grouped"]:
        raise _unfit(given[0], True, "it is one examination, and several are asked for", "leave --poll and --count out")


def to_look(config: ModalityConfig) -> str:
    """The command that shows the worklist as this modality sees it."""
    ris = config.worklist
    return f"dicomfab modality worklist --ae {config.ae_title} --ris {ris.host}:{ris.port}:{ris.called_ae_title}"


def _unfit(field: str, value: object, cause: str, remedy: str) -> InvalidInput:
    return InvalidInput(f"{field}: cannot be done", field=field, value=value, cause=cause, remedy=remedy)


def _must_be_test(pacs: PacsServer) -> None:
    if pacs.environment is not Environment.TEST:
        raise InvalidInput(
            f"pacs: {pacs.id} is of {pacs.environment}",
            field="pacs",
            value=pacs.id,
            cause="a simulated modality sends synthetic images under the names of its worklist",
            remedy="name a server of the test environment",
        )
