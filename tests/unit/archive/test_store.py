"""Taking instances in: what is kept, what is refused, what is left behind."""

from __future__ import annotations

import contextlib
import logging
import random
import signal
import sqlite3
import threading
from pathlib import Path

import numpy
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.archive.archive import INDEX_NAME, Archive
from dicomfab.archive.errors import ArchiveFailure, MismatchedInstance, UnreadableInstance
from dicomfab.archive.records import Duplicate, Outcome
from dicomfab.model.errors import InvalidInput
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment
from tests.unit.archive.builders import (
    BIG,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    dataset,
    encode,
    identity_of,
    received,
    store,
)


def files_of(root: Path) -> list[str]:
    """What is kept of instances: all files but the archive's own, and empty ones that wait for content."""
    own = ("opening.lock", "placing", "index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm")
    kept = (path for path in root.rglob("*") if path.is_file() and path.name not in own and path.stat().st_size)
    return sorted(str(path.relative_to(root)) for path in kept)


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    Archive(tmp_path / "archive").close()
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG])
def test_the_data_set_is_kept_as_received_in_any_transfer_syntax(archive: Archive, syntax: str) -> None:
    data = dataset(PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100", Rows=512, InstanceNumber=7)
    stored = store(archive, data, syntax)
    assert stored.outcome is Outcome.NEW
    content = stored.instance.path.read_bytes()
    assert content[stored.instance.dataset_offset :] == encode(data, syntax)
    assert stored.instance.size_bytes == len(encode(data, syntax))
    read = pydicom.dcmread(stored.instance.path)
    assert read.file_meta.TransferSyntaxUID == syntax
    assert str(read.PatientName) == "Müller^Jörg"
    assert archive.instances("1.2.1") == [stored.instance]
    assert archive.patients()[0].patient_name == "Müller^Jörg"
    assert files_of(archive.root) == ["instances/1.2.1/1.2.1.1/1.2.1.1.1.dcm"]


def test_the_same_content_again_is_the_same_instance(archive: Archive) -> None:
    first = store(archive, dataset())
    again = store(archive, dataset())
    assert (again.outcome, again.instance) == (Outcome.SAME, first.instance)
    assert archive.storage().instances == 1


@pytest.mark.parametrize(
    ("rule", "outcome", "description"),
    [
        (Duplicate.KEEP, Outcome.KEPT, "first"),
        (Duplicate.REFUSE, Outcome.REFUSED, "first"),
        (Duplicate.REPLACE, Outcome.REPLACED, "second"),
    ],
)
def test_other_content_under_the_same_uid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rule: Duplicate, outcome: Outcome, description: str
) -> None:
    archive = Archive(tmp_path, on_duplicate=rule)
    store(archive, dataset(StudyDescription="first"))
    with caplog.at_level(logging.WARNING):
        stored = store(archive, dataset(StudyDescription="second"))
    assert stored.outcome is outcome
    assert "1.2.1.1.1" in caplog.text
    assert "DOE" not in caplog.text
    assert pydicom.dcmread(stored.instance.path).StudyDescription == description
    assert archive.study("1.2.1").summary.description == description
    assert archive.instances("1.2.1") == [stored.instance]
    assert len(files_of(tmp_path)) == 1
    archive.close()


def test_replacing_back_and_forth_into_another_study(tmp_path: Path) -> None:
    archive = Archive(tmp_path, on_duplicate=Duplicate.REPLACE)
    variants = [dataset(), dataset(StudyDescription="x"), dataset(study="1.9", PatientID="P2"), dataset()]
    for data in variants:
        stored = store(archive, data)
        assert stored.instance.path.read_bytes()[stored.instance.dataset_offset :] == encode(data)
        assert len(files_of(tmp_path)) == 1
        summary = archive.storage()
        assert (summary.patients, summary.studies, summary.series, summary.instances) == (1, 1, 1, 1)
    archive.close()


