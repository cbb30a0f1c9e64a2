"""Which software a server is, and the lines for its configuration: complete, named as documented, quoted rightly."""

from __future__ import annotations

import ast
import json
import re
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.diagnosis.implementations import STORAGE_COMMITMENT
from dicomfab.diagnosis.products import PLACEHOLDERS, Line, Product, Setting, fingerprint, lines_for, product_of
from dicomfab.diagnosis.settings_lines import LINES, MOVE_SETTINGS, Template
from dicomfab.model import values
from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

DCMTK = ("1.2.276.0.7230010.3.0.3.6.7", "OFFIS_DCMTK_367")
ALL = [(setting, template) for setting, templates in LINES.items() for template in templates]
NAMES = {
    "name": "PACS",
    "host": "10.0.0.2",
    "port": "104",
    "called": "THEIRS",
    "calling": "OURS",
    "our_host": "10.0.0.1",
    "our_port": "11112",
    "source": "PACS",
    "source_host": "10.0.0.2",
    "source_port": "104",
    "source_aec": "SOURCE",
    "destination": "Archive",
    "destination_host": "10.0.0.3",
    "destination_port": "4242",
    "destination_aec": "ARCHIVE",
    "move_ae": "ARCHIVE",
}
#: Every AE title that the standard allows, quotes and spaces within and all (PS3.5 6.2).
AE_TITLES = (
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), min_size=1)
    .map(lambda text: text.strip()[:16].strip())
    .filter(bool)
)


@pytest.mark.parametrize(
    ("class_uid", "version_name", "expected"),
    [
        (*DCMTK, Product.DCMTK),
        ("1.2.40.0.13.1.3", "dcm4che-5.31.2", Product.DCM4CHEE),
        ("1.2.40.0.13.1.1", "dcm4che-2.0", Product.DCM4CHEE),
        ("1.2.826.0.1.3680043.9.3811.3.0.4", "PYNETDICOM_304", Product.PYNETDICOM),
        ("1.3.6.1.4.1.30071.8", "fo-dicom 5.1.2", Product.FO_DICOM),
        (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, Product.DICOMFAB),
        ("1.2.3.4", "OFFIS_DCMTK_369", Product.DCMTK),
        ("1.2.3.4", "ACME", Product.UNKNOWN),
        ("", "", Product.UNKNOWN),
        ("1.2.40.0.130.1", "", Product.UNKNOWN),
    ],
)
def test_software_is_known_by_class_uid_or_version_name(class_uid: str, version_name: str, expected: Product) -> None:
    found = fingerprint(class_uid, version_name)
    assert found.product is expected is product_of(class_uid, version_name)
    assert bool(found.likelihood) is bool(expected)
    assert bool(found.why) is bool(expected)


def test_a_version_name_alone_is_less_sure_than_a_class_uid() -> None:
    by_uid = fingerprint("1.2.826.0.1.3680043.9.3811.3.0.4", "")
    by_name = fingerprint("1.2.3.4", "PYNETDICOM_304")
    assert by_uid.likelihood > by_name.likelihood > 0


def test_orthanc_is_told_from_dcmtk_by_storage_commitment_only() -> None:
    assert product_of(*DCMTK, accepted=[STORAGE_COMMITMENT]) is Product.ORTHANC
    told, untold = fingerprint(*DCMTK, refused=[STORAGE_COMMITMENT]), fingerprint(*DCMTK)
    assert told.product is untold.product is Product.DCMTK
    assert told.likelihood > untold.likelihood
    assert product_of("1.2.40.0.13.1.3", accepted=[STORAGE_COMMITMENT]) is Product.DCM4CHEE


@pytest.mark.parametrize("setting", Setting)
def test_every_setting_has_lines_and_one_for_orthanc_or_dcmtk(setting: Setting) -> None:
    products = {template.product for template in LINES[setting]}
    assert products & {Product.ORTHANC, Product.DCMTK}
    assert Product.UNKNOWN not in products


@pytest.mark.parametrize(("setting", "template"), ALL)
def test_no_text_uses_a_placeholder_that_is_not_documented(setting: Setting, template: Template) -> None:
    used = {
        name
        for text in (template.place, template.text)
        for _, name, _, _ in Formatter().parse(text)
        if name is not None
    }
    assert used <= PLACEHOLDERS[setting]


def test_every_documented_placeholder_has_a_name_here_and_is_in_the_text_of_the_module() -> None:
    from dicomfab.diagnosis import products

    documented = frozenset().union(*PLACEHOLDERS.values())
    assert documented == set(NAMES)
    for name in documented:
        assert f"``{{{name}}}``" in (products.__doc__ or "")


def test_what_could_not_be_tried_is_marked() -> None:
    untried = {(template.product, setting) for setting, template in ALL if not template.tried}
    assert {product for product, _ in untried} == {Product.DCM4CHEE, Product.ORTHANC}
    assert [setting for product, setting in untried if product is Product.ORTHANC] == [Setting.MORE_SPACE]
    assert not any(template.tried for _, template in ALL if template.product is Product.DCM4CHEE)


