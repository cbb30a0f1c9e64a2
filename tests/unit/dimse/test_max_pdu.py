"""The longest PDU that a peer's entry allows: what is offered to it, and what is sent to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import MAX_PDU_LENGTH
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.store import store
from dicomfab.model.errors import ProtocolViolation
from dicomfab.ul.pdu import P_DATA_TF
from tests.unit.dimse import raw
from tests.unit.dimse.memory_pacs import make_instance


class Storing:
    """A peer that takes instances and notes what is offered to it, and how long what it gets is."""

    def __init__(self, announced: int) -> None:
        self.announced = announced
        self.offered = 0
        self.longest = 0
        self.stored = b""

    def __call__(self, wire: raw.Wire) -> None:
        plain = wire.pdu

        def noted() -> bytes:
            pdu = plain()
            if pdu[0] == P_DATA_TF:
                self.longest = max(self.longest, len(pdu) - 6)
            return pdu

        wire.pdu = noted  # type: ignore[method-assign]
        self.offered = wire.accept(max_pdu_length=self.announced).user.max_pdu_length
        context_id, request, self.stored = wire.message()
        wire.send(raw.message(context_id, raw.response(request)))
        wire.released()


@pytest.mark.parametrize(
    ("ours", "announced", "offered", "longest"),
    [
        (0, 128 << 10, MAX_PDU_LENGTH, 128 << 10),
        (0, 8192, MAX_PDU_LENGTH, 8192),
        (16384, 128 << 10, 16384, 16384),
        (16384, 8192, 16384, 8192),
        (16384, 0, 16384, 16384),
    ],
)
def test_the_shorter_of_both_limits_is_sent(
    tmp_path: Path, ours: int, announced: int, offered: int, longest: int
) -> None:
    instance = make_instance(tmp_path, 1, pixels=200_000)
    behave = Storing(announced)
    with raw.peer(behave, max_pdu_length=ours) as peer:
        [outcome] = store(peer, [instance])
    assert outcome.accepted
    assert behave.offered == offered
    assert behave.longest == longest
    assert behave.stored.endswith(instance.path.read_bytes()[-1000:])


def test_a_peer_that_sends_more_than_it_was_offered_breaks_the_protocol() -> None:
    def too_long(wire: raw.Wire) -> None:
        wire.accept()
        context_id, request, _ = wire.message()
        answer: dict[str, Any] = raw.response(request, ErrorComment="x" * 4096)
        wire.send(raw.pdata(context_id, 3, dimse_command.encode(answer)))
        wire.released()

    with raw.peer(too_long) as peer:
        echo(peer)
        with pytest.raises(ProtocolViolation, match="4096 is the most"):
            echo(replace(peer, max_pdu_length=4096))
