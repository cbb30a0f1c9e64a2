"""Which presentation contexts a peer refused, and why (PS3.8 9.3.3.2)."""

from __future__ import annotations

import pytest

from dicomfab.dimse.association import associate
from dicomfab.dimse.messages import ProposedContext
from dicomfab.model.errors import ContextRejected
from dicomfab.ul import AssociateAC, AssociateRQ, ContextResult, UserInformation
from dicomfab.ul.pdu import decode_pdu, encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.raw import IMPLICIT, STUDY_ROOT_FIND, VERIFICATION, Behaviour, Wire

JPEG = "1.2.840.10008.1.2.4.50"
WANTED = [ProposedContext(VERIFICATION, (IMPLICIT,)), ProposedContext(STUDY_ROOT_FIND, (IMPLICIT,))]


def answering(*results: tuple[int, int, str]) -> Behaviour:
    """Accept the association with these results: context id, result, transfer syntax."""

    def behave(wire: Wire) -> None:
        pdu = wire.pdu()
        request = decode_pdu(pdu[0], pdu[6:])
        assert isinstance(request, AssociateRQ)
        answers = tuple(ContextResult(*result) for result in results)
        user = UserInformation(16384, "1.2.3.4")
        wire.send(encode_pdu(AssociateAC(request.called_ae_title, request.calling_ae_title, answers, user)))
        wire.released()

    return behave


@pytest.mark.parametrize("result", [1, 2, 3, 4])
def test_refused_with_its_result(result: int) -> None:
    with (
        raw.peer(answering((1, 0, IMPLICIT), (3, result, IMPLICIT))) as peer,
        associate(peer, WANTED) as association,
    ):
        assert association.refused == {STUDY_ROOT_FIND: result}
        assert association.accepted(VERIFICATION) == {IMPLICIT}


def test_accepted_in_what_was_not_proposed_is_refused() -> None:
    with raw.peer(answering((1, 0, IMPLICIT), (3, 0, JPEG))) as peer, associate(peer, WANTED) as association:
        assert association.refused == {STUDY_ROOT_FIND: 4}


def test_not_answered_is_refused_without_a_reason() -> None:
    with raw.peer(answering((1, 0, IMPLICIT))) as peer, associate(peer, WANTED) as association:
        assert association.refused == {STUDY_ROOT_FIND: 2}


def test_accepted_in_one_of_two_contexts_is_not_refused() -> None:
    twice = [ProposedContext(VERIFICATION, (IMPLICIT,)), ProposedContext(VERIFICATION, (JPEG,))]
    with raw.peer(answering((1, 0, IMPLICIT), (3, 4, JPEG))) as peer, associate(peer, twice) as association:
        assert association.refused == {}


def test_all_refused_is_an_error_unless_that_is_what_is_asked() -> None:
    with raw.peer(answering((1, 3, IMPLICIT), (3, 1, IMPLICIT))) as peer:
        with pytest.raises(ContextRejected) as caught, associate(peer, WANTED):
            pass
        assert caught.value.code == "no-context"
        with associate(peer, WANTED, even_without_context=True) as association:
            assert (association.contexts, association.refused) == ({}, {VERIFICATION: 3, STUDY_ROOT_FIND: 1})


def test_all_refused_for_their_transfer_syntaxes() -> None:
    with (
        raw.peer(answering((1, 4, IMPLICIT), (3, 4, IMPLICIT))) as peer,
        pytest.raises(ContextRejected) as caught,
        associate(peer, WANTED),
    ):
        pass
    assert caught.value.code == "no-transfer-syntax"
