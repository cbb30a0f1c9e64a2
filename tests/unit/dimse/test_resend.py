"""An instance whose response never comes is sent once more, under the same UIDs, and counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu.store import store
from dicomfab.model.errors import AssociationAborted
from tests.unit.dimse.memory_pacs import CT, EXPLICIT, make_instance


@contextmanager
def aborting(times: int) -> Iterator[tuple[Peer, list[str]]]:
    """A foreign SCP that aborts the association instead of answering, so often, from the second C-STORE on."""
    received: list[str] = []
    aborted: list[str] = []

    def handle(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        received.append(uid)
        if len(received) > 1 and len(aborted) < times:
            aborted.append(uid)
            event.assoc.abort()
        return 0x0000

    ae = AE(ae_title="SHAKY")
    ae.add_supported_context(CT, EXPLICIT)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handle)])
    try:
        yield Peer("127.0.0.1", server.server_address[1], "SHAKY", timeouts=Timeouts(dimse_s=5.0)), received
    finally:
        server.shutdown()


def test_one_lost_response_is_made_good(tmp_path: Path) -> None:
    instances = [make_instance(tmp_path, number) for number in (1, 2, 3)]
    with aborting(1) as (peer, received):
        outcomes = list(store(peer, instances))
    assert [outcome.accepted for outcome in outcomes] == [True, True, True]
    assert [outcome.resent for outcome in outcomes] == [False, True, False]
    assert received == ["1.2.3.1", "1.2.3.2", "1.2.3.2", "1.2.3.3"]


def test_a_second_loss_of_the_same_instance_is_an_error(tmp_path: Path) -> None:
    instances = [make_instance(tmp_path, number) for number in (1, 2, 3)]
    with aborting(2) as (peer, received):
        sending = store(peer, instances)
        assert next(sending).accepted
        with pytest.raises(AssociationAborted):
            next(sending)
    assert received == ["1.2.3.1", "1.2.3.2", "1.2.3.2"]
