"""Key objects, presentation states, documents and ECGs, judged by dicom3tools and read by DCMTK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from dicomfab.fabricate.kinds import KINDS, OBJECTS
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.scripts import SCRIPTS
from dicomfab.model.order import RequestAttributes
from tests.peers.dciodvfy import dcentvfy, dciodvfy_all
from tests.peers.programs import dcmtk
from tests.peers.test_dciodvfy import EXPECTED_WARNINGS, made

pytestmark = pytest.mark.peers

OURS = ("ko", "ko-rejected", "pr", "pdf", "cda", "ecg")
QUICK = {
    "ct-chest",
    "mr-brain",
    "mr-knee",
    "pt-body",
    "cr-chest",
    "cr-knee",
    "us-cine",
    "text-card",
    "japanese",
    "arabic",
}
# Of Japanese names dciodvfy counts the bytes of all component groups; PS3.5 6.2 has 64 characters for each of them.
SEED_OF_A_SHORT_NAME = 6
IODS = {
    "KeyObjectSelectionDocument",
    "GrayscaleSoftcopyPresentationState",
    "EncapsulatedPDF",
    "EncapsulatedCDA",
    "TwelveLeadECG",
}
# An image has the accession number in its series as well (RequestAttributesSequence), a key object only in its study.
EXPECTED_TOGETHER = "Warning - Different information entities for attribute - Element=<AccessionNumber> IE <"


def fabricated(tmp_path: Path, *kinds: str, slices: int = 12, **values: object) -> list[Path]:
    series = tuple(SeriesRecipe(kind, slices if kind in KINDS and KINDS[kind].counted else None) for kind in kinds)
    return made(tmp_path, StudyRecipe(series, **{"seed": SEED_OF_A_SHORT_NAME, **values}))  # type: ignore[arg-type]


def of(paths: list[Path], modality: str) -> list[Path]:
    return [path for path in paths if path.name.startswith(f"{modality}_")]


def assert_valid(paths: list[Path], count: int) -> None:
    documents = [path for path in paths if path.name.partition("_")[0] in ("KO", "PR", "DOC", "ECG")]
    assert len(documents) == count
    for path, verdict in zip(documents, dciodvfy_all(documents), strict=True):
        assert verdict.errors == (), path.name
        assert verdict.valid, path.name
        assert verdict.iod in IODS
        assert [line for line in verdict.warnings if not line.endswith(EXPECTED_WARNINGS)] == [], path.name
    together = dcentvfy(paths)
    assert together.errors == ()
    assert [line for line in together.warnings if not line.startswith(EXPECTED_TOGETHER)] == []


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.full) for kind in sorted(KINDS)]
)
def test_objects_after_any_kind_are_valid(tmp_path: Path, kind: str) -> None:
    kinds = [one for one in OURS if not OBJECTS[one].needs or kind in OBJECTS[one].needs]
    assert_valid(fabricated(tmp_path, kind, *kinds, slices=4), len(kinds))


@pytest.mark.parametrize(
    "script", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in sorted(SCRIPTS)]
)
def test_objects_of_patients_of_every_script_are_valid(tmp_path: Path, script: str) -> None:
    paths = fabricated(tmp_path, "ct-chest", "cr-chest", *OURS, script=script)
    assert_valid(paths, len(OURS))


def test_objects_of_an_order_are_valid(tmp_path: Path) -> None:
    order = RequestAttributes(
        requested_procedure_id="RP1",
        requested_procedure_description="CT HEAD",
        requested_procedure_code="30799-1^LN^CT Head WO contrast",
        scheduled_step_id="S1",
    )
    assert_valid(fabricated(tmp_path, "ct-head", *OURS, order=order, accession_number="A1"), len(OURS))


def test_documents_and_ecg_alone_are_valid(tmp_path: Path) -> None:
    assert_valid(fabricated(tmp_path, "pdf", "cda", "ecg", accession_number=""), 3)


@pytest.mark.parametrize("syntax", ["implicit", "big-endian"])  # dciodvfy does not inflate
def test_objects_are_valid_in_other_transfer_syntaxes(tmp_path: Path, syntax: str) -> None:
    assert_valid(fabricated(tmp_path, "ct-head", *OURS, slices=3, transfer_syntax=syntax), len(OURS))


@pytest.mark.parametrize("script", ["latin", "japanese", "arabic"])
def test_dcmtk_reads_them(tmp_path: Path, script: str) -> None:
    paths = fabricated(tmp_path, "ct-chest", *OURS, slices=40, script=script)
    for path in paths[-len(OURS) :]:
        dumped = dcmtk("dcmdump", "-q", path)
        assert (dumped.returncode, dumped.stderr) == (0, "")
    first, second = (dcmtk("dsrdump", "-Ec", "-Ee", "+Pl", path) for path in of(paths, "KO"))
    assert first.returncode == second.returncode == 0
    assert '"Of Interest"' in first.stdout
    assert "Nodule in the" in first.stdout
    assert '"Rejected for Quality Reasons"' in second.stdout
    assert second.stdout.count("contains IMAGE") == 40
    held = tmp_path / "report.pdf"
    assert dcmtk("dcm2pdf", of(paths, "DOC")[0], held).returncode == 0
    document = dcmread(of(paths, "DOC")[0])
    assert held.read_bytes() == document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]


@pytest.mark.parametrize(
    "kind",
    [
        "ct-chest",
        "mr-knee",
        "pt-body",
        "cr-chest",
        *(pytest.param(n, marks=pytest.mark.full) for n in ("cr-knee", "mg-screening")),
    ],
)
def test_dcmtk_shows_images_as_the_state_says(tmp_path: Path, kind: str) -> None:
    paths = fabricated(tmp_path, kind, "pr", slices=3)
    (state,) = of(paths, "PR")
    checked = dcmtk("dcmpschk", state)
    assert "Test passed" in checked.stderr + checked.stdout
    ds = dcmread(state)
    wanted = ds.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID
    (image,) = [path for path in paths if dcmread(path, stop_before_pixels=True).SOPInstanceUID == wanted]
    shown = tmp_path / "shown.pgm"
    assert dcmtk("dcmp2pgm", "-p", state, image, shown).returncode == 0
    expected = windowed(dcmread(image), ds)
    with Image.open(shown) as picture:
        assert np.abs(np.asarray(picture).astype(float) - expected).max() <= 2


def windowed(image: Dataset, state: Dataset) -> np.ndarray:  # type: ignore[type-arg]
    """What PS3.3 C.11.2.1.2 makes of the pixels, 0 to 255."""
    values = image.pixel_array * float(state.get("RescaleSlope", 1)) + float(state.get("RescaleIntercept", 0))
    (window,) = state.SoftcopyVOILUTSequence
    centre, width = float(window.WindowCenter), float(window.WindowWidth)
    grey = np.clip(((values - (centre - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
    inverse: np.ndarray = 255 - grey if state.PresentationLUTShape == "INVERSE" else grey  # type: ignore[type-arg]
    return inverse


def test_pydicom_gives_the_leads_in_microvolts(tmp_path: Path) -> None:
    (path,) = fabricated(tmp_path, "ecg")
    ds = dcmread(path)
    values = ds.waveform_array(0)
    assert values.shape == (5000, 12)
    assert np.array_equal(values[:, 1], values[:, 0] + values[:, 2])
    assert 500 < values[:, 1].max() < 2000
