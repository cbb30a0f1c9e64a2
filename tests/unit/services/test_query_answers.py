"""Peers that refuse, break off, warn, are late or write in another character set: each is told apart."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from dicomfab.dimse.scu.find import find
from dicomfab.model.errors import AnswerIncomplete, AssociationAborted, PeerTimeout, StatusFailure
from dicomfab.services.listings import instances_held
from dicomfab.services.query import ServerAnswer
from dicomfab.services.study_filter import StudyFilter
from dicomfab.services.transfer import sop_classes_held
from dicomfab.ul.pdu import Abort, encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.dimse.raw import Wire, message, response
from tests.unit.services.hospital import ADMIN, Hospital


def element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) + len(value) % 2) + value + b" " * (len(value) % 2)


STUDY = element(0x0020000D, b"1.2.3\0")
IMAGE = element(0x00080018, b"1.2.3.4.5\0")


def answers_with(
    *statuses: int, matches: int = 0, then: str = "release", comment: str = "", each: bytes = STUDY
) -> raw.Behaviour:
    """So many matches, then final statuses or another end."""

    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        for _ in range(matches):
            wire.send(message(context_id, response(command, 0xFF00, data=True), each))
        more: dict[str, Any] = {"ErrorComment": comment} if comment else {}
        for status in statuses:
            wire.send(message(context_id, response(command, status, **more)))
        if then == "release":
            wire.released()
        elif then == "abort":
            wire.send(encode_pdu(Abort(0)))
        else:
            wire.hold()

    return behave


def asked(site: Hospital, behave: raw.Behaviour, **settings: Any) -> ServerAnswer:
    with raw.peer(behave) as peer:
        server = site.entry("RAW", peer.port, **settings)
        [answer] = site.queries.search(ADMIN, [server], StudyFilter(patient_id="X"))
    return answer


def test_no_match_and_a_warning_are_not_nothing(site: Hospital) -> None:
    warned = asked(site, answers_with(0xB000, comment="index is being rebuilt"))
    assert (warned.state, warned.found, warned.error) == ("warning", 0, None)
    assert "B000" in warned.warning
    assert "index is being rebuilt" in warned.warning
    empty = asked(site, answers_with(0x0000))
    assert (empty.state, empty.found, empty.warning) == ("ok", 0, "")


def test_who_proves_or_deletes_by_an_answer_does_not_go_on_with_one_that_ended_with_a_warning(site: Hospital) -> None:
    cut = answers_with(0xB000, matches=1, comment="limit reached", each=IMAGE)
    with raw.peer(cut) as peer, pytest.raises(AnswerIncomplete, match="warning B000: limit reached") as told:
        instances_held(find, site.entry("RAW", peer.port), "1.2.3", "1.2.3.4")
    assert (told.value.code, told.value.transient) == ("B000", False)
    with raw.peer(cut) as peer, pytest.raises(AnswerIncomplete, match="warning B000"):
        site.provenance.at(site.entry("RAW", peer.port), "1.2.3")
    with raw.peer(cut) as peer, pytest.raises(AnswerIncomplete, match="warning B000"):
        site.queries.series(ADMIN, site.entry("RAW", peer.port), "1.2.3")


def test_who_shows_an_answer_to_people_shows_the_warning_with_it(site: Hospital) -> None:
    warned: list[str] = []
    with raw.peer(answers_with(0xB000, matches=1, comment="limit reached")) as peer:
        below = StudyFilter(level="series", study_instance_uid="1.2.3")
        found = site.queries.below(ADMIN, site.entry("RAW", peer.port), below, warned=warned.append)
    assert (len(found), warned) == (1, ["it ended its answer with the warning B000: limit reached"])


def test_a_warning_does_not_matter_where_the_answer_does_not(site: Hospital) -> None:
    with raw.peer(answers_with(0xB000, matches=1)) as peer:
        assert sop_classes_held(find, site.entry("RAW", peer.port), "1.2.3") == frozenset()


def test_a_peer_that_breaks_off_keeps_what_had_come(site: Hospital) -> None:
    answer = asked(site, answers_with(matches=2, then="abort"))
    assert (answer.state, answer.found, len(answer.matches)) == ("broken off", 2, 2)
    assert isinstance(answer.error, AssociationAborted)
    assert not answer.truncated


def test_a_peer_that_is_late_keeps_what_had_come(site: Hospital) -> None:
    answer = asked(site, answers_with(matches=2, then="hold"), dimse_timeout_s=0.3)
    assert (answer.state, answer.found) == ("timed out", 2)
    assert isinstance(answer.error, PeerTimeout)


@pytest.mark.parametrize(
    ("status", "state"), [(0x0122, "refused"), (0x0124, "refused"), (0xA700, "failed"), (0xC001, "failed")]
)
def test_a_refusal_is_no_fault_of_the_query(site: Hospital, status: int, state: str) -> None:
    answer = asked(site, answers_with(status))
    assert answer.state == state
    assert isinstance(answer.error, StatusFailure)


def with_name(name: bytes, charset: str | None) -> raw.Behaviour:
    """One match, its bytes as they are."""
    labelled = b"" if charset is None else element(0x00080005, charset.encode())
    identifier = labelled + element(0x00100010, name) + STUDY

    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        wire.send(message(context_id, response(command, 0xFF00, data=True), identifier))
        wire.send(message(context_id, response(command)))
        wire.released()

    return behave


@pytest.mark.parametrize(
    ("name", "charset", "fallback", "read", "note"),
    [
        ("Müller^Jürgen".encode("latin-1"), "ISO_IR 100", "", "Müller^Jürgen", ""),
        ("Müller".encode(), "ISO_IR 192", "ISO_IR 100", "Müller", ""),
        ("Иванов".encode("iso8859_5"), None, "ISO_IR 144", "Иванов", ""),
        ("Иванов".encode("iso8859_5"), "", "ISO_IR 144", "Иванов", ""),
        ("Müller".encode("latin-1"), None, "", "Müller", "no character set named"),
        ("Müller".encode(), None, "", "Müller", "no character set named"),
        ("Müller".encode("latin-1"), "ISO_IR 192", "", "M\ufffdller", "does not fit"),
        ("Müller".encode("latin-1"), "ISO_IR 999", "", "Müller", "does not fit"),
        (b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "\\ISO 2022 IR 87", "", "Yamada^Tarou=山田^太郎", ""),
        ("王^小东".encode("gb18030"), "GB18030", "", "王^小东", ""),
    ],
)  # fmt: skip
def test_names_are_read_as_the_server_writes_them(
    site: Hospital, name: bytes, charset: str | None, fallback: str, read: str, note: str
) -> None:
    answer = asked(site, with_name(name, charset), fallback_charset=fallback)
    assert [match.patient_name for match in answer.matches] == [read]
    assert answer.state == "ok"
    assert [note in said for said in answer.notes] == ([True] if note else [])
    assert "ller" not in "".join(answer.notes)


@pytest.mark.parametrize(
    ("name", "fallback", "term"),
    [
        ("Muller", "ISO_IR 100", None),
        ("Müller", "", "ISO_IR 192"),
        ("Müller", "ISO_IR 100", "ISO_IR 100"),
        ("Иванов", "ISO_IR 100", "ISO_IR 192"),
        ("Müller", "ISO_IR 6", "ISO_IR 192"),
        ("ﾔﾏﾀﾞ", "ISO_IR 13", "ISO_IR 192"),
        ("王^小东", "GB18030", "GB18030"),
    ],
)
def test_names_are_asked_for_as_the_server_can_read_them(
    site: Hospital, name: str, fallback: str, term: object
) -> None:
    pacs = MemoryPacs()
    server = site.server("NAMES", pacs, fallback_charset=fallback)
    [answer] = site.queries.search(ADMIN, [server], StudyFilter(patient_name=name))
    assert answer.state == "ok"
    [identifier] = pacs.identifiers
    assert identifier.PatientName == f"{name}*"
    assert identifier.get("SpecificCharacterSet") == term


def test_what_a_peer_does_not_return_is_unknown_and_not_0(site: Hospital) -> None:
    [match] = asked(site, answers_with(0x0000, matches=1)).matches
    assert (match.series, match.instances, match.modalities) == (None, None, ())
    assert match.values["NumberOfStudyRelatedInstances"] is None
    assert match.values["PatientName"] is None
    assert match.as_dict()["instances"] is None


def test_a_peer_that_does_not_match_every_key_is_said_to(site: Hospital) -> None:
    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        wire.send(message(context_id, response(command, 0xFF01, data=True), STUDY))
        wire.send(message(context_id, response(command)))
        wire.released()

    answer = asked(site, behave)
    assert answer.found == 1
    assert "does not match every key" in answer.notes[0]


def test_all_four_levels_and_free_keys(site: Hospital) -> None:
    one, study = site.pacs("ONE"), site.make()
    site.transfers.send(ADMIN, study, one)
    [patients] = site.queries.search(ADMIN, [one], StudyFilter(level="patient", patient_name="*"))
    assert [match.instances for match in patients.matches] == [3]
    [studies] = site.queries.search(ADMIN, [one], StudyFilter(keys=("StudyInstanceUID=" + study, "0008,0020")))
    assert [match.study_instance_uid for match in studies.matches] == [study]
    [series] = site.queries.below(ADMIN, one, StudyFilter(level="series", study_instance_uid=study))
    uids = {"study_instance_uid": study, "series_instance_uid": series.series_instance_uid}
    instances = site.queries.below(ADMIN, one, StudyFilter(level="instance", keys=("ImageType",), **uids))
    assert {match.text("SOPInstanceUID") for match in instances} == site.held("ONE", study)
    assert all("\\" in match.text("ImageType") or match.values["ImageType"] == "" for match in instances)
