"""Modality Performed Procedure Step: tell a peer what a modality does, and has done (PS3.4 F.7)."""

from __future__ import annotations

import copy
from typing import Final

from pydicom import Dataset

from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.performed_step import COMPLETED, DISCONTINUED, IN_PROGRESS
from dicomfab.dimse.scu.normalized import NormalizedResponse, n_create, n_set, refused
from dicomfab.dimse.sop_classes import PERFORMED_STEP
from dicomfab.dimse.status import Category, category

CONTEXT: Final = ProposedContext(PERFORMED_STEP, PLAIN_SYNTAXES)

# What the statuses of PS3.7 annex C most likely mean here: cause and remedy.
_EXPLAINED: Final = {
    0x0106: ("a value that the peer does not allow", "correct the attribute that the comment or the peer's log names"),
    0x0110: (
        "the step was completed or discontinued before, or the peer's application failed",
        "begin a new step; if this one is still in progress, look at the peer's log",
    ),
    0x0112: ("the peer never got, or has forgotten, the step's N-CREATE", "send IN PROGRESS first, to the same peer"),
    0x0120: (
        "an attribute that the peer requires was not sent",
        "add the one that the comment or the peer's log names",
    ),
    0x0121: ("a required attribute was sent empty", "fill the one that the comment or the peer's log names"),
}


def in_progress(peer: Peer, sop_instance_uid: str, attributes: Dataset) -> NormalizedResponse:
    """N-CREATE: a step has begun (PS3.4 F.7.2.1).

    Args:
        peer: whom to tell.
        sop_instance_uid: of the step; empty leaves it to the peer.
        attributes: of the step; its status is set here.

    Raises:
        PeerError: no answer, or a failure status.
    """
    return _sent(peer, "N-CREATE", sop_instance_uid, attributes, IN_PROGRESS)


def completed(peer: Peer, sop_instance_uid: str, modifications: Dataset) -> NormalizedResponse:
    """N-SET: a step has ended as it should (PS3.4 F.7.2.2).

    Args:
        peer: whom the beginning was told.
        sop_instance_uid: of the step.
        modifications: end date and time, the performed series; the status is set here.

    Raises:
        PeerError: no answer, or a failure status.
    """
    return _sent(peer, "N-SET", sop_instance_uid, modifications, COMPLETED)


def discontinued(peer: Peer, sop_instance_uid: str, modifications: Dataset) -> NormalizedResponse:
    """N-SET: a step has ended before its time; as :func:`completed`, with a reason perhaps (PS3.4 F.7.2.2)."""
    return _sent(peer, "N-SET", sop_instance_uid, modifications, DISCONTINUED)


def _sent(peer: Peer, operation: str, uid: str, attributes: Dataset, status: str) -> NormalizedResponse:
    data = copy.deepcopy(attributes)
    data.PerformedProcedureStepStatus = status
    with associate(peer, [CONTEXT]) as association:
        if operation == "N-CREATE":
            answered = n_create(association, PERFORMED_STEP, uid, data)
        else:
            answered = n_set(association, PERFORMED_STEP, uid, data)
        implementation = association.implementation
    if category(answered.response.status) in (Category.SUCCESS, Category.WARNING):
        return answered
    error = refused(operation, answered.response, peer.label, implementation)
    error.cause, error.remedy = _EXPLAINED.get(error.status, (error.cause, error.remedy))
    raise error