def of(product: Product, setting: Setting, **names: str) -> tuple[Line, ...]:
    return tuple(line for line in lines_for([setting], product, NAMES | names) if line.product == product)


@given(AE_TITLES, st.sampled_from(sorted(Setting)))
def test_orthancs_lines_are_json_whatever_the_ae_titles_hold(title: str, setting: Setting) -> None:
    values.ae_title(title)
    names = {"called": title, "calling": title, "move_ae": title, "source_aec": title}
    for line in of(Product.ORTHANC, setting, **names):
        (value, *_) = json.loads(f"{{{line.text}}}").values()
        if "DicomModalities" in line.place:
            assert title == (value["AET"] if isinstance(value, dict) else value[0])


@given(AE_TITLES)
def test_pynetdicoms_lines_are_python_whatever_the_ae_titles_hold(title: str) -> None:
    (line,) = of(Product.PYNETDICOM, Setting.KNOW_US, calling=title)
    assert title in [node.value for node in ast.walk(ast.parse(line.text)) if isinstance(node, ast.Constant)]
    for setting in Setting:
        for other in of(Product.PYNETDICOM, setting, called=title, move_ae=title, source_aec=title):
            ast.parse(f"async def handler():\n {other.text}")


@given(AE_TITLES)
def test_an_ae_title_that_dcmqrscp_cfg_cannot_hold_is_told(title: str) -> None:
    (line,) = of(Product.DCMTK, Setting.KNOW_DESTINATION, move_ae=title)
    if set(title) & set(" \"'(),#="):
        assert f"cannot hold {title!r}" in line.text
    else:
        assert re.fullmatch(rf"[A-Za-z0-9_-]+ = \({re.escape(title)}, 10\.0\.0\.3, 4242\)", line.text)


@pytest.mark.parametrize(("title", "text"), [("MY QR", '"MY QR"'), ("QR", "QR"), ('A"B', "the file cannot hold")])
def test_the_ae_title_of_a_database_is_quoted_where_it_has_to_be(title: str, text: str) -> None:
    (line,) = of(Product.DCMTK, Setting.ANSWER_TO, called=title)
    assert line.text.startswith(text)


def test_lines_are_for_the_product_if_it_is_known_else_for_each() -> None:
    known = lines_for([Setting.KNOW_US], Product.ORTHANC, NAMES)
    assert {line.product for line in known} == {Product.ORTHANC}
    unknown = lines_for([Setting.KNOW_US], Product.UNKNOWN, NAMES)
    assert {line.product for line in unknown} == {template.product for template in LINES[Setting.KNOW_US]}


def test_dcmtk_may_be_orthanc_and_a_product_without_a_line_gets_none() -> None:
    both = lines_for([Setting.KNOW_US], Product.DCMTK, NAMES)
    assert [line.product for line in both] == [Product.DCMTK, Product.ORTHANC]
    assert {line.product for line in lines_for([Setting.ALLOW_FIND], Product.DCMTK, NAMES)} == {Product.ORTHANC}
    assert lines_for(list(Setting), Product.FO_DICOM, NAMES) == ()


def test_the_order_of_the_settings_is_kept_and_a_line_is_given_once() -> None:
    settings = [Setting.ALLOW_FIND, Setting.KNOW_US, Setting.ALLOW_FIND]
    texts = [line.text for line in lines_for(settings, Product.ORTHANC, NAMES)]
    assert "AllowFind" in texts[0]
    assert len(texts) == len(set(texts)) == 3


def test_the_destinations_administrator_gets_the_lines_of_the_destinations_product() -> None:
    names = NAMES | {"destination_product": Product.PYNETDICOM}
    lines = lines_for([Setting.KNOW_DESTINATION, Setting.KNOW_SOURCE], Product.ORTHANC, names)
    assert [line.product for line in lines] == [Product.ORTHANC, Product.PYNETDICOM]


def test_in_a_move_it_is_the_destination_that_stores_for_the_source() -> None:
    names = NAMES | {"destination_product": Product.ORTHANC}
    (line, _everybody) = lines_for([Setting.ALLOW_STORE], Product.PYNETDICOM, names)
    (entry,) = json.loads(f"{{{line.text}}}").values()
    assert entry == {"AET": "SOURCE", "Host": "10.0.0.2", "Port": 104, "AllowStore": True}
    assert [line.product for line in lines_for([Setting.ALLOW_MOVE], Product.PYNETDICOM, names)] == [Product.PYNETDICOM]


def test_a_name_that_is_missing_shows() -> None:
    (line,) = lines_for([Setting.KNOW_US], Product.PYNETDICOM, {})
    assert "<calling>" in line.text


@pytest.mark.parametrize("setting", sorted(Setting))
def test_with_all_names_no_text_has_a_hole(setting: Setting) -> None:
    wanted = PLACEHOLDERS[setting]
    assert ("move_ae" in wanted) is (setting in MOVE_SETTINGS)
    for line in lines_for([setting], Product.UNKNOWN, {name: NAMES[name] for name in wanted}):
        assert "<" not in line.text + line.place
