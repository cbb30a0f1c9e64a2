"""Pictures and thumbnails: which are given, in what form, and how they are wanted."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread

from dicomfab.dicomweb.messages import Request
from dicomfab.dicomweb.rendered import ENCAPSULATED_PDF
from dicomfab.dicomweb.view import View, parse_view
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.pixels.display import Function, Window
from dicomfab.pixels.picture import Viewport, seen
from tests.unit.dicomweb.asking import ROOT, Answer, ask, place, related
from tests.unit.dicomweb.conftest import Fabricate
from tests.unit.dicomweb.memory_store import MemoryStore
from tests.unit.dicomweb.test_json_model import file_of
from tests.unit.pixels.instances import data_set, picture

EXPLICIT, JPEG_LS, VIDEO = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.102"
# As browsers send it for an image.
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
PDF = b"%PDF-1.7 of no great length"


@pytest.fixture
def store(fabricated: Fabricate, tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path, fabricated("ct-chest", "dx-chest"))


@pytest.fixture
def cine(fabricated: Fabricate, tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path, fabricated("us-colour"))


def only(tmp_path: Path, *data_sets: Dataset) -> MemoryStore:
    files = []
    for number, ds in enumerate(data_sets):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        ds.SOPInstanceUID = f"1.2.3.4.{number}"
        files.append(file_of(ds, folder, EXPLICIT))
    return MemoryStore(tmp_path, files)


def report() -> Dataset:
    ds = data_set(picture(bits=8), bits=8)
    del ds.PixelData
    return ds


def document(content: bytes = PDF, length: int | None = len(PDF)) -> Dataset:
    ds = report()
    ds.SOPClassUID = ENCAPSULATED_PDF
    ds.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    if length is not None:
        ds.EncapsulatedDocumentLength = length
    return ds


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def image(answer: Answer) -> Image.Image:
    assert answer.status == 200, answer.content
    return Image.open(io.BytesIO(answer.content))


def ramp(tmp_path: Path) -> MemoryStore:
    """8 rows of 16 columns: the column in the upper half, 100 more in the lower one."""
    values = np.tile(np.arange(16, dtype=np.uint8), (8, 1))
    values[4:] += 100
    ds = data_set(values, bits=8)
    ds.WindowCenter, ds.WindowWidth = "128", "256"
    return only(tmp_path, ds)


# --- which pictures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif"])
@pytest.mark.parametrize("accept", ["{}", "{}, */*;q=0.1", "{}; q=0.5, application/dicom"])
def test_an_instance_is_a_picture(store: MemoryStore, kind: str, accept: str) -> None:
    held, _ = store.held[0]
    answer = ask(store, f"{place(held)}/rendered", accept=accept.format(f"image/{kind}"))
    assert answer.headers["Content-Type"] == f"image/{kind}"
    assert image(answer).format == kind.upper()
    ds = dcmread(held.file.path)
    error = np.abs(pixels(answer.content).astype(int) - seen(ds, ds.pixel_array))
    assert error.max() <= (60 if kind == "jpeg" else 0)
    assert error.mean() < 3


@pytest.mark.parametrize("accept", ["", "*/*", BROWSER])
def test_jpeg_is_what_comes_unless_something_else_is_asked_for(store: MemoryStore, accept: str) -> None:
    assert image(ask(store, f"{place(store.held[0][0])}/rendered", accept=accept)).format == "JPEG"


def test_accept_may_stand_in_the_query(store: MemoryStore) -> None:
    path = f"{place(store.held[0][0])}/rendered"
    assert image(ask(store, path, ("accept", "image/png"), accept="image/jpeg")).format == "PNG"
    assert ask(store, path, ("accept", "image/webp")).status == 406


@pytest.mark.parametrize(("depth", "count"), [(1, 5), (2, 3)])
@pytest.mark.parametrize("kind", ["image/jpeg", "image/png"])
def test_a_study_and_a_series_are_all_their_pictures(store: MemoryStore, depth: int, count: int, kind: str) -> None:
    held = store.instances(*[one for one in place(store.held[0][0], depth).split("/") if one[0].isdigit()])
    answer = ask(store, f"{place(held[0], depth)}/rendered", accept=related(kind))
    assert f'type="{kind}"' in answer.headers["Content-Type"]
    assert len(answer.parts) == len(held) >= count - (depth == 1)
    for (headers, content), one in zip(answer.parts, held, strict=True):
        assert headers["content-type"] == kind
        assert headers["content-location"] == f"{ROOT}/{place(one)}/rendered"
        assert content == ask(store, f"{place(one)}/rendered", accept=kind).content


def test_of_a_series_one_picture_is_the_middle_one(store: MemoryStore) -> None:
    series = place(store.held[0][0], 2)
    middle = ask(store, f"{place(store.held[1][0])}/rendered", accept="image/png")
    assert ask(store, f"{series}/rendered", accept="image/png").content == middle.content
    assert ask(store, f"{series}/rendered", accept=BROWSER).headers["Content-Type"] == "image/jpeg"


def test_frames_are_pictures(cine: MemoryStore) -> None:
    held, ds = cine.held[0]
    whole, count = dcmread(held.file.path).pixel_array, int(ds.NumberOfFrames)
    answer = ask(cine, f"{place(held)}/frames/{count},1/rendered", accept=related("image/png"))
    for number, (headers, content) in zip((count, 1), answer.parts, strict=True):
        assert headers["content-location"] == f"{ROOT}/{place(held)}/frames/{number}/rendered"
        assert (pixels(content) == whole[number - 1]).all()
    one = ask(cine, f"{place(held)}/frames/2/rendered", accept="image/png")
    assert (pixels(one.content) == whole[1]).all()
    assert len(ask(cine, f"{place(held)}/rendered").parts) == count
    middle = ask(cine, f"{place(held)}/rendered", accept="image/png")
    assert (pixels(middle.content) == whole[count // 2]).all()
    assert ask(cine, f"{place(held)}/frames/1,2/rendered", accept="image/png").status == 406


@pytest.mark.parametrize(("listed", "status"), [("1", 200), ("2", 404), ("0", 404), ("1,2", 404), ("x", 400)])
def test_frames_that_are_not_there_have_no_picture(store: MemoryStore, listed: str, status: int) -> None:
    for what in ("rendered", "thumbnail"):
        assert ask(store, f"{place(store.held[0][0])}/frames/{listed}/{what}", accept=BROWSER).status == status


def test_coded_frames_are_decoded(fabricated: Fabricate, tmp_path: Path) -> None:
    natively = MemoryStore(tmp_path, fabricated("ct-chest"))
    coded = MemoryStore(tmp_path, fabricated("ct-chest", transfer_syntax=JPEG_LS))
    expected, found = (
        ask(one, f"{place(one.held[0][0])}/rendered", accept="image/png").content for one in (natively, coded)
    )
    assert found == expected


# --- what has no picture ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_has_no_pixel_data_has_no_picture(tmp_path: Path, depth: int) -> None:
    store = only(tmp_path, report(), report())
    path = place(store.held[0][0], depth)
    for accept in ("", "image/png", related("image/jpeg")):
        answer = ask(store, f"{path}/rendered", accept=accept)
        assert (answer.status, "pixel data" in answer.json["cause"]) == (406, True)
    for _ in range(2):
        answer = ask(store, f"{path}/thumbnail")
        assert (answer.status, "pixel data" in answer.json["cause"]) == (404, True)


def test_among_others_the_instances_with_pixels_are_the_pictures(tmp_path: Path) -> None:
    store = only(tmp_path, report(), report(), report(), data_set(picture(bits=8), bits=8), report())
    study = place(store.held[0][0], 1)
    assert len(ask(store, f"{study}/rendered").parts) == 1
    for what in ("rendered", "thumbnail"):
        assert image(ask(store, f"{study}/{what}", accept="image/png")).size == (47, 61)


def test_a_video_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    ds = data_set(picture(bits=8), bits=8)
    file = only(tmp_path, ds).held[0][0].file
    video = InstanceFile(
        file.path,
        InstanceIdentity(file.identity.sop_class_uid, file.identity.sop_instance_uid, VIDEO),
        file.dataset_offset,
    )
    (tmp_path / "more").mkdir()
    ds.SOPInstanceUID = "1.2.9"
    store = MemoryStore(tmp_path, [file_of(ds, tmp_path / "more", EXPLICIT), video])
    answer = ask(store, f"{place(store.held[0][0], 2)}/rendered")
    assert (answer.status, VIDEO in answer.json["detail"]) == (406, True)
    assert ask(store, f"{place(store.held[0][0], 2)}/thumbnail").status == 200


def test_a_frame_that_cannot_be_decoded_is_told(fabricated: Fabricate, tmp_path: Path) -> None:
    held, _ = MemoryStore(tmp_path, fabricated("ct-chest", transfer_syntax=JPEG_LS)).held[0]
    path, content = tmp_path / "damaged.dcm", held.file.path.read_bytes()
    path.write_bytes(content[:-2000] + bytes(1992) + content[-8:])
    damaged = MemoryStore(tmp_path, [InstanceFile(path, held.file.identity, held.file.dataset_offset)])
    for what in ("rendered", "thumbnail", "frames/1/rendered"):
        assert ask(damaged, f"{place(held)}/{what}", accept="image/png").status == 406
    assert ask(damaged, f"{place(held, 2)}/rendered").status == 406


# --- documents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [len(PDF), None, 0, 10_000])
def test_an_encapsulated_document_comes_as_it_was_before(tmp_path: Path, length: int | None) -> None:
    store = only(tmp_path, document(length=length))
    path = f"{place(store.held[0][0])}/rendered"
    expected = PDF if length == len(PDF) else PDF + b"\0" * (len(PDF) % 2)
    for accept in ("", "application/pdf", BROWSER):
        answer = ask(store, path, accept=accept)
        assert (answer.content, answer.headers["Content-Type"]) == (expected, "application/pdf")
    assert ask(store, path, range="bytes=0-3").content == b"%PDF"
    assert ask(store, path, if_none_match=answer.headers["ETag"]).status == 304
    refused = ask(store, path, accept="image/jpeg")
    assert (refused.status, "application/pdf" in refused.json["remedy"]) == (406, True)


def test_a_document_without_content_is_told(tmp_path: Path) -> None:
    store = only(tmp_path, document(b""))
    assert ask(store, f"{place(store.held[0][0])}/rendered").status == 406


# --- how they are wanted ------------------------------------------------------------------------------------------


def test_a_window_is_used(store: MemoryStore) -> None:
    held, _ = store.held[0]
    ds = dcmread(held.file.path)
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = "40", "400", "SIGMOID"
    answer = ask(store, f"{place(held)}/rendered", ("window", "40,400,sigmoid"), accept="image/png")
    assert (pixels(answer.content) == seen(ds, ds.pixel_array)).all()


@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        ("8,8", (8, 4)),
        ("16,2", (4, 2)),
        ("64,64", (64, 32)),
        ("1,1", (1, 1)),
        ("8,8,0,0,8,8", (8, 8)),
        ("8,8,8", (8, 8)),
        ("20,20,,4", (20, 5)),
        ("9,9,12,0,100,100", (4, 9)),
    ],
)
def test_a_picture_is_fitted_into_the_viewport(tmp_path: Path, viewport: str, size: tuple[int, int]) -> None:
    store = ramp(tmp_path)
    answer = ask(store, f"{place(store.held[0][0])}/rendered", ("viewport", viewport), accept="image/png")
    assert image(answer).size == size


def test_a_part_of_a_picture_may_be_mirrored(tmp_path: Path) -> None:
    store = ramp(tmp_path)

    def part(columns: int, rows: int) -> NDArray[np.uint8]:
        asked = ("viewport", f"4,4,2,2,{columns},{rows}")
        return pixels(ask(store, f"{place(store.held[0][0])}/rendered", asked, accept="image/png").content)

    upright = part(4, 4)
    assert list(upright[0]) == [2, 3, 4, 5]
    assert list(upright[:, 0]) == [2, 2, 102, 102]
    assert (part(-4, 4) == upright[:, ::-1]).all()
    assert (part(4, -4) == upright[::-1]).all()
    assert (part(-4, -4) == upright[::-1, ::-1]).all()


def test_a_part_outside_of_the_picture_is_told(tmp_path: Path) -> None:
    store = ramp(tmp_path)
    for what in ("rendered", "thumbnail"):
        answer = ask(store, f"{place(store.held[0][0])}/{what}", ("viewport", "8,8,16,0"))
        assert (answer.status, answer.json["field"]) == (400, "viewport")


def test_quality_makes_a_difference(store: MemoryStore) -> None:
    path = f"{place(store.held[0][0])}/rendered"
    sizes = [len(ask(store, path, ("quality", number)).content) for number in ("1", "50", "100")]
    assert sizes == sorted(set(sizes))


def test_nothing_is_burned_in_and_that_is_told(store: MemoryStore) -> None:
    path = f"{place(store.held[0][0])}/rendered"
    plain = ask(store, path)
    asked = ask(store, path, ("annotation", "patient,technique"))
    assert "annotation" in asked.headers["Warning"]
    assert (plain.content, "Warning" in plain.headers) == (asked.content, False)


@pytest.mark.parametrize("kind", [pytest.param("image/jpeg", marks=pytest.mark.full), "image/png"])
def test_an_icc_profile_goes_with_the_picture_if_it_is_wanted(fabricated: Fabricate, tmp_path: Path, kind: str) -> None:
    for name in ("vl-photo", "wsi"):
        store = MemoryStore(tmp_path, fabricated(name))
        path = f"{place(store.held[0][0])}/frames/1/rendered"
        assert "icc_profile" not in image(ask(store, path, accept=kind)).info
        assert "icc_profile" not in image(ask(store, path, ("iccprofile", "no"), accept=kind)).info
        assert len(image(ask(store, path, ("iccprofile", "yes"), accept=kind)).info["icc_profile"]) > 300


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("viewport", one)
            for one in ("x", "1", "0,1", "1,-1", "8193,1", "1,1,a", "1,1,0,0,0,1", "1,1,-1", "1,1,1e3")
        ),
        *(("viewport", one) for one in ("1.5,1", "1,1,0,0,1,1,1", "1,1,0,0,1,-0.0", "", " 1,1", "١,1")),
        *(("window", one) for one in ("40", "40,400", "40,0,linear", "40,0.5,linear", "40,-1,sigmoid", "a,1,linear")),
        *(("window", one) for one in ("40,400,cubic", "nan,1,linear", "1,inf,sigmoid", "40,400,linear,1", "")),
        *(("quality", one) for one in ("0", "101", "x", "1.5", "-1", "")),
        *(("annotation", one) for one in ("name", "patient,", "Patient", "")),
        *(("iccprofile", one) for one in ("srgb", "maybe", "")),
    ],
)
def test_a_parameter_that_cannot_be_is_told_by_name(store: MemoryStore, name: str, value: str) -> None:
    held = store.held[0][0]
    for path in (place(held, 1), place(held), f"{place(held)}/frames/1"):
        answer = ask(store, f"{path}/rendered", (name, value))
        assert (answer.status, answer.json["field"]) == (400, name)
        assert answer.json["remedy"]
    twice = ask(store, f"{place(held)}/rendered", (name, "1"), (name, "1"))
    assert (twice.status, twice.json["field"]) == (400, name)


DECIMALS = st.decimals(-9000, 9000, places=3).map(lambda number: f"{number:f}")


@given(
    DECIMALS, st.integers(1, 9000), st.sampled_from(list(Function)), st.integers(1, 8192), st.integers(1, 8192),
    st.integers(1, 100),
)  # fmt: skip
def test_parameters_are_read_as_they_were_written(
    centre: str, width: int, function: Function, columns: int, rows: int, quality: int
) -> None:
    query = [
        ("window", f"{centre},{width},{function.lower().replace('_', '-')}"),
        ("viewport", f"{columns},{rows},,3,-7.5"),
        ("quality", str(quality)),
        ("unknown", "x"),
    ]
    window, viewport = Window(float(centre), width, function), Viewport(columns, rows, 0, 3, -7.5, 0)
    assert parse_view(Request("GET", "", ROOT, query)) == View(window, viewport, quality)


@given(st.sampled_from(["window", "viewport", "quality", "annotation", "iccprofile"]), st.text("0123456789.,-+el\n x"))
def test_any_text_is_read_or_told_by_name(name: str, text: str) -> None:
    told = name
    try:
        parse_view(Request("GET", "", ROOT, [(name, text)]))
    except InvalidInput as error:
        told = error.field
    assert told == name


# --- thumbnails ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_thumbnail_is_small(store: MemoryStore, depth: int) -> None:
    answer = ask(store, f"{place(store.held[0][0], depth)}/thumbnail")
    assert (max(image(answer).size), answer.headers["Content-Type"]) == (128, "image/jpeg")


def test_a_thumbnail_is_of_the_middle_frame_of_the_middle_instance(store: MemoryStore, cine: MemoryStore) -> None:
    middle = ask(store, f"{place(store.held[1][0])}/thumbnail", accept="image/png")
    assert ask(store, f"{place(store.held[0][0], 2)}/thumbnail", accept="image/png").content == middle.content
    held, ds = cine.held[0]
    number = int(ds.NumberOfFrames) // 2 + 1
    expected = ask(cine, f"{place(held)}/frames/{number}/thumbnail").content
    assert ask(cine, f"{place(held)}/thumbnail").content == expected
    assert ask(cine, f"{place(held)}/frames/1,{number},2/thumbnail").content == expected


def test_a_thumbnail_is_never_enlarged_unless_a_viewport_says_so(tmp_path: Path) -> None:
    store = ramp(tmp_path)
    path = f"{place(store.held[0][0])}/thumbnail"
    assert image(ask(store, path)).size == (16, 8)
    assert image(ask(store, path, ("viewport", "32,32"))).size == (32, 16)
    bad = ask(store, path, ("viewport", "huge"))
    assert (bad.status, bad.json["field"]) == (400, "viewport")
    assert ask(store, path, accept="text/html").status == 406


@pytest.mark.parametrize("what", ["thumbnail", "rendered"])
def test_a_picture_that_was_made_before_does_not_need_its_file(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = f"{place(store.held[0][0], 2)}/{what}"
    first = ask(store, path, accept="image/jpeg")
    monkeypatch.setattr("dicomfab.dicomweb.held.opened", None)
    again = ask(store, path, accept="image/jpeg")
    assert (again.content, again.headers) == (first.content, first.headers)
    kept = ask(store, path, accept="image/jpeg", if_none_match=first.headers["ETag"])
    assert (kept.status, kept.content) == (304, b"")


@pytest.mark.parametrize("what", ["thumbnail", "rendered"])
def test_a_picture_of_an_instance_that_was_replaced_is_the_new_one(tmp_path: Path, what: str) -> None:
    store = only(tmp_path, data_set(picture(bits=8), bits=8))
    path = f"{place(store.held[0][0])}/{what}"
    first = ask(store, path)
    (tmp_path / "new").mkdir()
    ds = data_set(picture(bits=8)[::-1].copy(), bits=8)
    ds.SOPInstanceUID = store.held[0][0].file.identity.sop_instance_uid
    file_of(ds, tmp_path / "new", EXPLICIT).path.replace(store.held[0][0].file.path)
    again = ask(store, path, if_none_match=first.headers["ETag"])
    assert again.status == 200
    assert again.content != first.content


def test_unchanged_pictures_are_not_sent_again(cine: MemoryStore) -> None:
    held = cine.held[0][0]
    for path in (f"{place(held, 1)}/rendered", f"{place(held)}/rendered", f"{place(held)}/frames/1,2/rendered"):
        first = ask(cine, path)
        again = ask(cine, path, if_none_match=first.headers["ETag"])
        assert (first.status, again.status, again.content) == (200, 304, b"")
        assert ask(cine, path, ("quality", "3"), if_none_match=first.headers["ETag"]).status == 200


@pytest.mark.parametrize("what", ["rendered", "thumbnail", "frames/1/rendered", "frames/1/thumbnail"])
def test_a_picture_of_what_is_not_there_is_not_found(store: MemoryStore, what: str) -> None:
    path = place(store.held[0][0]).rsplit("/", 1)[0] + "/1.2.3.4"
    assert ask(store, f"{path}/{what}").status == 404
    held = store.held[0][0]
    file = InstanceFile(Path("/nowhere/gone.dcm"), held.file.identity, 0)
    store.held[0] = (type(held)(file, held.study_instance_uid, held.series_instance_uid), store.held[0][1])
    assert ask(store, f"{place(held)}/{what}").status == 404
