from __future__ import annotations

import re

import pytest

from dicomfab.app.build import Application
from dicomfab.web import viewer_modes
from dicomfab.web.viewer_modes import IMAGES, OVERLAYS, opening
from dicomfab.web.viewing import opening_of
from tests.unit.web.conftest import ACTOR
from tests.unit.web.test_ohif import scripts, unpacked

STORAGE = "1.2.840.10008.5.1.4.1.1."
CT, PT, SEG, SR, PR, KO = (STORAGE + end for end in ("2", "128", "66.4", "88.11", "11.1", "88.59"))
PDF, ECG, WSI, RT_STRUCTURE, RT_DOSE, RT_PLAN = (
    STORAGE + end for end in ("104.1", "9.1.1", "77.1.6", "481.3", "481.2", "481.5")
)


@pytest.mark.parametrize(
    ("modalities", "mode", "others"),
    [
        ({"CT"}, "viewer", {"mpr", "mprAnd3DVolumeViewport", "segmentation"}),
        ({"MR", "SEG"}, "viewer", {"mpr", "mprAnd3DVolumeViewport", "segmentation"}),
        ({"PT", "CT"}, "tmtv", {"viewer", "mpr", "mprAnd3DVolumeViewport", "segmentation"}),
        ({"MG"}, "viewer", {"@ohif/hpMammo", "segmentation"}),
        ({"US"}, "viewer", {"usAnnotation", "segmentation"}),
        ({"SM"}, "microscopy", {"viewer"}),
        ({"DX"}, "viewer", {"segmentation"}),
        ({"OT"}, "viewer", set()),
        ({"ECG"}, "viewer", set()),
        ({"DOC"}, "viewer", set()),
    ],
)
def test_modalities_choose_how_a_study_opens(modalities: set[str], mode: str, others: set[str]) -> None:
    shown = opening("1.2.3", modalities)
    assert shown.address == f"/ohif/{mode}?StudyInstanceUIDs=1.2.3"
    assert {view.protocol or view.mode for view, _ in shown.others} == others


@pytest.mark.parametrize(
    ("modalities", "classes", "is_shown", "left_out"),
    [
        ({"SR"}, {SR}, False, {SR}),
        ({"KO"}, {KO}, False, {KO}),
        ({"PR"}, {PR}, False, {PR}),
        ({"SEG"}, {SEG}, False, {SEG}),
        ({"RTSTRUCT", "RTPLAN"}, {RT_STRUCTURE, RT_PLAN}, False, {RT_STRUCTURE, RT_PLAN}),
        ({"SR"}, set(), False, set()),
        ({"DOC"}, {PDF}, True, set()),
        ({"ECG"}, {ECG}, True, set()),
        ({"SM"}, {WSI}, True, set()),
        ({"CT", "SEG"}, {CT, SEG}, True, set()),
        ({"CT", "RTSTRUCT", "RTDOSE", "RTPLAN"}, {CT, RT_STRUCTURE, RT_DOSE, RT_PLAN}, True, {RT_PLAN}),
        ({"CT", "SR", "KO", "PR"}, {CT, SR, KO, PR}, True, {SR, KO, PR}),
        ({"OT"}, {STORAGE + "66"}, False, {STORAGE + "66"}),
    ],
)
def test_what_the_viewer_cannot_show_is_left_to_our_own_page(
    modalities: set[str], classes: set[str], is_shown: bool, left_out: set[str]
) -> None:
    shown = opening("1.2.3", modalities, classes)
    assert (bool(shown.address), shown.left_out) == (is_shown, left_out)
    assert shown.address or not shown.others


def test_a_study_of_the_local_store_opens(application: Application, study: str) -> None:
    shown = opening_of(application, application.studies.brief(ACTOR, study))
    assert shown.address == f"/ohif/viewer?StudyInstanceUIDs={study}"


def test_a_hanging_protocol_stands_in_the_address() -> None:
    address = "/ohif/viewer?StudyInstanceUIDs=1.2.3&hangingprotocolid=%40ohif%2FhpMammo"
    assert address in [address for _, address in opening("1.2.3", {"MG"}).others]


def test_several_studies_open_side_by_side() -> None:
    assert viewer_modes.IMAGES_VIEW.address("1.2", "1.3") == "/ohif/viewer?StudyInstanceUIDs=1.2,1.3"


def test_the_viewer_that_we_ship_knows_these_classes_modes_and_protocols() -> None:
    text = "\n".join(unpacked(name) for name in scripts() if "bundle" in name)
    known = set(re.findall(r"""['"`](1\.2\.840\.10008\.5\.1\.4\.1\.1\.[\d.]+)['"`]""", text))
    assert set(IMAGES | OVERLAYS) - known == set()
    views = [value for value in vars(viewer_modes).values() if isinstance(value, viewer_modes.View)]
    assert len(views) == 8
    for view in views:
        assert re.search(rf"""routeName:\s*['"`]{view.mode}['"`]""", text), view
        assert not view.protocol or re.search(rf"""id:\s*['"`]{view.protocol}['"`]""", text), view
