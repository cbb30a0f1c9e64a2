"""Presentation contexts agreed upon: what an acceptor answers, and what a requestor makes of the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.ul.pdu import AssociateAC, AssociateRQ, ContextResult, PresentationContext
from dicomfab.ul.user_information import RoleSelection

ACCEPTANCE: Final = 0
USER_REJECTION: Final = 1
NO_REASON: Final = 2
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 4

#: Which of the proposed transfer syntaxes to use for an abstract syntax: an empty text for none of them, ``None`` if
#: the abstract syntax is not supported at all.
Choose = Callable[[str, Sequence[str]], str | None]


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context that both sides agreed upon.

    Args:
        as_scu: the requestor may invoke the service.
        as_scp: the requestor may perform it (PS3.7 D.3.3.4).
    """

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    as_scu: bool = True
    as_scp: bool = False


def answer_contexts(proposed: Iterable[PresentationContext], choose: Choose) -> tuple[ContextResult, ...]:
    """The acceptor's result for each context, in the order proposed (PS3.8 9.3.3.2)."""
    results = []
    for context in proposed:
        chosen = choose(context.abstract_syntax, context.transfer_syntaxes)
        if chosen:
            results.append(ContextResult(context.context_id, ACCEPTANCE, chosen))
            continue
        why = ABSTRACT_SYNTAX_NOT_SUPPORTED if chosen is None else TRANSFER_SYNTAXES_NOT_SUPPORTED
        results.append(ContextResult(context.context_id, why, context.transfer_syntaxes[0]))
    return tuple(results)


def answer_roles(proposed: Iterable[RoleSelection], may_be_scp: Callable[[str], bool]) -> tuple[RoleSelection, ...]:
    """The acceptor's role selections: SCU as proposed, SCP where allowed (PS3.7 D.3.3.4)."""
    return tuple(
        RoleSelection(role.sop_class_uid, role.scu, role.scp and may_be_scp(role.sop_class_uid)) for role in proposed
    )


def accepted_contexts(request: AssociateRQ, answer: AssociateAC) -> Mapping[int, AcceptedContext]:
    """What both sides may use from now on, by context id.

    A result for a context that was not proposed, or with a transfer syntax that was not, counts as a rejection: no data
    may be sent in it.
    """
    proposed = {context.context_id: context for context in request.contexts}
    asked = {role.sop_class_uid: role for role in request.user.roles}
    granted = {role.sop_class_uid: role for role in answer.user.roles}
    agreed = {}
    for result in answer.results:
        context = proposed.get(result.context_id)
        if context is None or result.result != ACCEPTANCE or result.transfer_syntax not in context.transfer_syntaxes:
            continue
        wish, grant = asked.get(context.abstract_syntax), granted.get(context.abstract_syntax)
        both = wish is not None and grant is not None
        agreed[result.context_id] = AcceptedContext(
            result.context_id,
            context.abstract_syntax,
            result.transfer_syntax,
            as_scu=not both or (wish.scu and grant.scu),  # type: ignore[union-attr]
            as_scp=both and wish.scp and grant.scp,  # type: ignore[union-attr]
        )
    return agreed
