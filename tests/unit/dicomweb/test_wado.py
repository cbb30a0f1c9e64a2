from __future__ import annotations

import copy
import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate

from dicomfab.dicomweb.handler import Handler
from dicomfab.dicomweb.messages import Request
from dicomfab.model.study import InstanceFile
from dicomfab.pixels.transcode import transcode
from tests.unit.dicomweb.asking import ROOT, ask, place, related
from tests.unit.dicomweb.conftest import Fabricate
from tests.unit.dicomweb.memory_store import MemoryStore
from tests.unit.dicomweb.test_json_model import file_of
from tests.unit.pixels.instances import data_set, picture

EXPLICIT, IMPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in (".1", "", ".2", ".1.99"))
JPEG, JPEG_LS, RLE = (f"1.2.840.10008.1.2.{end}" for end in ("4.50", "4.80", "5"))
DICOM, OCTETS = "application/dicom", "application/octet-stream"


@pytest.fixture
def store(fabricated: Fabricate, tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path, fabricated("ct-chest", "dx-chest"))


@pytest.fixture
def coded(fabricated: Fabricate, tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path, fabricated("ct-chest", transfer_syntax=JPEG_LS))


def pixels(content: bytes) -> bytes:
    array = dcmread(io.BytesIO(content)).pixel_array
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


@pytest.fixture
def natively(fabricated: Fabricate) -> list[bytes]:
    """The pixels of what is JPEG-LS in ``coded``, as they were before."""
    return [dcmread(file.path).PixelData for file in fabricated("ct-chest")]


# --- instances ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "count"), [(1, 5), (2, 3), (3, 1)])
def test_instances_come_as_they_are_stored(store: MemoryStore, depth: int, count: int) -> None:
    first = store.held[0][0]
    answer = ask(store, place(first, depth), accept=related(DICOM, "*"))
    assert answer.status == 200
    assert len(answer.parts) >= count - (depth == 1)
    expected = store.instances(*[one for one in place(first, depth).split("/") if one[0].isdigit()])
    assert [content for _, content in answer.parts] == [held.file.path.read_bytes() for held in expected]
    for (headers, _), held in zip(answer.parts, expected, strict=True):
        assert headers["content-type"] == f"{DICOM}; transfer-syntax={EXPLICIT}"
        assert headers["content-location"] == f"{ROOT}/{place(held)}"


def test_one_instance_may_come_alone_and_in_ranges(store: MemoryStore) -> None:
    held = store.held[0][0]
    whole = held.file.path.read_bytes()
    answer = ask(store, place(held), accept=DICOM)
    assert answer.content == whole
    assert answer.headers["Content-Type"] == f"{DICOM}; transfer-syntax={EXPLICIT}"
    etag = answer.headers["ETag"]
    for asked, expected, told in (
        ("bytes=0-9", whole[:10], f"bytes 0-9/{len(whole)}"),
        ("bytes=300000-", whole[300000:], f"bytes 300000-{len(whole) - 1}/{len(whole)}"),
        ("bytes=-7", whole[-7:], f"bytes {len(whole) - 7}-{len(whole) - 1}/{len(whole)}"),
        (f"bytes=5-{10**15}", whole[5:], f"bytes 5-{len(whole) - 1}/{len(whole)}"),
    ):
        part = ask(store, place(held), accept=DICOM, range=asked, if_range=etag)
        assert (part.status, part.content, part.headers["Content-Range"]) == (206, expected, told)
    for ignored in ("bytes=9-2", "bytes=-", "bytes=1-2,4-5", "lines=1-2"):
        assert ask(store, place(held), accept=DICOM, range=ignored).status == 200
    assert ask(store, place(held), accept=DICOM, range="bytes=0-1", if_range='"other"').status == 200
    beyond = ask(store, place(held), accept=DICOM, range=f"bytes={len(whole)}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")


