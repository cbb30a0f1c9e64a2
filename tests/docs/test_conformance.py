"""The conformance statement: its tables are those of the code, and running servers do what they claim."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.uid import AllTransferSyntaxes, UID_dictionary
from pynetdicom.association import Association

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.store import store
from dicomfab.model.actor import local_admin
from dicomfab.model.values import Environment
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.testpacs.lab import Lab
from dicomfab.testpacs.spec import ServerSpec
from tests.peers import programs
from tests.peers import pynetdicom_peers as pynetdicom
from tests.unit.testpacs.labs import running_lab, write_instance

pytestmark = [
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "conformance.md"
TEXT = PAGE.read_text("utf-8")
MARKED = re.compile(r"(\(table: ([a-z-]+)\)\n\n)(.*?)(?=\[//\]: # \(end of table\))", re.DOTALL)
PLANNED = ("created-sop-classes", "created-attributes", "codes")
REMEDY = "run: .venv/bin/python tools/conformance.py docs/reference/conformance.md"
PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
#: Where the statuses that servers answer come from.
ANSWERING = (
    "archive/commitment.py", "archive/errors.py", "archive/receive.py", "dimse/c_store.py", "dimse/commitment.py",
    "dimse/performed_step.py", "dimse/scp/gate.py", "dimse/scp/late.py", "dimse/scp/retrieve.py",
    "dimse/scp/services.py", "dimse/scp/session.py", "dimse/scu/commitment.py", "services/commitments.py",
    "services/ordering/heard.py", "services/ordering/worklist.py", "services/receiving.py", "testpacs/pacs.py",
)  # fmt: skip
NO_STATUS = {0xFFFF, 0x8000}  # the most that a counter or a reason holds, the first number of reports


def rows(name: str) -> list[list[str]]:
    """The cells of a table of the page."""
    found = {table: body for _, table, body in MARKED.findall(TEXT)}
    lines = found[name].strip().splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]


def filled(page: str, folder: Path, *options: str) -> str:
    """What the tool makes of a page."""
    given, made = folder / "given.md", folder / "made.md"
    given.write_text(page, "utf-8")
    subprocess.run([sys.executable, ROOT / "tools" / "conformance.py", given, made, *options], check=True)
    return made.read_text("utf-8")


def emptied(keep: tuple[str, ...] = ()) -> str:
    return MARKED.sub(lambda found: found[0] if found[2] in keep else f"{found[1]}", TEXT)


def test_the_tables_are_those_of_the_code(tmp_path: Path) -> None:
    assert filled(emptied(keep=PLANNED), tmp_path, "--quick") == TEXT, REMEDY


@pytest.mark.full
def test_the_tables_of_what_is_made_are_those_of_the_code(tmp_path: Path) -> None:
    assert filled(emptied(), tmp_path) == TEXT, (
        "run: .venv/bin/python tools/conformance.py docs/reference/conformance.md"
    )


def test_every_status_that_the_code_can_answer_is_told() -> None:
    told = {int(row[1], 16) for row in rows("statuses-answered")} | {0xA710}  # that is an error ID
    assert f"{0xA710:04X}" in TEXT
    told |= {int(row[0], 16) for row in rows("commitment-failure-reasons")}
    for name in ANSWERING:
        source = (ROOT / "src" / "dicomfab" / name).read_text("utf-8")
        found = {int(number, 16) for number in re.findall(r"\b0x([0-9A-F]{4})\b", source)}
        assert found - NO_STATUS <= told, name


def test_no_other_module_refuses() -> None:
    """A module that refuses with a status of its own has to be looked into by the test above."""
    refusing = {
        path.relative_to(ROOT / "src" / "dicomfab").as_posix()
        for path in (ROOT / "src" / "dicomfab").rglob("*.py")
        if re.search(r"raise Refusal\(", path.read_text("utf-8"))
    }
    taking_over = {"dimse/scp/availability.py"}  # constants of performed_step
    assert refusing - taking_over <= set(ANSWERING)


# --- running servers ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def one_of(lab: Lab) -> ServerSpec:
    return lab.config.servers[0]


def accepted(port: int, called: str, sop_classes: list[str], syntaxes: tuple[str, ...] = PLAIN) -> set[str]:
    """Those of the SOP classes that a server accepts, asked by pynetdicom."""
    found: set[str] = set()
    for start in range(0, len(sop_classes), 128):
        part = [(uid, syntaxes) for uid in sop_classes[start : start + 128]]
        with pynetdicom.association(port, part, called=called) as opened:
            found |= {str(one.abstract_syntax) for one in opened.accepted_contexts}
            if not opened.is_established:
                assert opened.rejected_contexts
    return found


def claimed(server: str) -> dict[str, str]:
    """SOP class -> ``yes``, ``0122`` or ``-``, of the services that are listed one by one."""
    heads = ["SOP class", "Abstract syntax", "STORAGE-SCP", "TEST-PACS", "RIS"]
    return {row[1]: row[heads.index(server)] for row in rows("scp-contexts") if row[1].startswith("1.")}


def others() -> list[str]:
    """SOP classes of the standard that no table of the page has."""
    listed = {row[1] for name in ("scp-contexts", "storage-sop-classes") for row in rows(name)}
    return [
        uid
        for uid, (name, kind, _info, _retired, _keyword) in UID_dictionary.items()
        if "SOP Class" in kind and uid not in listed and "Storage" not in name
    ]


def check_contexts(port: int, called: str, server: str) -> None:
    services = claimed(server)
    found = accepted(port, called, [*services, *others()])
    assert found == {uid for uid, said in services.items() if said != "-"}
    assert len(others()) > 60
    storage = [row[1] for row in rows("storage-sop-classes")]
    assert accepted(port, called, storage) == set(storage)
    private = "1.2.826.0.1.3680043.8.498.99"
    assert accepted(port, called, [private], tuple(AllTransferSyntaxes[-1:])) == {private}


@pytest.mark.full
def test_a_test_pacs_accepts_what_is_listed_and_nothing_else(lab: Lab) -> None:
    check_contexts(one_of(lab).dicom_port, one_of(lab).ae_title, "TEST-PACS")


@pytest.mark.full
def test_a_ris_accepts_what_is_listed_and_refuses_what_it_has_not(tmp_path: Path) -> None:
    application = build(Settings(tmp_path / "home"))
    config = RisConfig(Environment.TEST, any_caller=True)
    try:
        with application.ordering.ris.serving(local_admin("tester", "cli"), config) as running:
            check_contexts(running.dicom_port, running.ae_title, "RIS")
            (find,) = [row[1] for row in rows("services") if row[0].startswith("Study Root") and "FIND" in row[0]]
            with pynetdicom.association(running.dicom_port, [(find, PLAIN)], called=running.ae_title) as opened:
                assert [status.Status for status, _ in opened.send_c_find(study_key("1.2"), find)] == [0x0122]
    finally:
        application.close()


@pytest.mark.full
def test_our_receiver_accepts_what_is_listed_and_nothing_else(tmp_path: Path) -> None:
    application = build(Settings(tmp_path / "home", scp_port=programs.free_port()))
    try:
        entry = {"name": "Tester", "host": "127.0.0.1", "port": 104, "aec": "PYNETDICOM", "environment": "test"}
        actor = local_admin("tester", "cli")
        application.pacs.add(actor, entry)
        with application.receiving.listening(actor) as port:
            check_contexts(port, "DICOMFAB", "STORAGE-SCP")
    finally:
        application.close()


@pytest.mark.full
def test_associations_are_rejected_as_listed(lab: Lab) -> None:
    with pynetdicom.association(one_of(lab).dicom_port, [("1.2.840.10008.1.1", PLAIN)], called="OTHER") as opened:
        assert opened.is_rejected
        answer = opened.acceptor.primitive
    assert [str(answer.result), str(answer.result_source), str(answer.diagnostic)] in [
        row[:3] for row in rows("rejections")
    ]
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 7)


def study_key(uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = uid
    return identifier


#: A value of each VR, one that differs, and one with a wildcard if there is that.
VALUES = {
    "AS": ("042Y", "043Y"), "CS": ("VALUE", "OTHER", "VAL*"), "DA": ("20240131", "20240201", "20240101-20240131"),
    "DS": ("1.5", "2.5"), "IS": ("7", "8"), "LO": ("Value", "Other", "V?lue"), "LT": ("Value", "Other", "Val*"),
    "PN": ("Doe^Jane", "Roe^Jane", "doe*"), "SH": ("Value", "Other", "Val*"), "TM": ("101500", "111500", "1000-1030"),
    "UI": ("1.2.3.4.5", "1.2.3.4.6", "1.2.3.4.6\\1.2.3.4.5"), "US": (16, 17),
}  # fmt: skip


def keys() -> list[tuple[str, str, str, str]]:
    """Level, keyword, VR and matching of each key that is claimed."""
    found = []
    for level, _name, tag, vr, _type, matching in rows("query-keys"):
        keyword = keyword_for_tag(int(tag[1:5] + tag[6:10], 16))
        assert vr == dictionary_VR(keyword)
        found.append((level, keyword, vr, matching))
    return found


def finds(opened: Association, model: str, key: tuple[str, str], value: object, wanted: int) -> bool:
    """Whether so many matches come of one key."""
    level, keyword = key
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    setattr(identifier, keyword, value)
    answers = opened.send_c_find(identifier, model)
    return [one.get("Status") for one, _ in answers] == [0xFF00] * wanted + [0x0000]


@pytest.mark.full
def test_every_key_matches_as_listed(lab: Lab, tmp_path: Path) -> None:
    server = one_of(lab)
    uids = {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1", "SOPInstanceUID": "1.2.9.1.7",
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}  # fmt: skip
    values = {keyword: VALUES[vr][0] for _, keyword, vr, _ in keys() if keyword not in (*uids, "InstanceNumber")}
    file = write_instance(tmp_path, int(VALUES["IS"][0]), "1.2.9", **values)
    (outcome,) = store(Peer("127.0.0.1", server.dicom_port, server.ae_title), [file])
    assert outcome.accepted
    (model,) = [row[1] for row in rows("services") if row[0].startswith("Patient Root") and "FIND" in row[0]]
    tried = 0
    with pynetdicom.association(server.dicom_port, [(model, PLAIN)], called=server.ae_title) as opened:
        for level, keyword, vr, matching in keys():
            right = uids.get(keyword, VALUES[vr][0])
            asked = [(right, 1), (VALUES[vr][1], 0), ("", 1)]
            asked += [(VALUES[vr][2], 1)] if "wildcard" in matching or "range" in matching else []
            asked += [([VALUES[vr][1], right], 1)] if "list" in matching else []
            for value, wanted in asked:
                assert finds(opened, model, (level, keyword), value, wanted), (keyword, value)
            tried += 1
    assert tried == len(keys()) > 60
