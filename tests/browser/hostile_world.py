"""An installation full of hostile values, put in through real doors, with a peer that answers nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from pydicom import Dataset, config
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import _config, build_context, evt

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Actor, local_admin
from dicomfab.model.job import JobKind
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment
from dicomfab.services.search_saved import SavedSearch
from dicomfab.services.study_filter import StudyFilter
from tests.peers.pynetdicom_peers import acceptor

ACTOR: Final[Actor] = local_admin("local", "web")
LONG: Final = "W" * 10_000
TURNED: Final = "\u202eeulav\u202c\u2066x\u2069"
#: Each begins with a word by which it is found on a page again.
VALUES: Final = (
    "markA<img src=x onerror=__ran()>",
    'markB"><script>__ran()</script>',
    "markC{{7*7}}${7*7}<%=7*7%>",
    "javascript:__ran()//markD",
    "markE'-__ran()-'",
    f"markF{TURNED}",
    "markG\x1b[31m\x07\x00\x7f\x9b",
    "markH\r\nSet-Cookie: a=b",
    f"markI{LONG}",
    "markJ\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}" + "a\u0301" * 20,
    "__proto__markK",
    "markL%0d%0aSet-Cookie:%20a=b",
    '=HYPERLINK("http://127.0.0.1:9/markM")',
    "markN' onmouseover='__ran()' x='</textarea></title></style>",
)
ROOT: Final = "1.2.826.0.1.3680043.8.498.66"
COMMENT: Final = "comment<img src=x onerror=__ran()>\x1b[31m"
TITLE: Final = "<b>'\"><i>"
OTHER_TITLE: Final = "{{7*7}}&lt;"
#: Implementation Version Name by the title that was called; the second one would also turn a terminal red.
VERSIONS: Final = {TITLE: "<script>__ran()", OTHER_TITLE: "<img src=x>\x1b[31m"}
NAME: Final = 'Peer"><img src=x onerror=__ran()>'
OTHER: Final = "Other</title><script>__ran()</script>"


#: Names of people; what one types is a line that can be printed, and what others say is not.
PEOPLE: Final = tuple(VALUES[number][:200] for number in (0, 1, 5, 6, 8, 13))
PASSWORD: Final = "tulip marble seven"


@dataclass
class World:
    """What there is.

    Args:
        application: whose home it is.
        studies: UIDs of the local ones.
        jobs: numbers of all.
        people: numbers of their accounts.
        search: id of a finished search of the peer.
        server: id of the peer.
        other: id of the second entry, which is the same peer.
    """

    application: Application
    server: str
    other: str
    studies: list[str] = field(default_factory=list)
    jobs: list[int] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    search: str = ""


def fill(dataset: Dataset, vrs: dict[str, str], value: str) -> None:
    """Set texts as they are, whatever their VR allows."""
    for keyword, vr in vrs.items():
        if vr in {"CS", "DA", "TM", "IS", "UI", "UR"}:  # in the default repertoire, whatever SpecificCharacterSet says
            value = value.encode("latin-1", "replace").decode("latin-1")
        element = DataElement(keyword, "LO" if vr == "IS" else vr, value, validation_mode=config.IGNORE)
        element.VR = vr
        dataset.add(element)


STUDY_VRS: Final = {
    "PatientName": "PN", "PatientID": "LO", "PatientBirthDate": "DA", "PatientSex": "CS", "AccessionNumber": "SH",
    "StudyDescription": "LO", "StudyDate": "DA", "StudyTime": "TM", "StudyID": "SH", "ReferringPhysicianName": "PN",
    "ModalitiesInStudy": "CS", "NumberOfStudyRelatedSeries": "IS", "NumberOfStudyRelatedInstances": "IS",
}  # fmt: skip
SERIES_VRS: Final = {
    "Modality": "CS", "SeriesDescription": "LO", "SeriesNumber": "IS", "BodyPartExamined": "CS", "SeriesDate": "DA",
    "NumberOfSeriesRelatedInstances": "IS",
}  # fmt: skip
INSTANCE_VRS: Final = {"InstanceNumber": "IS", "SOPClassUID": "UI", "ImageComments": "LT"}


def _matches(level: str) -> Iterator[Dataset]:
    for number, value in enumerate(VALUES, 1):
        match = Dataset()
        match.SpecificCharacterSet = "ISO_IR 192"
        match.QueryRetrieveLevel = level
        fill(match, {"STUDY": STUDY_VRS, "PATIENT": STUDY_VRS, "SERIES": SERIES_VRS}.get(level, INSTANCE_VRS), value)
        match.StudyInstanceUID = f"{ROOT}.{number}"
        if level in {"SERIES", "IMAGE"}:
            match.SeriesInstanceUID = f"{ROOT}.{number}.1"
        if level == "IMAGE":
            match.SOPInstanceUID = f"{ROOT}.{number}.1.1"
        yield match


def _nameless(level: str) -> Dataset:
    """A match whose UIDs are hostile as well."""
    match = Dataset()
    match.QueryRetrieveLevel = level
    fill(match, dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), "UI"), VALUES[1])
    fill(match, STUDY_VRS, "uids")
    return match


def _status(code: int) -> Dataset:
    status = Dataset()
    status.Status = code
    status.add(DataElement("ErrorComment", "LO", COMMENT, validation_mode=config.IGNORE))
    return status


def _find(event: evt.Event) -> Iterator[tuple[Any, Dataset | None]]:
    if event.identifier.get("PatientID") == "FAIL":
        yield _status(0xC001), None
        return
    level, study = str(event.identifier.QueryRetrieveLevel), event.identifier.get("StudyInstanceUID")
    is_other = _called(event) == OTHER_TITLE
    for number, match in enumerate(_matches(level)):
        if is_other and number % 3 == 1:
            continue
        if is_other:
            match.AccessionNumber = f"other {number}"
        if not study or match.StudyInstanceUID in study:
            yield 0xFF00, match
    if not study and not event.identifier.get("StudyDate"):
        yield 0xFF00, _nameless(level)


def _move(event: evt.Event) -> Iterator[Any]:
    yield "127.0.0.1", 1, {"contexts": [build_context(SecondaryCaptureImageStorage)]}
    yield 1
    yield _status(0xC002), None


def _get(event: evt.Event) -> Iterator[Any]:
    yield 1
    yield _status(0xC003), None


def _called(event: evt.Event) -> str:
    title: str = event.assoc.requestor.primitive.called_ae_title
    return title.strip()


def _say_version(event: evt.Event) -> None:
    """Have A-ASSOCIATE-AC name the software as no well-behaved one would (PS3.7 D.3.3.2.3)."""
    event.assoc.acceptor.implementation_version_name = VERSIONS[_called(event)]


def _echo(event: evt.Event) -> Dataset | int:
    return 0 if _called(event) == OTHER_TITLE else _status(0x0110)


HANDLERS: Final = (
    (evt.EVT_REQUESTED, _say_version),
    (evt.EVT_C_ECHO, _echo),
    (evt.EVT_C_STORE, lambda event: _status(0xC004)),
    (evt.EVT_C_FIND, _find),
    (evt.EVT_C_MOVE, _move),
    (evt.EVT_C_GET, _get),
)


def _instance(number: int, copy: int, value: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    vrs = {k: v for k, v in {**STUDY_VRS, **SERIES_VRS, **INSTANCE_VRS}.items() if v != "UI" and k != "SeriesNumber"}
    fill(dataset, {k: v for k, v in vrs.items() if not k.startswith(("NumberOf", "Modalities"))}, value)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, f"{ROOT}.{number}.1.{copy}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.{number}", f"{ROOT}.{number}.1"
    fill(dataset, {"RetrieveURL": "UR", "PatientComments": "LT", "ProtocolName": "LO", "StationName": "SH"}, value)
    item = Dataset()
    fill(item, {"CodeValue": "SH", "CodeMeaning": "LO", "CodingSchemeDesignator": "SH"}, f"{value}{copy}")
    inner = Dataset()
    fill(inner, {"TextValue": "UT"}, value)
    item.ContentSequence = [inner]
    dataset.ProcedureCodeSequence = [item]
    creator = value[:60]
    dataset.add(DataElement(0x00990010, "LO", creator, validation_mode=config.IGNORE))
    dataset.add(DataElement(0x00991001, "UT", f"{value}{copy}", validation_mode=config.IGNORE))
    dataset.add(DataElement(0x00991002, "UN", value.encode(), validation_mode=config.IGNORE))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 4
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PixelData = 7, 0, bytes(range(16))
    return dataset


def write_files(folder: Path) -> None:
    """Two instances of a series for each value, in files."""
    folder.mkdir()
    for number, value in enumerate(VALUES, 1):
        for copy in (1, 2):
            dataset = _instance(number, copy, value)
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            path = folder / f"{number}-{copy}.dcm"
            FileDataset(str(path), dataset, preamble=bytes(128), file_meta=meta).save_as(path, enforce_file_format=True)


def order_message(number: int, value: str) -> str:
    """HL7 v2 (ORM^O01) with the value in its fields, escaped as ER7 has it."""
    text = value.replace("\r", " ").replace("\n", " ")
    for character, escape in (("\\", r"\E\\"), ("|", r"\F\\"), ("^", r"\S\\"), ("&", r"\T\\"), ("~", r"\R\\")):
        text = text.replace(character, escape.replace("\\\\", "\\"))
    return "\r".join(
        (
            rf"MSH|^~\&|{text[:40]}|HOSP|DICOMFAB|LAB|20260131||ORM^O01^ORM_O01|M{number}|P|2.3.1||||||UNICODE UTF-8",
            f"PID|1||{text}^^^{text}||{text}^{text}||{text}|{text}|||{text}",
            "PV1|1|O|RAD",
            f"ORC|NW|P{number}^RIS|F{number}^RIS||SC||^^^{text}^^R",
            f"OBR|1|P{number}^RIS|F{number}^RIS|X^{text}^LN||||||||||||1^{text}||{text}|{text}|{text}||||CT|||||||^{text}",
            "",
        )
    )


@contextmanager
def hostile_world(folder: Path) -> Iterator[World]:
    """Make everything, and have the peer answer as long as it is wanted."""
    modes = config.settings.reading_validation_mode, config.settings.writing_validation_mode
    config.settings.reading_validation_mode = config.settings.writing_validation_mode = config.IGNORE
    application = build(Settings(folder / "home", worker_idle_s=0))
    try:
        with pytest.MonkeyPatch.context() as patch, acceptor(HANDLERS, title=TITLE) as peer:
            patch.setitem(_config.VALIDATORS, "AE", lambda _: (True, ""))  # of the version name as well
            world = World(application, "peer", "other")
            _servers(application, peer.port)
            _patients(application)
            _studies(world, folder / "files")
            _orders(application)
            _kept(application)
            _people(world)
            _jobs(world)
            yield world
    finally:
        application.close()
        config.settings.reading_validation_mode, config.settings.writing_validation_mode = modes


def _servers(application: Application, port: int) -> None:
    for server_id, name, title in (("peer", NAME, TITLE), ("other", OTHER, OTHER_TITLE)):
        entry = {
            "id": server_id,
            "name": name,
            "host": "127.0.0.1",
            "port": port,
            "aec": title,
            "dimse_timeout_s": 60,
            "environment": "test",
            "allow_real": True,
        }
        said = {"description": VALUES[13], "group": VALUES[1][:60], "notes": "\n".join(VALUES[:5])}
        application.pacs.add(ACTOR, {**entry, **said})
    application.pacs.set_routes(ACTOR, "peer", {"other": OTHER_TITLE})
    application.pacs.set_routes(ACTOR, "other", {"peer": TITLE})
    application.pacs.test_all(ACTOR, ["peer", "other"])


PATIENT_VALUES: Final = tuple(v for v in VALUES if v.isprintable() and len(v) <= 64) + (VALUES[5],)


def _patients(application: Application) -> None:
    for number, value in enumerate(PATIENT_VALUES):
        given = {
            "patient_id": f"SYN{number}{value}"[:64].replace("*", "+").replace("?", "!"),
            "name": value.replace("=", "-"),
            "issuer": value,
            "notes": value,
        }
        application.patients.add(ACTOR, given)


def _people(world: World) -> None:
    accounts, tokens = world.application.accounts, world.application.api_tokens
    for number, name in enumerate(name for name in PEOPLE if name.isprintable()):
        made = accounts.add(ACTOR, f"user{number}", ["admin"], password=PASSWORD, display_name=name)
        tokens.create(ACTOR, made.id, ["test_read"], label=name[:60])
        world.people.append(made.id)


def _studies(world: World, folder: Path) -> None:
    write_files(folder)
    taken = world.application.importing.take(ACTOR, [folder])
    assert taken.taken == 2 * len(VALUES), taken.refused
    world.studies += [f"{ROOT}.{n}" for n in range(1, len(VALUES) + 1)]
    patient = Patient(VALUES[5][:60] + "^" + VALUES[0], "SYN9", "19700101", "F")
    recipe = StudyRecipe(
        ("text-card",),
        patient=patient,
        seed=1,
        accession_number="SYN-1",
        study_description=VALUES[1],
        referring_physician=VALUES[5],
    )
    made = world.application.studies.create(ACTOR, world.application.studies.resolve_recipe(ACTOR, recipe))
    world.studies.append(made.resolved.study_instance_uid)


def _orders(application: Application) -> None:
    for number, value in enumerate(VALUES, 1):
        application.ordering.intake.take(ACTOR, order_message(number, value).encode(), Environment.TEST)
        application.orders.add(ACTOR, order_message(number, value), Environment.TEST)


def _kept(application: Application) -> None:
    for number, value in enumerate(v for v in VALUES if v.isprintable() and len(v) <= 60):
        search = StudyFilter(patient_name=value, accession_number=value[:16])
        application.searches.saved.save(ACTOR, SavedSearch(f"saved-{number}", ("peer",), search, 500))
        parameters = {"servers": ["peer"], "filter": {"patient_name": value}}
        kept = application.schedules.add(
            ACTOR, JobKind.QUERY, parameters, cron="0 6 * * *", time_zone="UTC", title=value
        )
        application.schedules.pause(ACTOR, kept.id)  # else a worker would wait for it


def _jobs(world: World) -> None:
    application = world.application
    peer, other = (application.pacs.get(ACTOR, i) for i in (world.server, world.other))
    jobs = [
        application.jobs.send(ACTOR, [world.studies[-1]], peer),
        application.jobs.move(ACTOR, [f"{ROOT}.1"], peer, other),
        application.jobs.get(ACTOR, [f"{ROOT}.1"], peer),
        application.compare_jobs.submit(ACTOR, peer, other, StudyFilter(date="20260131")),
        application.query_jobs.submit(ACTOR, [peer, other], StudyFilter(patient_name=VALUES[0])),
        application.query_jobs.submit(ACTOR, [peer], StudyFilter(patient_id="FAIL")),
        application.verify_jobs.submit(ACTOR, [world.studies[-1]], None, peer),
    ]
    search = StudyFilter(patient_id="FAIL")
    jobs += [application.query_jobs.submit(local_admin(name, "cli"), [peer], search) for name in PEOPLE]
    for job in jobs:
        assert application.worker.run_one(job.id), job
        world.jobs.append(job.id)
    servers = [peer, other]
    world.search = application.searches.begin(ACTOR, servers, StudyFilter(patient_name="mark*"), limit=500)
    assert len(list(application.searches.run(ACTOR, world.search))) == 2
