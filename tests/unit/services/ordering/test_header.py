"""What an answer says of the message: in whichever character set, and with whichever separators, it came."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomfab.hl7.character_sets import decoded
from dicomfab.hl7.er7 import parse
from dicomfab.services.ordering.intake import Taken, header_of
from tests.unit.services.ordering.conftest import orm


@pytest.mark.parametrize(
    ("character_set", "codec", "control_id"),
    [("8859/1", "iso-8859-1", "Ä1"), ("UNICODE UTF-8", "utf-8", "山1"), ("8859/5", "iso-8859-5", "Ж1")],
)
def test_the_control_id_comes_back_in_the_bytes_in_which_it_came(
    take: Callable[..., Taken], character_set: str, codec: str, control_id: str
) -> None:
    text = orm(control_id).decode().replace("|2.5.1", f"|2.5.1||||||{character_set}", 1)
    taken = take(text.encode(codec))
    assert (taken.message.code, taken.message.control_id) == ("AA", control_id)
    assert b"\rMSA|AA|" + control_id.encode(codec) + b"\r" in taken.answer
    assert taken.message.sender == "RIS|HOSP"


def test_two_control_ids_that_differ_by_one_letter_of_latin_1_are_two(take: Callable[..., Taken]) -> None:
    def sent(control_id: str, accession: str) -> bytes:
        text = orm(control_id, accession=accession).decode().replace("|2.5.1", "|2.5.1||||||8859/1", 1)
        return text.encode("iso-8859-1")

    assert take(sent("Mä", "A1")).problems == ()
    assert take(sent("Mö", "A2")).problems == ()


@pytest.mark.parametrize("named", ["AMSB", "^~\\A", "^.\\&", "1234", "^~\\ ", "^~\x07&"])
def test_what_cannot_separate_is_not_taken_as_a_separator(named: str) -> None:
    data = f"MSH|{named}|RIS|HOSP|||2026||ORM^O01|MAS.1|T|2.5.1\r".encode()
    message = parse(decoded(data)[0])
    assert any("cannot separate" in note for note in message.notes)
    header = header_of(data)
    assert header is not None
    assert (header.get(10), header.get(9, 2)) == ("MAS.1", "O01")
