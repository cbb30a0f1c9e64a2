from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.dicomweb.handler import Handler
from dicomfab.dicomweb.multipart import written
from dicomfab.model.study import InstanceFile
from dicomfab.pixels.transcode import transcode
from tests.unit.dicomweb.asking import ROOT, Answer, ask, place, related
from tests.unit.dicomweb.conftest import Fabricate
from tests.unit.dicomweb.memory_store import MemoryStore, Sink

BOUNDARY = "b0undary"
TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
DICOM = {"Content-Type": "application/dicom"}
SYNTAXES = [f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99")]


@pytest.fixture
def files(fabricated: Fabricate) -> list[InstanceFile]:
    return fabricated("ct-chest")


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path)


def body(*contents: bytes, headers: dict[str, str] | None = None) -> bytes:
    return b"".join(written([(DICOM if headers is None else headers, [content]) for content in contents], BOUNDARY))


def pieces(data: bytes, size: int = 65536) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def post(store: MemoryStore, data: bytes, path: str = "studies", **headers: str) -> Answer:
    sent = {"content_type": TYPE, **headers}
    return ask(store, path, method="POST", body=pieces(data), **sent)


def response(answer: Answer) -> Dataset:
    assert answer.headers["Content-Type"] == "application/dicom+json"
    return Dataset.from_json(json.dumps(answer.json))


def reasons(answer: Answer, sequence: str = "FailedSOPSequence") -> list[int]:
    return [item.FailureReason for item in response(answer).get(sequence, [])]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_stored_is_found_and_comes_back_byte_for_byte(
    store: MemoryStore, files: list[InstanceFile], tmp_path: Path, syntax: str
) -> None:
    if syntax != files[0].identity.transfer_syntax_uid:
        (tmp_path / "sent").mkdir()
        files = [transcode(file, syntax, tmp_path / "sent") for file in files]
    sent = [file.path.read_bytes() for file in files]
    answer = post(store, body(*sent))
    assert answer.status == 200
    told = response(answer)
    held = store.held[0][0]
    assert told.RetrieveURL == f"{ROOT}/{place(held, 1)}"
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == [
        file.identity.sop_instance_uid for file in files
    ]
    assert told.ReferencedSOPSequence[0].RetrieveURL == f"{ROOT}/{place(held)}"
    assert told.ReferencedSOPSequence[0].ReferencedSOPClassUID == files[0].identity.sop_class_uid
    assert "FailedSOPSequence" not in told
    assert [one.file.path.read_bytes() for one, _ in store.held] == sent
    assert len(ask(store, f"{place(held, 2)}/instances").json) == len(files)
    if syntax in SYNTAXES[1::2]:
        back = ask(store, place(held, 1), accept=related("application/dicom", "*"))
        assert [content for _, content in back.parts] == sent


def test_one_instance_may_come_without_multipart(store: MemoryStore, files: list[InstanceFile]) -> None:
    answer = post(store, files[0].path.read_bytes(), content_type="application/dicom")
    assert (answer.status, len(store.held)) == (200, 1)


def test_parts_need_not_say_what_they_are(store: MemoryStore, files: list[InstanceFile]) -> None:
    assert post(store, body(files[0].path.read_bytes(), headers={})).status == 200


def test_instances_are_streamed(store: MemoryStore, files: list[InstanceFile], monkeypatch: pytest.MonkeyPatch) -> None:
    longest: list[int] = []
    write = Sink.write
    monkeypatch.setattr(Sink, "write", lambda self, chunk: (longest.append(len(chunk)), write(self, chunk))[1])
    assert post(store, body(files[0].path.read_bytes())).status == 200
    assert len(longest) > 5
    assert max(longest) <= 2 * 65536


# --- some or none -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [0x0122, 0x0110, 0xA700])
def test_what_is_not_stored_is_told_with_its_reason(store: MemoryStore, files: list[InstanceFile], reason: int) -> None:
    refused = files[1].identity.sop_instance_uid
    store.refused[refused] = reason
    answer = post(store, body(*(file.path.read_bytes() for file in files)))
    told = response(answer)
    assert answer.status == 202
    assert reasons(answer) == [reason]
    assert told.FailedSOPSequence[0].ReferencedSOPInstanceUID == refused
    assert len(told.ReferencedSOPSequence) == len(store.held) == len(files) - 1


def test_none_stored_is_a_conflict(store: MemoryStore, files: list[InstanceFile]) -> None:
    store.refused = {file.identity.sop_instance_uid: 0xC000 for file in files}
    answer = post(store, body(*(file.path.read_bytes() for file in files)))
    assert (answer.status, reasons(answer)) == (409, [0xC000] * len(files))
    assert "ReferencedSOPSequence" not in response(answer)


def test_a_warning_makes_it_accepted(store: MemoryStore, files: list[InstanceFile]) -> None:
    store.warned[files[0].identity.sop_instance_uid] = 0xB000
    answer = post(store, body(files[0].path.read_bytes()))
    assert (answer.status, response(answer).ReferencedSOPSequence[0].WarningReason) == (202, 0xB000)