def test_without_a_transfer_syntax_instances_are_decoded(coded: MemoryStore, natively: list[bytes]) -> None:
    held = coded.held[0][0]
    for accept in ("", "*/*", related(DICOM), related(DICOM, EXPLICIT)):
        answer = ask(coded, place(held, 2), accept=accept)
        for (headers, content), expected in zip(answer.parts, natively, strict=True):
            assert headers["content-type"].endswith(EXPLICIT)
            assert dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID == EXPLICIT
            assert pixels(content) == expected
    assert not list(coded.folder.iterdir())


@pytest.mark.parametrize("accept", [related(DICOM, "*"), related(DICOM, JPEG_LS), f"{DICOM}; transfer-syntax=*"])
def test_nothing_is_transcoded_that_need_not_be(coded: MemoryStore, accept: str) -> None:
    held = coded.held[0][0]
    answer = ask(coded, place(held), accept=accept)
    content = answer.content if accept.startswith(DICOM) else answer.parts[0][1]
    assert content == held.file.path.read_bytes()
    assert not coded.transcodings


def test_a_single_instance_is_transcoded_with_its_length_and_removed_afterwards(coded: MemoryStore) -> None:
    held = coded.held[0][0]
    answer = ask(coded, place(held), accept=f"{DICOM}; transfer-syntax={DEFLATED}")
    assert "Content-Length" in answer.headers
    assert dcmread(io.BytesIO(answer.content)).file_meta.TransferSyntaxUID == DEFLATED
    assert not list(coded.folder.iterdir())


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG])
def test_what_has_no_place_on_the_web_is_converted(store: MemoryStore, tmp_path: Path, syntax: str) -> None:
    file = transcode(store.held[0][0].file, syntax, tmp_path)
    only = MemoryStore(tmp_path / "made", [file])
    only.folder.mkdir()
    for accept in ("", related(DICOM, "*")):
        ((headers, content),) = ask(only, place(only.held[0][0]), accept=accept).parts
        assert headers["content-type"].endswith(EXPLICIT)
        assert pixels(content) == pixels(file.path.read_bytes())
    assert ask(only, place(only.held[0][0]), accept=related(DICOM, syntax)).status == 406


@pytest.mark.parametrize(
    ("depth", "accept"),
    [(3, related(DICOM, JPEG)), (3, "image/png"), (1, DICOM), (2, related("application/dicom+xml")), (3, "*/*;q=0")],
)
def test_what_cannot_be_given_is_not_acceptable(store: MemoryStore, depth: int, accept: str) -> None:
    answer = ask(store, place(store.held[0][0], depth), accept=accept)
    assert answer.status == 406
    assert "application/dicom" in answer.json["remedy"]


def test_an_instance_that_cannot_be_decoded_is_told_before_anything_is_sent(coded: MemoryStore, tmp_path: Path) -> None:
    held, _ = coded.held[0]
    path = tmp_path / "damaged.dcm"
    content = held.file.path.read_bytes()
    path.write_bytes(content[:-2000] + bytes(1992) + content[-8:])
    damaged = MemoryStore(tmp_path, [InstanceFile(path, held.file.identity, held.file.dataset_offset)])
    assert ask(damaged, place(held)).status == 406
    assert ask(damaged, place(held), accept=related(DICOM, "*")).status == 200


