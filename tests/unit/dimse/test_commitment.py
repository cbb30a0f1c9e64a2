"""Storage commitment: its values to and from data sets, and what is refused of reports (PS3.4 annex J)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.dimse.commitment import Failed, FailureReason, InvalidCommitment, Reference, Transaction, Verdict
from dicomfab.dimse.handlers import NormalizedRequest, Refusal, Requestor
from dicomfab.dimse.identifier import decode, encode
from dicomfab.dimse.scu.commitment import CommitmentReports
from dicomfab.dimse.sop_classes import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
PEER = Requestor("PEER", "127.0.0.1")

uids = st.lists(st.integers(0, 10**6), min_size=2, max_size=9).map(lambda parts: ".".join(map(str, parts)))
references = st.builds(Reference, uids, uids)
failures = st.builds(Failed, references, st.sampled_from([*FailureReason, 0xA700, 0xFFFF]))
syntaxes = st.sampled_from([IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN])


def travelled(dataset: Dataset, syntax: str = IMPLICIT_VR_LITTLE_ENDIAN) -> Dataset:
    """The data set as it comes out of the wire."""
    return decode(encode(dataset, syntax), syntax)


@given(uids, st.lists(references, min_size=1, max_size=5), syntaxes)
def test_a_transaction_travels(uid, listed, syntax):
    transaction = Transaction(uid, tuple(listed))
    assert Transaction.from_dataset(travelled(transaction.to_dataset(), syntax)) == transaction


@given(uids, st.lists(references, max_size=5), st.lists(failures, max_size=5), syntaxes)
def test_a_verdict_travels(uid, committed, failed, syntax):
    verdict = Verdict(uid, tuple(committed), tuple(failed))
    if not committed and not failed:
        return
    assert verdict.event_type == (2 if failed else 1)
    assert Verdict.from_dataset(travelled(verdict.to_dataset(), syntax), verdict.event_type) == verdict


def test_a_sequence_without_items_is_left_out():
    reference = Reference(CT, "1.2.3")
    assert "FailedSOPSequence" not in Verdict("1.2", (reference,)).to_dataset()
    only_failed = Verdict("1.2", (), (Failed(reference, FailureReason.NO_SUCH_OBJECT_INSTANCE),)).to_dataset()
    assert "ReferencedSOPSequence" not in only_failed
    assert only_failed.FailedSOPSequence[0].FailureReason == 0x0112


def test_reasons_have_words():
    reference = Reference(CT, "1.2.3")
    assert Failed(reference, 0x0119).words == "class/instance conflict"
    assert Failed(reference, 0xA700).words == "failure reason A700"
    assert all(reason.words for reason in FailureReason)


def about(count: int = 1) -> Dataset:
    return Transaction("1.2.3", tuple(Reference(CT, f"1.2.3.{number}") for number in range(count))).to_dataset()


@pytest.mark.parametrize(
    ("spoil", "status", "field"),
    [
        (lambda d: d.__delitem__("TransactionUID"), 0x0120, "TransactionUID"),
        (lambda d: setattr(d, "TransactionUID", ""), 0x0120, "TransactionUID"),
        (lambda d: setattr(d, "TransactionUID", "../etc"), 0x0115, "TransactionUID"),
        (lambda d: setattr(d, "TransactionUID", ["1.2", "1.3"]), 0x0115, "TransactionUID"),
        (lambda d: d.__delitem__("ReferencedSOPSequence"), 0x0120, "ReferencedSOPSequence"),
        (lambda d: setattr(d, "ReferencedSOPSequence", []), 0x0120, "ReferencedSOPSequence"),
        (lambda d: d.ReferencedSOPSequence.append(Dataset()), 0x0120, "ReferencedSOPClassUID"),
        (
            lambda d: setattr(d.ReferencedSOPSequence[0], "ReferencedSOPInstanceUID", "x"),
            0x0115,
            "ReferencedSOPInstanceUID",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # pydicom's, of what is written here on purpose
def test_what_is_wrong_with_a_request_is_named(spoil, status, field):
    information = about()
    spoil(information)
    with pytest.raises(InvalidCommitment, match=field) as caught:
        Transaction.from_dataset(travelled(information))
    assert (caught.value.status, caught.value.field) == (status, field)


def test_a_sequence_may_be_of_another_kind():
    information = Dataset()
    information.TransactionUID = "1.2.3"
    information.add_new(0x00081199, "LO", "none")
    with pytest.raises(InvalidCommitment, match="no sequence") as caught:
        Transaction.from_dataset(travelled(information, EXPLICIT_VR_LITTLE_ENDIAN))
    assert caught.value.status == 0x0115


def test_too_many_references_are_not_taken():
    assert len(Transaction.from_dataset(about(3), most=3).references) == 3
    with pytest.raises(InvalidCommitment, match="4 references; at most 3") as caught:
        Transaction.from_dataset(about(4), most=3)
    assert caught.value.status == 0x0213


def test_without_any_data_set():
    with pytest.raises(InvalidCommitment):
        Transaction.from_dataset(None)
    with pytest.raises(InvalidCommitment):
        Verdict.from_dataset(None, 1)


# ------------------------------------------------------------------ reports


def report(number: int = 1, **changes: object) -> NormalizedRequest:
    given = {
        "operation": "N-EVENT-REPORT",
        "sop_class_uid": COMMITMENT,
        "sop_instance_uid": COMMITMENT_INSTANCE,
        "number": number,
        "attributes": about(),
        **changes,
    }
    return NormalizedRequest(**given)  # type: ignore[arg-type]


def test_a_report_is_told_with_its_sender():
    told: list[tuple[Requestor, Verdict]] = []
    reply = CommitmentReports(lambda *what: told.append(what)).perform(PEER, report())
    assert reply.status == 0x0000
    assert told == [(PEER, Verdict("1.2.3", (Reference(CT, "1.2.3.0"),)))]


def test_what_has_failed_has_failed_whatever_the_event_type_says():
    information = about()
    failed = Dataset()
    failed.ReferencedSOPClassUID, failed.ReferencedSOPInstanceUID, failed.FailureReason = CT, "1.2.9", 0x0112
    information.FailedSOPSequence = [failed]
    told: list[Verdict] = []
    CommitmentReports(lambda _who, verdict: told.append(verdict)).perform(PEER, report(1, attributes=information))
    assert told[0].failed == (Failed(Reference(CT, "1.2.9"), 0x0112),)
    assert told[0].event_type == 2


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (report(operation="N-ACTION"), 0x0211),
        (report(sop_instance_uid="1.2.3"), 0x0112),
        (report(3), 0x0113),
        (report(2), 0x0120),  # failures exist, it says, and names none
        (report(attributes=None), 0x0120),
    ],
)
def test_what_is_no_report_is_refused_and_not_told(request_, status):
    told: list[object] = []
    with pytest.raises(Refusal) as caught:
        CommitmentReports(lambda *what: told.append(what)).perform(PEER, request_)
    assert caught.value.status == status
    assert told == []