def test_a_file_that_vanished_is_stored_anew(archive: Archive) -> None:
    first = store(archive, dataset())
    first.instance.path.unlink()
    assert store(archive, dataset()).outcome is Outcome.NEW
    assert first.instance.path.is_file()
    assert archive.storage().instances == 1


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "../../etc", "1.2.abc"])
def test_an_instance_without_a_place_is_refused(archive: Archive, missing: str, value: str | None) -> None:
    data = dataset()
    del data[missing]
    if value is not None:
        data.add(pydicom.DataElement(missing, "UI", value, validation_mode=pydicom.config.IGNORE))
    with pytest.raises(UnreadableInstance) as caught:
        store(archive, data)
    assert caught.value.status == 0xC000
    assert caught.value.field == missing
    assert files_of(archive.root) == []
    assert archive.storage().instances == 0


@pytest.mark.parametrize(
    "announced", [InstanceIdentity(CT, "1.2.9", EXPLICIT), InstanceIdentity("1.2.3", "1.2.1.1.1", EXPLICIT)]
)
def test_another_instance_than_announced_is_refused(archive: Archive, announced: InstanceIdentity) -> None:
    incoming = archive.begin(announced)
    incoming.write(encode(dataset()))
    with pytest.raises(MismatchedInstance) as caught:
        incoming.commit(environment=Environment.TEST)
    assert caught.value.status == 0xA900
    assert files_of(archive.root) == []


@pytest.mark.parametrize("uid", ["", "x", "../1", "1.2.3/4", "1" * 65])
def test_uids_of_the_command_are_checked(archive: Archive, uid: str) -> None:
    with pytest.raises(InvalidInput):
        archive.begin(InstanceIdentity(CT, uid, EXPLICIT))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("before_bytes", [0, 15_000, 40_000, 300_000])
@pytest.mark.parametrize("chunk_bytes", [1_000, 70_000, 1 << 20])
def test_a_header_is_read_however_far_it_goes_and_however_it_arrives(
    archive: Archive, syntax: str, before_bytes: int, chunk_bytes: int
) -> None:
    data = dataset(Rows=512, ImageComments="last")
    data.add_new(0x00110010, "LO", "TEST")
    data.add_new(0x00111001, "OB", random.Random(0).randbytes(before_bytes))  # not to be deflated
    data.add_new(0x7FE00010, "OW", random.Random(1).randbytes(100_000))
    content = encode(data, syntax)
    incoming = archive.begin(identity_of(data, syntax))
    buffer = bytearray(chunk_bytes)
    for start in range(0, len(content), chunk_bytes):
        piece = content[start : start + chunk_bytes]
        buffer[: len(piece)] = piece  # a view of it holds only during the call
        with memoryview(buffer) as view:
            incoming.write(view[: len(piece)])
    stored = incoming.commit(environment=Environment.TEST).instance
    assert stored.path.read_bytes()[stored.dataset_offset :] == content
    assert incoming.size_bytes == stored.size_bytes == len(content)
    asked = received(QueryRetrieveLevel="IMAGE", SOPInstanceUID="1.2.1.1.1", Rows=None)
    assert [match.Rows for match in archive.find(QueryModel.STUDY_ROOT, asked)] == [512]


def test_pixels_may_come_as_an_array_of_numbers(archive: Archive) -> None:
    data = dataset()
    pixels = numpy.arange(100_000, dtype="<u2").reshape(250, 400)
    incoming = archive.begin(identity_of(data))
    incoming.write(encode(data) + b"\xe0\x7f\x10\x00OW\0\0" + pixels.nbytes.to_bytes(4, "little"))
    incoming.write(memoryview(pixels))
    incoming.write(memoryview(b""))
    stored = incoming.commit(environment=Environment.TEST).instance
    assert pydicom.dcmread(stored.path).PixelData == pixels.tobytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    cut=st.integers(0, 400),
    noise=st.binary(max_size=60),
    syntax=st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED]),
)
def test_damaged_data_is_refused_and_nothing_else_happens(
    archive: Archive, cut: int, noise: bytes, syntax: str
) -> None:
    nested = Dataset()
    nested.CodeMeaning = "X" * 50
    whole = encode(dataset(ProcedureCodeSequence=Sequence([nested])), syntax)
    incoming = archive.begin(identity_of(dataset(), syntax))
    incoming.write(whole[:cut] + noise + whole[cut + len(noise) :])
    with contextlib.suppress(UnreadableInstance, MismatchedInstance):
        incoming.commit(environment=Environment.TEST)
    assert len(files_of(archive.root)) == archive.storage().instances


