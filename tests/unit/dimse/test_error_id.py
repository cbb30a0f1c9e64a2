"""The Error ID of an N-service, in the words of the error that people see (PS3.7 C.5.20, PS3.4 F.7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor, ServerConfig
from dicomfab.dimse.messages import Implementation, Response
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu import performed_step
from dicomfab.dimse.scu.normalized import refused
from dicomfab.dimse.sop_classes import PERFORMED_STEP
from dicomfab.model.errors import StatusFailure
from tests.unit.dimse.memory_pacs import MemoryPacs

NO_LONGER = "Performed Procedure Step Object may no longer be updated"


class Refusing:
    """A server of performed steps that refuses whatever it is asked."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal

    def perform(self, _requestor: Requestor, _request: NormalizedRequest) -> NormalizedReply:
        raise self.refusal


@pytest.mark.parametrize(
    ("comment", "error_id", "said"),
    [
        (NO_LONGER, 0xA710, f'0110: processing failure ("{NO_LONGER}; Error ID A710").'),
        ("", 0xA710, f'0110: processing failure ("Error ID A710: {NO_LONGER}").'),
        ("", 0xA506, f'0110: processing failure ("Error ID A506: {NO_LONGER}").'),
        ("it is over", 0x0001, '0110: processing failure ("it is over; Error ID 0001").'),
        ("", None, "0110: processing failure."),
    ],
)
def test_a_modality_is_told_why_its_step_is_refused(comment: str, error_id: int | None, said: str) -> None:
    handler = Refusing(Refusal(0x0110, comment, error_id=error_id))
    with Server(ServerConfig("RIS"), MemoryPacs(), {PERFORMED_STEP: handler}) as server:
        peer = Peer("127.0.0.1", server.port, "RIS", "MODALITY", Timeouts(5, 5, 5))
        with pytest.raises(StatusFailure) as caught:
            performed_step.completed(peer, "1.2.3", Dataset())
    assert caught.value.what.endswith(said)
    assert caught.value.comment == comment


@given(st.text(max_size=64), st.none() | st.integers(0, 0xFFFF))
def test_an_error_id_is_always_said_and_its_words_once(comment: str, error_id: int | None) -> None:
    response = Response(0x0110, comment, error_id=error_id)
    error = refused("N-SET", response, "RIS", Implementation())
    assert error.comment == comment
    assert comment in error.what
    assert ("Error ID" in error.what) == (error_id is not None or "Error ID" in comment)
    if error_id is not None:
        assert f"Error ID {error_id:04X}" in error.what
    assert error.what.count(NO_LONGER) <= 1