def test_what_was_sent_before_is_not_sent_again_until_it_changes(store: MemoryStore, tmp_path: Path) -> None:
    held = store.held[0][0]
    for path, accept in (
        (place(held, 1), ""),
        (place(held), DICOM),
        (f"{place(held, 2)}/metadata", ""),
        (f"{place(held)}/frames/1", ""),
        (f"{place(held)}/bulkdata/7FE00010", OCTETS),
    ):
        first = ask(store, path, accept=accept)
        again = ask(store, path, accept=accept, if_none_match=f'"x", {first.headers["ETag"]}')
        assert (first.status, again.status, again.content) == (200, 304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert ask(store, path, accept=accept, if_none_match='"other"').status == 200
        assert ask(store, path, accept=accept, if_none_match="*").status == 304
    etag = ask(store, place(held, 2)).headers["ETag"]
    store.held.pop(1)
    assert ask(store, place(held, 2), if_none_match=etag).status == 200


def test_memory_does_not_grow_with_what_is_retrieved(tmp_path: Path) -> None:
    ds = data_set(picture(bits=8), bits=8)
    ds.PixelData = bytes(40_000_000)
    store = MemoryStore(tmp_path, [file_of(ds, tmp_path, EXPLICIT)])
    path = place(store.held[0][0])
    handler = Handler()
    tracemalloc.start()
    for what, accept in (("", related(DICOM)), ("", DICOM), ("/bulkdata/7FE00010", OCTETS), ("/metadata", "")):
        response = handler.answer(store, Request("GET", path + what, ROOT, (), {"accept": accept}))
        assert response.status == 200
        assert sum(map(len, response.content())) > (1000 if what == "/metadata" else 40_000_000 - 1)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_comes_as_it_is_stored_says_how_long_it_is(store: MemoryStore, coded: MemoryStore, depth: int) -> None:
    assert "Content-Length" in ask(store, place(store.held[0][0], depth)).headers
    held = coded.held[0][0]
    assert "Content-Length" in ask(coded, place(held, depth), accept=related(DICOM, "*")).headers
    assert "Content-Length" not in ask(coded, place(held, depth)).headers


def test_frames_that_need_not_be_decoded_say_how_long_they_are(
    store: MemoryStore, coded: MemoryStore, fabricated: Fabricate, tmp_path: Path
) -> None:
    bits = MemoryStore(tmp_path, fabricated("sc-multiframe-bit"))
    for one, what, accept, is_known in (
        (store, "frames/1", "", True),
        (store, "bulkdata/7FE00010", "", True),
        (store, "bulkdata/00280010", "", True),
        (bits, "frames/2,1,2", "", True),
        (coded, "frames/1", related("image/jls"), True),
        (coded, "bulkdata/7FE00010", related("image/jls"), True),
        (coded, "frames/1", "", False),
    ):
        answer = ask(one, f"{place(one.held[0][0])}/{what}", accept=accept)
        assert (answer.status, "Content-Length" in answer.headers) == (200, is_known)


# --- what is not there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["", "/metadata"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_is_not_there_is_not_found(store: MemoryStore, depth: int, what: str) -> None:
    path = place(store.held[0][0], depth).rsplit("/", 1)[0] + "/1.2.3.4"
    answer = ask(store, path + what)
    assert answer.status == 404
    assert "1.2.3.4" in answer.json["detail"]


def test_an_instance_of_another_series_is_not_found(store: MemoryStore) -> None:
    (first, _), (last, _) = store.held[0], store.held[-1]
    other = f"{place(first, 2)}/instances/{last.file.identity.sop_instance_uid}"
    for what in ("", "/metadata", "/frames/1", "/bulkdata/7FE00010"):
        assert ask(store, other + what).status == 404


@pytest.mark.parametrize("what", ["", "/metadata", "/frames/1", "/bulkdata/7FE00010"])
def test_an_instance_that_was_deleted_a_moment_ago_is_not_found(store: MemoryStore, tmp_path: Path, what: str) -> None:
    held = store.held[0][0]
    path = tmp_path / "gone.dcm"
    gone = MemoryStore(tmp_path, [held.file])
    listed = gone.held[0][0]
    gone.held[0] = (
        type(listed)(
            InstanceFile(path, listed.file.identity, listed.file.dataset_offset),
            listed.study_instance_uid,
            listed.series_instance_uid,
        ),
        gone.held[0][1],
    )
    assert ask(gone, place(held) + what).status == 404


# --- metadata -----------------------------------------------------------------------------------------------------


def test_metadata_lead_to_every_value_that_they_leave_out(store: MemoryStore) -> None:
    held, ds = store.held[0]
    answer = ask(store, f"{place(held, 2)}/metadata")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/dicom+json")
    first = answer.json[0]
    assert len(answer.json) == 3
    assert first["00080018"]["Value"] == [ds.SOPInstanceUID]
    uri = first["7FE00010"]["BulkDataURI"]
    assert uri.startswith(f"{ROOT}/{place(held)}/bulkdata/")
    value = ask(store, uri.removeprefix(f"{ROOT}/"), accept=OCTETS)
    assert value.content == dcmread(held.file.path).PixelData
    assert value.headers["Content-Type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
    part = ask(store, uri.removeprefix(f"{ROOT}/"), accept=OCTETS, range="bytes=10-19")
    assert (part.status, part.content) == (206, value.content[10:20])
    ((headers, content),) = ask(store, uri.removeprefix(f"{ROOT}/")).parts
    assert content == value.content
    assert headers["content-location"] == uri
    read = Dataset.from_json(json.dumps(first), lambda tag, vr, address: value.content)
    assert (read.PixelData, read.Rows) == (value.content, dcmread(held.file.path).Rows)


@pytest.mark.parametrize("accept", [related("application/dicom+xml"), "text/html"])
def test_metadata_are_in_json_only(store: MemoryStore, accept: str) -> None:
    assert ask(store, f"{place(store.held[0][0])}/metadata", accept=accept).status == 406


@pytest.mark.parametrize(
    "where", ["00280010", "00100010", "00081140/1/00081155", "00081140", "7FE00011", "x", "7FE00010/1"]
)
def test_values_that_are_there_or_not(store: MemoryStore, where: str) -> None:
    answer = ask(store, f"{place(store.held[0][0])}/bulkdata/{where}", accept=OCTETS)
    assert answer.status == (200 if where in ("00280010", "00100010") else 404)


def test_words_of_big_endian_come_in_little_endian(store: MemoryStore, tmp_path: Path) -> None:
    file = transcode(store.held[0][0].file, BIG, tmp_path)
    only = MemoryStore(tmp_path, [file])
    path = place(only.held[0][0])
    expected = dcmread(store.held[0][0].file.path).PixelData
    assert ask(only, f"{path}/bulkdata/7FE00010", accept=OCTETS).content == expected
    part = ask(only, f"{path}/bulkdata/7FE00010", accept=OCTETS, range="bytes=11-400000")
    assert part.content == expected[11:400001]
    assert ask(only, f"{path}/frames/1", accept=OCTETS).content == expected


# --- frames -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["us-colour", "nm-gated", "sc-multiframe-bit", "mr-enhanced"])
def test_frames_are_those_of_the_instance(fabricated: Fabricate, tmp_path: Path, kind: str) -> None:
    store = MemoryStore(tmp_path, fabricated(kind))
    held, ds = store.held[0]
    count = int(ds.NumberOfFrames)
    wanted = [count, 1, 2]
    answer = ask(store, f"{place(held)}/frames/{','.join(map(str, wanted))}")
    whole = dcmread(held.file.path).pixel_array
    for number, (headers, content) in zip(wanted, answer.parts, strict=True):
        assert headers["content-type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
        assert headers["content-location"] == f"{ROOT}/{place(held)}/frames/{number}"
        if ds.BitsAllocated == 1:
            bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
            assert (bits[: whole[0].size] == whole[number - 1].ravel()).all()
        else:
            assert content == whole[number - 1].tobytes()


def test_frames_of_single_bits_need_not_begin_with_a_byte(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    bits = random.integers(0, 2, (5, 7, 3)).astype(np.uint8)
    ds = data_set(picture(bits=8, rows=7, columns=3), bits=8)
    ds.NumberOfFrames, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 5, 1, 1, 0
    raw = np.packbits(bits.ravel(), bitorder="little").tobytes()
    ds.PixelData = raw + bytes(len(raw) % 2)
    store = MemoryStore(tmp_path, [file_of(ds, tmp_path, EXPLICIT)])
    for number, frame in enumerate(bits, 1):
        answer = ask(store, f"{place(store.held[0][0])}/frames/{number}", accept=OCTETS)
        found = np.unpackbits(np.frombuffer(answer.content, np.uint8), bitorder="little")
        assert (found[:21] == frame.ravel()).all()
        assert not found[21:].any()


@pytest.mark.parametrize(
    ("accept", "media_type", "syntax"),
    [
        ("", OCTETS, EXPLICIT),
        (related(OCTETS), OCTETS, EXPLICIT),
        (related(OCTETS, "*"), OCTETS, JPEG_LS),
        (related("image/jls"), "image/jls", JPEG_LS),
        (related("image/*"), "image/jls", JPEG_LS),
        (related("image/jls", JPEG_LS), "image/jls", JPEG_LS),
        (f"{related('image/jp2')}, {related(OCTETS, EXPLICIT)}; q=0.1", OCTETS, EXPLICIT),
    ],
)
def test_coded_frames_come_as_they_are_or_decoded(
    coded: MemoryStore, natively: list[bytes], accept: str, media_type: str, syntax: str
) -> None:
    held = coded.held[0][0]
    ds = dcmread(held.file.path)
    answer = ask(coded, f"{place(held)}/frames/1", accept=accept)
    ((headers, content),) = answer.parts
    assert f'type="{media_type}"' in answer.headers["Content-Type"]
    assert headers["content-type"] == f"{media_type}; transfer-syntax={syntax}"
    if syntax == EXPLICIT:
        assert content == natively[0]
    else:
        assert content.rstrip(b"\0") in ds.PixelData
        assert content[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("accept", [related("image/jp2"), related("image/jls", JPEG), related(OCTETS, IMPLICIT)])
def test_frames_in_another_coding_are_not_acceptable(coded: MemoryStore, accept: str) -> None:
    assert ask(coded, f"{place(coded.held[0][0])}/frames/1", accept=accept).status == 406


def test_coded_pixel_data_come_frame_by_frame(coded: MemoryStore) -> None:
    held = coded.held[0][0]
    ((headers, content),) = ask(coded, f"{place(held)}/bulkdata/7FE00010", accept=related("image/jls")).parts
    assert content == ask(coded, f"{place(held)}/frames/1", accept="image/jls").content
    assert headers["content-type"].startswith("image/jls")


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("fragments", [1, 3])
def test_frames_of_several_fragments_are_put_together(tmp_path: Path, has_table: bool, fragments: int) -> None:
    frames = [b"\xff\xd8\xff" + bytes([number]) * 99 for number in range(4)]
    ds = data_set(picture(bits=8), bits=8)
    ds.NumberOfFrames = len(frames)
    ds.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=has_table)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    store = MemoryStore(tmp_path, [file_of(ds, tmp_path, JPEG)])
    path = place(store.held[0][0])
    answer = ask(store, f"{path}/frames/1,2,3,4", accept=related("image/jpeg"))
    assert [content for _, content in answer.parts] == [frame + b"\0" * (len(frame) % 2) for frame in frames]
    broken = frames[0], frames[1]
    ds.PixelData = encapsulate(list(broken), fragments_per_frame=fragments, has_bot=has_table)
    (tmp_path / "broken").mkdir()
    store = MemoryStore(tmp_path, [file_of(ds, tmp_path / "broken", JPEG)])
    assert ask(store, f"{path}/frames/1", accept=related("image/jpeg")).status == 406


@pytest.mark.parametrize(
    ("listed", "status"),
    [
        ("2", 404),
        ("0", 404),
        ("1,9", 404),
        ("9" * 10, 404),
        ("x", 400),
        ("1,", 400),
        ("-1", 400),
        ("1;2", 400),
        ("١", 400),
    ],
)
def test_frames_that_are_not_there_or_no_frames(store: MemoryStore, listed: str, status: int) -> None:
    answer = ask(store, f"{place(store.held[0][0])}/frames/{listed}")
    assert answer.status == status
    assert answer.json["field"] == ("frames" if status == 400 else "")


def test_an_instance_without_pixel_data_has_no_frames(tmp_path: Path) -> None:
    ds = data_set(picture(bits=8), bits=8)
    del ds.PixelData
    store = MemoryStore(tmp_path, [file_of(ds, tmp_path, EXPLICIT)])
    assert ask(store, f"{place(store.held[0][0])}/frames/1").status == 404


def test_encapsulated_pixel_data_without_a_fragment_are_no_frames(tmp_path: Path) -> None:
    ds = data_set(picture(bits=8), bits=8)
    del ds.PixelData
    file = file_of(ds, tmp_path, JPEG)
    with file.path.open("ab") as end:
        end.write(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\xdd\xe0\0\0\0\0")
    store = MemoryStore(tmp_path, [file])
    path = place(store.held[0][0])
    assert ask(store, f"{path}/frames/1").status == 404
    assert ask(store, f"{path}/bulkdata/7FE00010").status < 500


def test_a_frame_of_a_long_series_is_decoded_alone(fabricated: Fabricate, tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, fabricated("us-colour", transfer_syntax=RLE))
    held, ds = store.held[0]
    whole = dcmread(held.file.path).pixel_array
    for number in (1, int(ds.NumberOfFrames)):
        answer = ask(store, f"{place(held)}/frames/{number}", accept=OCTETS)
        assert answer.content == whole[number - 1].tobytes()


def test_metadata_of_an_instance_that_was_replaced_are_the_new_ones(tmp_path: Path) -> None:
    ds = data_set(picture(bits=8), bits=8)
    store = MemoryStore(tmp_path, [file_of(ds, tmp_path, EXPLICIT)])
    path = f"{place(store.held[0][0])}/metadata"
    first = ask(store, path)
    assert ask(store, path).content == first.content
    ds.PatientID = "SYN2"
    (tmp_path / "new").mkdir()
    file_of(ds, tmp_path / "new", EXPLICIT).path.replace(store.held[0][0].file.path)
    again = ask(store, path, if_none_match=first.headers["ETag"])
    assert again.status == 200
    assert again.json[0]["00100020"]["Value"] == ["SYN2"]


@pytest.mark.parametrize("what", ["/metadata", "/frames/1", "/bulkdata/00280010"])
def test_a_damaged_instance_can_only_be_had_as_it_is_stored(tmp_path: Path, what: str) -> None:
    ds = data_set(picture(bits=8), bits=8)
    file = file_of(ds, tmp_path, EXPLICIT)
    content = file.path.read_bytes()
    at = content.index(b"\x10\0\x20\0LO")  # Patient ID loses its VR
    store = MemoryStore(tmp_path, [file])
    file.path.write_bytes(content[: at + 4] + b"??" + content[at + 6 :])
    answer = ask(store, place(store.held[0][0]) + what)
    assert answer.status == 406
    assert "no VR" in answer.json["detail"]
    assert ask(store, place(store.held[0][0]), accept=related(DICOM, "*")).status == 200


def test_pixel_data_that_contradict_their_description_have_no_frames(tmp_path: Path) -> None:
    ds = data_set(picture(bits=8), bits=8)
    for keyword, value in (("Rows", 60000), ("NumberOfFrames", 9), ("NumberOfFrames", 0), ("Columns", 0)):
        changed = copy.deepcopy(ds)
        setattr(changed, keyword, value)
        file = file_of(changed, tmp_path, EXPLICIT)
        store = MemoryStore(tmp_path, [file])
        numbers = "1,9" if value == 9 else "1"
        assert ask(store, f"{place(store.held[0][0])}/frames/{numbers}").status == 406