def test_sequences_without_end_exhaust_nothing(archive: Archive) -> None:
    incoming = archive.begin(identity_of(dataset()))
    opening = b"\x08\x00\x10\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    incoming.write(opening * 100_000)
    with pytest.raises(UnreadableInstance, match="nested"):
        incoming.commit(environment=Environment.TEST)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_sequences_of_undefined_length_are_passed_over(archive: Archive, syntax: str) -> None:
    inner, outer = Dataset(), Dataset()
    inner.PatientID = "not this one"
    inner.StudyInstanceUID = "1.66"
    outer.ReferencedSOPSequence = Sequence([inner, inner])
    outer["ReferencedSOPSequence"].is_undefined_length = True
    inner.is_undefined_length_sequence_item = True
    data = dataset(ReferencedStudySequence=Sequence([outer, outer]))
    data["ReferencedStudySequence"].is_undefined_length = True
    store(archive, data, syntax)
    assert archive.studies().studies[0].patient_id == "P1"


def test_an_aborted_instance_leaves_nothing(archive: Archive) -> None:
    with archive.begin(identity_of(dataset())) as incoming:
        incoming.write(b"\0" * 100_000)
    assert files_of(archive.root) == []


def test_production_wins(archive: Archive) -> None:
    store(archive, dataset(), environment=Environment.TEST)
    assert archive.study("1.2.1").summary.environment is Environment.TEST
    store(archive, dataset(), environment=Environment.PROD)
    assert archive.study("1.2.1").summary.environment is Environment.PROD
    store(archive, dataset(instance="1.2.1.1.2"), environment=Environment.TEST)
    assert archive.study("1.2.1").summary.environment is Environment.PROD
    store(archive, dataset(study="1.3"), environment=Environment.TEST)
    store(archive, dataset(study="1.3", instance="1.3.2"), environment=Environment.PROD)
    assert {s.environment for s in archive.studies().studies} == {Environment.PROD}


def test_a_batch_is_stored_whole(archive: Archive) -> None:
    with archive.batch() as batch:
        for number in range(5):
            data = dataset(instance=f"1.2.1.1.{number + 1}")
            with batch.begin(identity_of(data)) as incoming:
                incoming.write(encode(data))
                incoming.commit(environment=Environment.TEST)
        assert archive.storage().instances == 0
    assert [one.outcome for one in batch.stored] == [Outcome.NEW] * 5
    assert [one.instance for one in batch.stored] == archive.instances("1.2.1")
    assert len(files_of(archive.root)) == 5


@pytest.mark.parametrize("fault", ["error in the block", "a file in the way of a directory"])
def test_a_failed_batch_leaves_nothing(archive: Archive, fault: str) -> None:
    store(archive, dataset(study="1.7", instance="1.7.1"))
    before = files_of(archive.root)
    if fault.startswith("a file"):
        (archive.root / "instances" / "1.8").write_text("in the way")
        before = sorted([*before, "instances/1.8"])
    with pytest.raises((ZeroDivisionError, ArchiveFailure)), archive.batch() as batch:  # noqa: PT012
        for data in (dataset(), dataset(study="1.8", instance="1.8.1")):
            incoming = batch.begin(identity_of(data))
            incoming.write(encode(data))
            incoming.commit(environment=Environment.TEST)
        if fault.startswith("error"):
            raise ZeroDivisionError
    assert files_of(archive.root) == before
    assert archive.storage().instances == 1


