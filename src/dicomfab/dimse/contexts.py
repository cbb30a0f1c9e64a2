"""Which presentation contexts to propose, which to accept, and which one an instance goes out on (PS3.8 9.3.2)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final

from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.sop_classes import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    FIND,
    GET,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MOVE,
    VERIFICATION,
    is_storage,
)
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.ul.negotiation import AcceptedContext
from dicomfab.ul.pdu import MAX_CONTEXTS

#: For services whose data sets have no pixels: what every peer must know comes first (PS3.5 10.1).
PLAIN_SYNTAXES: Final = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
#: Transfer syntaxes that an instance in a given one may be converted to, the preferred first, its pixels unchanged.
Conversions = Callable[[str], Sequence[str]]


def no_conversion(_transfer_syntax: str) -> Sequence[str]:
    """Instances are sent as they are, or not at all."""
    return ()


def identical_pixels(transfer_syntax: str) -> Sequence[str]:
    """Instances may be converted to these, the preferred first: what is decoded from them is the same."""
    from dicomfab.pixels.syntaxes import targets_for

    return [syntax for syntax in targets_for(transfer_syntax) if syntax in PLAIN_SYNTAXES]


def for_instances(
    instances: Sequence[InstanceFile], start: int, conversions: Conversions
) -> tuple[list[ProposedContext], int]:
    """Contexts for as many instances from ``start`` on as one association can carry, and where those end.

    One context for each SOP class and transfer syntax, so that the acceptor's choice never costs us the one we need;
    further ones for what an instance can be converted to.
    """
    wanted: dict[tuple[str, str], None] = {}
    seen: set[tuple[str, str]] = set()
    end = start
    for instance in instances[start:]:
        identity = instance.identity
        own = (identity.sop_class_uid, identity.transfer_syntax_uid)
        if own not in seen:
            pairs = [own, *((own[0], other) for other in conversions(own[1]))]
            new = [pair for pair in pairs if pair not in wanted]
            if len(wanted) + len(new) > MAX_CONTEXTS:
                break
            wanted.update(dict.fromkeys(new))
            seen.add(own)
        end += 1
    return [ProposedContext(sop_class, (syntax,)) for sop_class, syntax in wanted], end


def for_identity(
    accepted: Mapping[int, AcceptedContext], identity: InstanceIdentity, conversions: Conversions, *, as_scp: bool
) -> AcceptedContext | None:
    """The context to send an instance on: its own transfer syntax, else one that it can be converted to.

    Args:
        accepted: what both sides agreed upon.
        identity: the instance.
        conversions: what may be done to it.
        as_scp: the requestor performs the service (C-GET), we invoke it.
    """
    usable = {
        context.transfer_syntax: context
        for context in accepted.values()
        if context.abstract_syntax == identity.sop_class_uid and (context.as_scp if as_scp else context.as_scu)
    }
    for syntax in (identity.transfer_syntax_uid, *conversions(identity.transfer_syntax_uid)):
        if syntax in usable:
            return usable[syntax]
    return None


def acceptable(
    extra: Iterable[str] = (), to_send: Container[str] = frozenset()
) -> Callable[[str, Sequence[str]], str | None]:
    """What our servers accept: verification, query, retrieve, any storage SOP class in any transfer syntax.

    Args:
        extra: further SOP classes, in the plain transfer syntaxes.
        to_send: storage SOP classes of which the requestor receives instances (C-GET). Whatever those are encoded in,
            a plain transfer syntax is what we can bring them into.
    """
    plain = {VERIFICATION, *FIND.values(), *MOVE.values(), *GET.values(), *extra}

    def choose(abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> str | None:
        if abstract_syntax in plain:
            return next((syntax for syntax in transfer_syntaxes if syntax in PLAIN_SYNTAXES), "")
        if not is_storage(abstract_syntax):
            return None
        wanted = PLAIN_SYNTAXES if abstract_syntax in to_send else ()
        return next((syntax for syntax in transfer_syntaxes if syntax in wanted), transfer_syntaxes[0])

    return choose
