"""What validators, Orthanc and our own receiver make of each declared defect."""

from __future__ import annotations

import dataclasses
import re
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.dimse.command import CommandError
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.store import store
from dicomfab.fabricate.defects import DEFECTS, declared, directory, noticed
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.sinks import write_files
from dicomfab.model.errors import DicomFabError
from dicomfab.model.study import InstanceFile
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers
from dicomfab.validity.run import validate
from tests.peers import programs
from tests.peers.dciodvfy import dcentvfy, dciodvfy
from tests.unit.fabricate.studies import NOW

pytestmark = pytest.mark.peers

RECIPE = StudyRecipe((SeriesRecipe("ct-head", 3, style="small"), SeriesRecipe("ct-head", 2, style="small")), seed=7)
#: What dciodvfy may say of an instance with a defect: an error that tells of it, and nothing else.
SAID = {
    "missing-type-1": r"Missing attribute .*<Modality>",
    "empty-type-1": r"Empty attribute .*<SeriesInstanceUID>",
    "odd-length": r"Manufacturer .*not a multiple of 2",
    "wrong-vr": r"Invalid Value Representation .*<SeriesNumber>",
    "multi-value-in-single": r"Value Multiplicity .*<ManufacturerModelName>",
    "decimal-comma": r"\(0x0010,0x1030\) DS Patient's Weight .*<72,5>",
    "bad-time": r"TM Acquisition Time .*<256199>",
    "name-with-control-characters": r"PN Patient's Name",
    "uid-too-long": r"SOP Instance UID .*Length invalid for this VR = 65",
    "uid-leading-zero": r"SOP Instance UID .*Leading zeroes",
    "character-set-missing": r"Institutional Department Name .*character repertoire",
    "character-set-unknown": r"Institutional Department Name .*character repertoire",
    "pixels-truncated": r"PixelData has incorrect value length - expected 18432 dec - got 9216 dec",
    "rows-wrong": r"PixelData has incorrect value length - expected 21504 dec - got 18432 dec",
    "lut-missing": r"PaletteColorLookupTable|<PALETTE COLOR>",
    "overlay-in-pixel-data": r"<Overlay Bits? \w+>|<OverlayData>",
    "mismatched-meta-uid": r"MediaStorageSOPInstanceUID different from SOPInstanceUID",
    # It stops there; what it then misses is behind.
    "elements-out-of-order": r"Tags out of order|Missing attribute",
    "element-twice": r"Tags out of order - same element occurs twice",
    "undefined-length": r"<PixelData>",
    "file-cut-short": r"Seek failed|<PixelData>",
    "syntax-mismatch": r"Specific Character Set|but missing SOP|Object Not found",
    "meta-missing": r"doesn't contain Transfer Syntax UID",
}
SUMMARY = re.compile(r"Dicom dataset (contains invalid data values|read failed)|Attribute read failed")


def made(name: str, folder: Path) -> tuple[ResolvedStudy, list[InstanceFile], list[InstanceFile]]:
    """A study with a defect as files, and those that have it."""
    study = resolve(dataclasses.replace(RECIPE, defects=(name,)), now=NOW, draw_seed=lambda: 1)
    files = write_files(study, folder)
    (told,) = declared(study)
    if told["whole_study"]:
        return study, files, files
    places = {(one["series_number"], one["instance_number"]) for one in told["instances"]}
    return study, files, [one for one in files if tuple(map(int, one.path.stem.split("_")[1:])) in places]


@pytest.mark.parametrize("name", DEFECTS)
def test_dciodvfy_finds_no_other_error(tmp_path: Path, name: str) -> None:
    _, files, touched = made(name, tmp_path / "out")
    for file in files:
        verdict = dciodvfy(file.path)
        if file not in touched or name not in SAID:
            assert verdict.errors == (), file.path.name
            continue
        assert verdict.errors
        told = [line for line in verdict.errors if not SUMMARY.search(line)]
        assert [line for line in told if not re.search(SAID[name], line)] == []


def test_dcentvfy_sees_what_is_of_several_instances(tmp_path: Path) -> None:
    for name in ("patient-mismatch", "duplicate-sop-uid", "uid-in-two-series"):
        _, files, _ = made(name, tmp_path / name)
        assert dcentvfy([one.path for one in files]).errors
    _, files, _ = made("date-in-future", tmp_path / "date-in-future")
    assert dcentvfy([one.path for one in files]).errors == ()


def test_the_directory_is_right_but_for_the_lies(tmp_path: Path) -> None:
    study, _, _ = made("dicomdir-lies", tmp_path / "out")
    honest = directory.encoded(study, lying=False)
    path = tmp_path / "out" / directory.NAME
    lying = path.read_bytes()
    assert len(honest) == len(lying)
    for content in (lying, honest):
        path.write_bytes(content)
        verdict = dciodvfy(path)
        assert (verdict.iod, verdict.errors) == ("BasicDirectory", ())
        (result,) = validate([path], jobs=1).files
        assert [finding for finding in result.findings if finding.severity == "error"] == []


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[tuple[Peer, Archive]]:
    archive = Archive(tmp_path / "store")
    try:
        with Server(ServerConfig("TESTPACS"), PacsHandlers(archive, "TESTPACS", Environment.TEST, {})) as server:
            yield Peer("127.0.0.1", server.port, "TESTPACS", timeouts=Timeouts(1, 5, 30), name="test PACS"), archive
    finally:
        archive.close()


@pytest.mark.parametrize("name", DEFECTS)
def test_our_receiver_takes_or_refuses_it_and_still_answers(
    tmp_path: Path, pacs: tuple[Peer, Archive], name: str
) -> None:
    peer, archive = pacs
    _, files, touched = made(name, tmp_path / "out")
    taken = 0
    for file in files:
        try:
            (outcome,) = store(peer, [file], transcode=False)
            taken += outcome.accepted
            assert outcome.accepted or file in touched
        except (DicomFabError, CommandError):  # what cannot be put into a command
            assert file in touched
        echo(peer)
    held = archive.storage().instances
    assert held == taken - (name in ("duplicate-sop-uid", "uid-in-two-series"))
    assert taken >= len(files) - 1


@pytest.mark.full
@pytest.mark.parametrize("name", DEFECTS)
def test_our_validator_is_not_brought_down(tmp_path: Path, name: str) -> None:
    _, files, touched = made(name, tmp_path / "out")
    report = validate([tmp_path / "out"], jobs=1)
    assert len(report.files) + len(report.skipped) + len(report.unreadable) >= len(files)
    found = {one.path for one in report.files if any(finding.severity == "error" for finding in one.findings)}
    assert found <= {one.path for one in touched}
    assert (noticed()[name]["dicomfab validate"] == "error") == bool(
        found or any(one.finding.severity == "error" for one in report.shared)
    )


SAMPLE = ("odd-length", "wrong-vr", "uid-too-long", "pixels-truncated", "duplicate-sop-uid", "private-64k")


def test_orthanc_survives_some_of_them(tmp_path: Path) -> None:
    (tmp_path / "orthanc").mkdir()
    with programs.orthanc(tmp_path / "orthanc") as orthanc:
        for name in (*SAMPLE, "file-cut-short"):
            _, _, touched = made(name, tmp_path / name)
            try:
                answer = orthanc.post("/instances", touched[0].path.read_bytes())["Status"]
            except urllib.error.HTTPError as error:
                answer = f"refuses ({error.code})"
            assert answer == ("Success" if name in SAMPLE else "refuses (400)")
            assert orthanc.rest("/system")["Name"] == "Peer"
            echo(orthanc.peer)
