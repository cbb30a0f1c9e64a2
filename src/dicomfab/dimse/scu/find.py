"""C-FIND: ask a peer what it holds (PS3.4 C.4.1)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.query import Query
from dicomfab.dimse.sop_classes import FIND
from dicomfab.dimse.status import Category, category, failure
from dicomfab.model.errors import AnswerIncomplete, DicomFabError
from dicomfab.model.query import QueryModel

#: How long a peer may go on answering after C-CANCEL before the association is aborted.
DRAIN_S: Final = 1.0


def find(
    peer: Peer,
    model: QueryModel,
    identifier: Dataset,
    *,
    limit: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    report: Callable[[Response], None] | None = None,
) -> Iterator[Dataset]:
    """Query, yielding each match as it arrives. An empty answer is only ever a successful empty answer.

    Args:
        peer: whom to ask.
        model: patient root or study root.
        identifier: keys, QueryRetrieveLevel included; zero length asks for the value.
        limit: after so many matches the query is cancelled with C-CANCEL; the matches are kept.
        cancelled: asked after each match; true cancels the query.
        report: told of every response before its match is yielded, the final one too, which may be a warning. Who
            takes no report may prove or delete by the matches: there a warning is an error.

    Raises:
        AnswerIncomplete: the peer ended its answer with a warning, and nobody takes a report.
        PeerError: the query failed; matches already yielded are then incomplete. Not once it was cancelled: what
            happens then takes nothing from the matches.
    """
    sop_class_uid = FIND[model]
    told = partial(_refuse_warning, peer) if report is None else report
    with associate(peer, [ProposedContext(sop_class_uid, PLAIN_SYNTAXES)]) as association:
        yield from send(association, sop_class_uid, identifier, limit=limit, cancelled=cancelled, report=told)


def _refuse_warning(peer: Peer, response: Response) -> None:
    """C-FIND knows no warning (PS3.4 table C.4-1): what a peer means by one, a cut answer for one, is its own."""
    if category(response.status) is not Category.WARNING:
        return
    said = f": {response.comment}" if response.comment else ""
    raise AnswerIncomplete(
        f"{peer.label} ended its answer with the warning {response.status:04X}{said}.",
        cause="it may have left out some of what it holds, for example at a limit of its own",
        remedy="look at its log, or ask its administrator; then do it again",
    ).coded(f"{response.status:04X}")


def send(
    association: Association,
    sop_class_uid: str,
    identifier: Dataset,
    *,
    limit: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    report: Callable[[Response], None] = lambda _response: None,
) -> Iterator[Dataset]:
    """One C-FIND over an association that is open; see :func:`find`.

    Args:
        association: with a context for the SOP class.
        sop_class_uid: of any C-FIND service, the modality worklist too.
        identifier: keys.
        limit: as for :func:`find`.
        cancelled: as for :func:`find`.
        report: told of every response; without it, a warning is passed over.

    Raises:
        PeerError: the query failed; matches already yielded are then incomplete.
    """
    peer = association.peer
    query = Query(association, "C-FIND", sop_class_uid)
    query.send(dimse_command.C_FIND_RQ, identifier)
    count = 0
    for response, match in query.responses(peer.timeouts.dimse_s):
        kind = category(response.status)
        # A cancel that we did not ask for leaves the answer incomplete.
        if kind in (Category.FAILURE, Category.CANCEL):
            raise failure("C-FIND", response, peer.label, association.implementation)
        report(response)
        # Only a pending response has a match; some peers send an empty data set with the final one.
        if kind is not Category.PENDING or match is None:
            continue
        count += 1
        yield match
        if count == limit or cancelled():
            _cancel(association, query)
            return


def _cancel(association: Association, query: Query) -> None:
    """Send C-CANCEL and read what was under way (PS3.7 9.3.2.3), keeping none of it, but not for long."""
    late = threading.Event()

    def abort() -> None:
        late.set()
        association.abort()

    drain_s = min(DRAIN_S, association.peer.timeouts.dimse_s)
    clock = threading.Timer(drain_s, abort)
    clock.daemon = True
    clock.start()
    with contextlib.suppress(DicomFabError):
        query.cancel()
        for _ in query.responses(drain_s):
            pass
    clock.cancel()
    clock.join()
    if late.is_set():
        # It may have ended just before: then the association is still to learn that it was aborted.
        with contextlib.suppress(DicomFabError):
            next(query.responses(0.0), None)
