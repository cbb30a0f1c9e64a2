from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.hl7.character_sets import decoded
from dicomfab.hl7.er7 import Delimiters, parse
from dicomfab.hl7.writing import Line, encoded, escaped, written
from dicomfab.model.errors import InvalidInput

# The reader takes blanks at both ends off, and no message holds what is half a character.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30).map(
    lambda text: text.replace("\r\n", "\n").replace("\r", "\n").strip()
)
DELIMITERS = st.permutations("|^~\\&#!$%").map(lambda drawn: Delimiters(*drawn[:5]))


@given(st.lists(st.lists(TEXT, min_size=1, max_size=4), min_size=1, max_size=4), DELIMITERS)
def test_what_is_written_is_read_back_with_any_separators(fields: list[list[str]], delimiters: Delimiters) -> None:
    line = Line("ZZZ", {number: tuple(components) for number, components in enumerate(fields, 1)})
    message = parse(written([Line("MSH", {9: ("ORM", "O01")}), line], delimiters))
    assert message.notes == ()
    header, segment = message.segments
    assert (header.get(9, 1), header.get(9, 2)) == ("ORM", "O01")
    for number, components in enumerate(fields, 1):
        assert [segment.get(number, n) for n in range(1, len(components) + 1)] == components


def test_repetitions_and_subcomponents() -> None:
    line = Line("PID", {3: [("1", "", "", ("SITE", "1.2", "ISO")), "2"], 5: ("Doe", "J&J")})
    text = written([Line("MSH", {10: "7"}), line])
    assert text == "MSH|^~\\&||||||||7\rPID|||1^^^SITE&1.2&ISO~2||Doe^J\\T\\J\r"
    segment = parse(text).segments[1]
    assert [one.get(1) for one in segment.repetitions(3)] == ["1", "2"]
    assert segment.get(3, 4, 2) == "1.2"


def test_nothing_in_a_text_can_begin_a_segment_or_a_frame() -> None:
    assert escaped("a\r\nPID|1\x0b\x1c") == "a\\.br\\PID\\F\\1\\X0B\\\\X1C\\"


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("UNICODE UTF-8", "山田^太郎"),
        ("~ISO IR87", "山田"),
        ("8859/1", "Müller"),
        ("8859/7", "Παπαδόπουλος"),
        ("8859/6", "محمد"),
        ("GB 18030-2000", "张伟"),
        ("KS X 1001", "홍길동"),
    ],
)
def test_bytes_are_read_in_the_character_set_that_they_name(character_set: str, name: str) -> None:
    text = written([Line("MSH", {18: character_set.split("~")}), Line("PID", {5: name})])
    back, notes = decoded(encoded(text, character_set))
    assert (back, notes) == (text, ())


@pytest.mark.parametrize(("character_set", "word"), [("", "'ü'"), ("8859/7", "'山'"), ("EBCDIC", "EBCDIC")])
def test_what_cannot_be_written_is_refused(character_set: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word) as caught:
        encoded("ü" if not character_set else "山", character_set)
    assert caught.value.field == "MSH-18"
