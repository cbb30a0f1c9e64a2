"""A backup that is not as it was written is refused before anything is written, whatever was done to it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.model.errors import InvalidInput
from dicomfab.services.backup.reading import read_through
from dicomfab.services.backup.tar_file import Shortened, Writer, is_plain
from tests.unit.services.backup.world import ADMIN, installation, packed, rebuilt

MEMBERS = {
    "secrets/ward": b"geheim\n",
    "recipes/empty.yaml": b"",
    "studies/instances/" + "/".join((f"1.2.{'3' * 56}.{n}") for n in range(3)) + ".dcm": bytes(range(256)) * 5,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return packed(tmp_path_factory.mktemp("whole") / "a.tar", MEMBERS).read_bytes()


def refused(data: bytes) -> str:
    with pytest.raises(InvalidInput) as error:
        read_through(io.BytesIO(data), Path("a.tar"))
    assert (bool(error.value.cause), bool(error.value.remedy)) == (True, True)
    return error.value.what


def test_it_is_read_as_it_was_written(whole: bytes) -> None:
    found = {}
    read = read_through(io.BytesIO(whole), Path("a.tar"), lambda name, pieces: found.update({name: b"".join(pieces)}))
    assert (found, read.members) == (MEMBERS, len(MEMBERS) + 1)
    assert len(whole) % tarfile.RECORDSIZE == 0


@given(data=st.data())
@settings(max_examples=300)
def test_no_byte_can_be_another(whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    refused(whole[:at] + bytes([whole[at] ^ other]) + whole[at + 1 :])


@given(data=st.data())
@settings(max_examples=100)
def test_nothing_can_be_cut_off_put_in_or_added(whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    refused(whole[:at])
    refused(whole[:at] + data.draw(st.binary(min_size=1, max_size=600)) + whole[at:]) if at % 7 else refused(
        whole + bytes(at + 1)
    )


@given(st.binary(max_size=2000))
def test_anything_else_is_no_backup(data: bytes) -> None:
    refused(data)


def test_the_message_says_what_was_altered(whole: bytes) -> None:
    at = whole.index(b"geheim")
    assert "'secrets/ward' is not as the list" in refused(
        whole[:at] + b"g" + whole[at + 1 :].replace(b"eheim", b"ehejm", 1)
    )
    assert "it ends" in refused(whole[:-9000])
    assert "something follows" in refused(whole + b"x")


def test_a_list_that_agrees_with_less_or_other_files_is_needed(tmp_path: Path) -> None:
    file = packed(tmp_path / "a.tar", MEMBERS)

    def without(info: tarfile.TarInfo, data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        if info.name != "secrets/ward":
            yield info, data

    def with_line(info: tarfile.TarInfo, data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        if info.name == "manifest.jsonl":
            line = {"name": "x", "size": 0, "sha256": hashlib.sha256().hexdigest()}
            data += json.dumps(line, separators=(",", ":")).encode() + b"\n"
        yield info, data

    def as_it_is(info: tarfile.TarInfo, data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        yield info, data

    read_through(io.BytesIO(rebuilt(file, as_it_is).read_bytes()), file)
    for change in (without, with_line):
        assert "the list" in refused(rebuilt(file, change).read_bytes())


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/etc/out", "a//b", "./a", "a/.", "", "a/", "..", "x" * 300 + "/y", "a\0b"]
)
def test_no_name_leads_out(tmp_path: Path, name: str) -> None:
    assert not is_plain(name)
    file = packed(tmp_path / "a.tar", {name: b"x"})
    with installation(tmp_path / "new") as new, pytest.raises(InvalidInput):
        new.restoring.restore(ADMIN, file)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize(
    ("kind", "at", "value"),
    [
        (tarfile.SYMTYPE, 157, b"/etc/passwd"),
        (tarfile.LNKTYPE, 157, b"secrets/ward"),
        (tarfile.DIRTYPE, 100, b"0000700"),
        (tarfile.FIFOTYPE, 100, b"0000600"),
        (tarfile.CHRTYPE, 329, b"0000001"),
        (tarfile.REGTYPE, 100, b"0004755"),
        (tarfile.REGTYPE, 108, b"0001750"),
        (tarfile.REGTYPE, 265, b"owner"),
        (tarfile.GNUTYPE_SPARSE, 386, b"1"),
        (tarfile.XHDTYPE, 100, b"0000600"),
    ],
)
def test_nothing_but_plain_files_with_a_right_checksum(tmp_path: Path, kind: bytes, at: int, value: bytes) -> None:
    def changed(block: bytes) -> bytes:
        if not block.startswith(b"secrets/"):
            return block
        block = block[:at] + value + block[at + len(value) :]
        return block[:156] + kind + block[157:]

    file = packed(tmp_path / "a.tar", MEMBERS, headers=changed)
    with installation(tmp_path / "new") as new, pytest.raises(InvalidInput):
        new.restoring.restore(ADMIN, file)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a")])
def test_two_files_in_one_place_leave_nothing(tmp_path: Path, names: tuple[str, ...]) -> None:
    from dicomfab.services.backup.about import About

    about = About("2026-01-01T00:00:00+00:00", "/h", "0001", lab=False)
    file = packed(tmp_path / "a.tar", dict.fromkeys(names, b"x"), about)
    with installation(tmp_path / "new") as new, pytest.raises(InvalidInput, match="in one place"):
        new.restoring.restore(ADMIN, file)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_size_that_no_file_has_is_no_trap(whole: bytes) -> None:
    from tests.unit.services.backup.world import with_checksum

    block = bytearray(whole[:512])
    for size in (b"\x80" + b"\xff" * 11, b"\xff" * 12, b"77777777777\0"):
        block[124:136] = size
        refused(with_checksum(bytes(block)) + whole[512:])


def test_a_member_that_ends_too_early_leaves_the_file_as_it_was() -> None:
    written, listed = io.BytesIO(), io.BytesIO()
    writer = Writer(written, listed, 1)
    with pytest.raises(Shortened):
        writer.add("x", io.BytesIO(b"short"), 9)
    assert (written.getvalue(), listed.getvalue()) == (b"", b"")