def test_instances_of_another_study_than_the_path_names_are_refused(
    store: MemoryStore, files: list[InstanceFile], fabricated: Fabricate
) -> None:
    other = fabricated("us-colour", seed=8)[0]
    path = f"studies/{study_of(files[0])}"
    answer = post(store, body(files[0].path.read_bytes(), other.path.read_bytes()), path)
    assert (answer.status, reasons(answer), len(store.held)) == (202, [0xA900], 1)
    assert post(store, body(other.path.read_bytes()), path).status == 409


def study_of(file: InstanceFile) -> str:
    from pydicom import dcmread

    return str(dcmread(file.path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


@pytest.mark.parametrize(
    "content", [b"", b"x" * 200, bytes(128) + b"DICM", bytes(128) + b"DICM\2\0\x10\0UI\4\x001.2\0", bytes(500)]
)
def test_what_is_no_instance_is_told_and_the_others_are_stored(
    store: MemoryStore, files: list[InstanceFile], content: bytes
) -> None:
    answer = post(store, body(content, files[0].path.read_bytes()))
    assert (answer.status, len(store.held)) == (202, 1)
    assert reasons(answer, "OtherFailuresSequence") == [0xC000]
    assert post(store, body(content)).status == 409


@pytest.mark.parametrize("media_type", ["application/dicom+json", "nonsense"])
def test_a_part_of_another_type_is_told(store: MemoryStore, files: list[InstanceFile], media_type: str) -> None:
    parts = [({"Content-Type": media_type}, [b"[]"]), ({}, [files[0].path.read_bytes()])]
    answer = post(store, b"".join(written(parts, BOUNDARY)))
    assert (answer.status, len(store.held)) == (202, 1)
    assert reasons(answer, "OtherFailuresSequence") == [0xC000]


def test_a_full_disk_is_told_for_each_instance(store: MemoryStore, files: list[InstanceFile]) -> None:
    sizes = [file.path.stat().st_size for file in files]
    store.space = sizes[0] + 1000
    answer = post(store, body(*(file.path.read_bytes() for file in files)))
    assert (answer.status, reasons(answer)) == (202, [0xA700] * (len(files) - 1))


# --- bodies that cannot be ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", 415),
        ("application/json", 415),
        ("nonsense", 415),
        ('multipart/related; type="application/dicom+xml"; boundary=b', 415),
        ('multipart/form-data; boundary="b0undary"', 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=other', 400),
    ],
)
def test_a_body_of_another_type_is_not_taken(
    store: MemoryStore, files: list[InstanceFile], content_type: str, status: int
) -> None:
    answer = post(store, body(files[0].path.read_bytes()), content_type=content_type)
    assert (answer.status, store.held) == (status, [])


def test_nothing_is_stored_for_a_client_that_cannot_read_the_answer(
    store: MemoryStore, files: list[InstanceFile]
) -> None:
    answer = post(store, body(files[0].path.read_bytes()), accept="application/dicom+xml")
    assert (answer.status, store.held) == (406, [])


def test_a_body_without_an_instance_is_malformed(store: MemoryStore) -> None:
    assert post(store, b"--b0undary--\r\n").status == 400


def test_what_broke_off_after_something_was_stored_is_told(store: MemoryStore, files: list[InstanceFile]) -> None:
    data = body(*(file.path.read_bytes() for file in files[:2]))
    answer = post(store, data[:-1000])
    assert (answer.status, len(store.held)) == (202, 1)
    assert (reasons(answer), reasons(answer, "OtherFailuresSequence")) == ([0xC000], [])
    assert response(answer).FailedSOPSequence[0].ReferencedSOPInstanceUID == files[1].identity.sop_instance_uid
    alone = MemoryStore(store.folder)
    assert post(alone, body(files[0].path.read_bytes())[:-1000]).status == 400
    assert not alone.held


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_that_is_too_long_is_not_taken(store: MemoryStore, files: list[InstanceFile], stated: bool) -> None:
    data = body(files[0].path.read_bytes())
    taken: list[int] = []

    def counted() -> Iterator[bytes]:
        for piece in pieces(data):
            taken.append(len(piece))
            yield piece

    headers: dict[str, Any] = {"content_length": str(len(data))} if stated else {}
    handler = Handler(max_body_bytes=200_000)
    answer = ask(store, "studies", method="POST", body=counted(), handler=handler, content_type=TYPE, **headers)
    assert (answer.status, store.held) == (413, [])
    assert sum(taken) <= (0 if stated else 300_000)
    assert "200000 bytes" in answer.json["detail"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_body_never_makes_a_failure_of_ours(
    tmp_path: Path, files: list[InstanceFile], data: st.DataObject
) -> None:
    content = files[0].path.read_bytes()
    head = bytearray(body(content[:3000], content[:2000]))
    for _ in range(data.draw(st.integers(0, 6))):
        head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    del head[data.draw(st.integers(0, len(head))) :]
    store = Lenient(tmp_path)
    answer = ask(store, "studies", method="POST", body=pieces(bytes(head), 500), content_type=TYPE)
    assert answer.status in (200, 202, 400, 409)


class Lenient(MemoryStore):
    """Takes anything without a look at it."""

    def add(self, file: InstanceFile) -> Any:
        from dicomfab.dicomweb.ports import HeldInstance

        return HeldInstance(file, "1.2.3", "1.2.4")