def test_many_threads_store_at_once(archive: Archive) -> None:
    outcomes: list[Outcome] = []

    def send(thread: int) -> None:
        for number in range(20):
            data = dataset(study=f"1.{thread % 2 + 1}", instance=f"1.5.{thread}.{number}", PatientID=f"P{thread % 2}")
            outcomes.append(store(archive, data).outcome)
        outcomes.append(store(archive, dataset(study="1.1", instance="1.6", PatientID="P0")).outcome)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Outcome.NEW) == 121
    assert outcomes.count(Outcome.SAME) == 5
    summary = archive.storage()
    assert (summary.patients, summary.studies, summary.series, summary.instances) == (2, 2, 2, 121)


def test_one_bad_instance_does_not_spoil_the_others_of_its_group(archive: Archive) -> None:
    store(archive, dataset(instance="1.9.9"))
    (archive.root / "instances" / "1.8").write_text("in the way")
    failures: list[int] = []

    def send(number: int) -> None:
        data = dataset(study="1.8" if number % 4 == 0 else "1.2", instance=f"1.9.{number}")
        try:
            store(archive, data)
        except ArchiveFailure as error:
            failures.append(error.status)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [0xA700, 0xA700]
    assert archive.storage().instances == 7


def test_a_thread_that_is_interrupted_while_it_waits_holds_up_no_other(archive: Archive) -> None:
    store(archive, dataset(instance="1.9.0"))
    writer = archive._opened().writer
    main, waiting = threading.main_thread().ident, threading.Event()
    assert main is not None
    with contextlib.closing(sqlite3.connect(archive.root / INDEX_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        leader = threading.Thread(target=store, args=(archive, dataset(instance="1.9.1")))
        leader.start()

        def interrupt() -> None:
            while not writer._queue:  # until the main thread waits there
                waiting.wait(0.001)
            signal.pthread_kill(main, signal.SIGINT)

        while not writer._led or writer._queue:  # until the other leads
            waiting.wait(0.001)
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            store(archive, dataset(instance="1.9.2"))
        interrupter.join()
        other.execute("ROLLBACK")
    leader.join()
    store(archive, dataset(instance="1.9.3"))
    assert sorted(one.identity.sop_instance_uid for one in archive.instances("1.2.1")) == ["1.9.0", "1.9.1", "1.9.3"]


def test_deleting_a_study(archive: Archive) -> None:
    for study in ("1.3", "1.4"):
        for number in (1, 2):
            store(archive, dataset(study=study, series=f"{study}.{number}", instance=f"{study}.{number}.1"))
    assert archive.delete_study("1.3") == 2
    assert not archive.has_study("1.3")
    assert archive.has_study("1.4")
    assert len(files_of(archive.root)) == 2
    assert not (archive.root / "instances" / "1.3").exists()
    assert archive.storage().patients == 1
    assert archive.delete_study("1.4") == 2
    assert archive.storage().patients == 0
    assert store(archive, dataset(study="1.3")).outcome is Outcome.NEW


def test_patients_without_an_id_are_not_taken_for_one_another(archive: Archive) -> None:
    store(archive, dataset(study="1.3", instance="1.3.1", PatientID="", PatientName="A"))
    store(archive, dataset(study="1.4", instance="1.4.1", PatientID=None, PatientName="B"))
    assert [p.patient_name for p in archive.patients()] == ["A", "B"]


def test_the_issuer_is_part_of_a_patients_key(archive: Archive) -> None:
    for number, issuer in enumerate(("X", "Y", "X", None)):
        store(archive, dataset(study=f"1.{number + 1}", instance=f"1.5.{number}", IssuerOfPatientID=issuer))
    assert sorted((p.issuer, p.study_count) for p in archive.patients()) == [("", 1), ("X", 2), ("Y", 1)]
