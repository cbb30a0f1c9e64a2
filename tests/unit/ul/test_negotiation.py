"""Presentation contexts and roles: what an acceptor answers, and what both sides make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.ul import AssociateAC, AssociateRQ, ContextResult, PresentationContext, RoleSelection, UserInformation
from dicomfab.ul.negotiation import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    AcceptedContext,
    Choose,
    accepted_contexts,
    answer_contexts,
    answer_roles,
)
from dicomfab.ul.pdu import decode_pdu, encode_pdu
from tests.unit.ul import strategies as values
from tests.unit.ul.driving import CT, EXPLICIT, IMPLICIT, REQUEST, VERIFICATION

JPEG = "1.2.840.10008.1.2.4.50"


def explicit_first(abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> str | None:
    """An acceptor that knows Verification and CT, explicit VR before implicit."""
    if abstract_syntax not in (VERIFICATION, CT):
        return None
    return next((one for one in (EXPLICIT, IMPLICIT) if one in transfer_syntaxes), "")


def proposal(*contexts: PresentationContext, roles: tuple[RoleSelection, ...] = ()) -> AssociateRQ:
    return replace(REQUEST, contexts=contexts, user=UserInformation(roles=roles))


def answer(*results: ContextResult, roles: tuple[RoleSelection, ...] = ()) -> AssociateAC:
    return AssociateAC("ARCHIVE", "MODALITY", results, UserInformation(roles=roles))


def test_each_context_is_answered_in_the_order_proposed() -> None:
    results = answer_contexts(
        (
            PresentationContext(5, CT, (IMPLICIT, EXPLICIT)),
            PresentationContext(1, "1.2.3", (IMPLICIT,)),
            PresentationContext(3, CT, (JPEG, "1.2.4")),
            PresentationContext(7, VERIFICATION, (IMPLICIT,)),
        ),
        explicit_first,
    )
    assert results == (
        ContextResult(5, ACCEPTANCE, EXPLICIT),
        ContextResult(1, ABSTRACT_SYNTAX_NOT_SUPPORTED, IMPLICIT),
        ContextResult(3, TRANSFER_SYNTAXES_NOT_SUPPORTED, JPEG),
        ContextResult(7, ACCEPTANCE, IMPLICIT),
    )


def test_what_is_accepted_is_known_by_its_id() -> None:
    request = proposal(PresentationContext(1, VERIFICATION, (IMPLICIT,)), PresentationContext(3, CT, (JPEG, EXPLICIT)))
    agreed = accepted_contexts(request, answer(ContextResult(3, 0, EXPLICIT), ContextResult(1, 0, IMPLICIT)))
    assert agreed == {1: AcceptedContext(1, VERIFICATION, IMPLICIT), 3: AcceptedContext(3, CT, EXPLICIT)}


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(ContextResult(1, 1, IMPLICIT), id="rejected by the user"),
        pytest.param(ContextResult(1, 3), id="abstract syntax not supported"),
        pytest.param(ContextResult(1, 200, IMPLICIT), id="a result that there is not"),
        pytest.param(ContextResult(3, 0, IMPLICIT), id="not proposed"),
        pytest.param(ContextResult(1, 0, JPEG), id="transfer syntax not proposed"),
    ],
)
def test_what_was_not_agreed_upon_is_not_used(result: ContextResult) -> None:
    assert accepted_contexts(proposal(PresentationContext(1, CT, (IMPLICIT, EXPLICIT))), answer(result)) == {}


def test_a_context_without_an_answer_is_not_used() -> None:
    assert accepted_contexts(REQUEST, answer()) == {}


# ---------------------------------------------------------------------- roles (PS3.7 D.3.3.4)


@pytest.mark.parametrize("scu", [False, True])
@pytest.mark.parametrize("scp", [False, True])
@pytest.mark.parametrize("allowed", [False, True])
def test_a_role_is_granted_only_if_it_was_proposed(scu: bool, scp: bool, allowed: bool) -> None:
    (granted,) = answer_roles([RoleSelection(CT, scu, scp)], lambda uid: allowed)
    assert granted == RoleSelection(CT, scu, scp and allowed)


@pytest.mark.parametrize(
    ("proposed", "granted", "as_scu", "as_scp"),
    [
        pytest.param(None, None, True, False, id="the default without a proposal"),
        pytest.param((True, True), None, True, False, id="the default without an answer"),
        pytest.param((False, True), None, True, False, id="the default without an answer to SCP alone"),
        pytest.param(None, (True, True), True, False, id="an answer that nobody asked for"),
        pytest.param((True, True), (True, True), True, True, id="both"),
        pytest.param((False, True), (False, True), False, True, id="SCP alone"),
        pytest.param((True, False), (True, False), True, False, id="SCU alone"),
        pytest.param((True, True), (False, True), False, True, id="SCU refused"),
        pytest.param((True, True), (True, False), True, False, id="SCP refused"),
        pytest.param((True, True), (False, False), False, False, id="both refused"),
        pytest.param((True, False), (True, True), True, False, id="more than was proposed"),
    ],
)
def test_roles_of_a_context(
    proposed: tuple[bool, bool] | None, granted: tuple[bool, bool] | None, as_scu: bool, as_scp: bool
) -> None:
    other = RoleSelection(VERIFICATION, scu=False, scp=True)
    asked = (other, *([RoleSelection(CT, *proposed)] if proposed else []))
    given_roles = (other, *([RoleSelection(CT, *granted)] if granted else []))
    request = proposal(PresentationContext(1, CT, (IMPLICIT,)), roles=asked)
    agreed = accepted_contexts(request, answer(ContextResult(1, 0, IMPLICIT), roles=given_roles))
    assert agreed == {1: AcceptedContext(1, CT, IMPLICIT, as_scu=as_scu, as_scp=as_scp)}


# ---------------------------------------------------------------------- for any proposal


@st.composite
def choices(draw: st.DrawFn) -> Choose:
    """An acceptor that picks any of the proposed transfer syntaxes, or none, or knows nothing of the service."""
    numbers = draw(st.lists(st.integers(-2, 5), min_size=1, max_size=8))

    def choose(abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> str | None:
        number = numbers[len(abstract_syntax) % len(numbers)]
        if number == -2:
            return None
        return "" if number == -1 else transfer_syntaxes[number % len(transfer_syntaxes)]

    return choose


requests = st.builds(
    lambda contexts, roles: replace(REQUEST, contexts=contexts, user=UserInformation(roles=tuple(roles))),
    values.presentation_contexts(),
    st.lists(values.roles, max_size=2),
).flatmap(
    # Roles for services that are proposed, too.
    lambda request: st.lists(
        st.builds(
            RoleSelection,
            st.sampled_from([one.abstract_syntax for one in request.contexts]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=3,
        unique_by=lambda role: role.sop_class_uid,
    ).map(lambda more: replace(request, user=UserInformation(roles=request.user.roles + tuple(more))))
)


@given(request=requests, choose=choices(), refused=st.booleans())
@settings(deadline=None, max_examples=40)
def test_both_sides_agree_on_the_same_contexts(request: AssociateRQ, choose: Choose, refused: bool) -> None:
    results = answer_contexts(request.contexts, choose)
    assert [one.context_id for one in results] == [one.context_id for one in request.contexts]
    ours = answer(*results, roles=answer_roles(request.user.roles, lambda uid: not refused))
    as_acceptor = accepted_contexts(request, ours)
    encoded_request, encoded_answer = encode_pdu(request), encode_pdu(ours)
    as_requestor = accepted_contexts(
        decode_pdu(encoded_request[0], encoded_request[6:]),  # type: ignore[arg-type]
        decode_pdu(encoded_answer[0], encoded_answer[6:]),  # type: ignore[arg-type]
    )
    assert as_acceptor == as_requestor
    expected = {one.context_id: choose(one.abstract_syntax, one.transfer_syntaxes) for one in request.contexts}
    assert {one: context.transfer_syntax for one, context in as_acceptor.items()} == {
        context_id: chosen for context_id, chosen in expected.items() if chosen
    }
    assert not refused or not any(context.as_scp for context in as_acceptor.values())


@st.composite
def any_answer(draw: st.DrawFn) -> tuple[AssociateRQ, AssociateAC]:
    """A proposal, and an answer that has little to do with it."""
    request = draw(requests)
    syntaxes = [syntax for context in request.contexts for syntax in context.transfer_syntaxes]
    results = st.builds(
        ContextResult,
        values.context_ids | st.sampled_from([one.context_id for one in request.contexts]),
        st.sampled_from((0, 0, 0, 1, 4)),
        st.sampled_from(syntaxes) | values.uids,
    )
    roles = st.builds(
        RoleSelection, st.sampled_from([one.abstract_syntax for one in request.contexts]), st.booleans(), st.booleans()
    )
    return request, answer(*draw(st.lists(results, max_size=9)), roles=tuple(draw(st.lists(roles, max_size=4))))


@given(pair=any_answer())
@settings(deadline=None, max_examples=40)
def test_no_answer_makes_us_use_what_we_did_not_propose(pair: tuple[AssociateRQ, AssociateAC]) -> None:
    request, theirs = pair
    proposed = {one.context_id: one for one in request.contexts}
    wishes = {one.sop_class_uid: one for one in request.user.roles}
    for context_id, context in accepted_contexts(request, theirs).items():
        assert context.context_id == context_id
        assert context.abstract_syntax == proposed[context_id].abstract_syntax
        assert context.transfer_syntax in proposed[context_id].transfer_syntaxes
        wish = wishes.get(context.abstract_syntax)
        assert context.as_scu or wish is not None
        assert not context.as_scp or (wish is not None and wish.scp)
