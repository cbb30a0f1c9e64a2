from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.command import upgrade
from sqlalchemy import create_engine, select
from sqlalchemy import text as sql

from dicomfab.fabricate.patients import PatientData
from dicomfab.fabricate.patterns import Purpose, parse
from dicomfab.model.errors import Conflict, InvalidInput, NotFound
from dicomfab.storage.migrations.run import configuration
from dicomfab.storage.patients import PatientRepository, PatientSort
from dicomfab.storage.tables import id_sequence
from tests.unit.storage.databases import url

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def unused(_value: str) -> bool:
    return False


def pattern(text: str, **options: object):
    return parse(text, Purpose.PATIENT_ID, **options)


@pytest.fixture
def repository(database):
    minutes = itertools.count()
    return PatientRepository(database, now=lambda: NOON + timedelta(minutes=next(minutes)), draw_seed=lambda: 5)


def draw(repository, text, count=1, *, is_used=unused, **options):
    with repository.change() as change:
        return change.draw(pattern(text, **options), count, is_used=is_used)


def add(repository, *people):
    with repository.change() as change:
        return change.add(people)


def names(page):
    return [one.data.name for one in page.patients]


def test_every_field_is_kept(repository, database):
    data = PatientData(
        "SYN001",
        "Doe^Jane=山田",
        "20000101",
        "F",
        "ISS",
        1.7,
        60.25,
        "1 Löwenweg, 桜町",
        "+81 3-0123-4567",
        "two\nlines",
    )
    (added,) = add(repository, data)
    database.close()
    assert repository.get(added.number) == added
    assert (added.data, added.created_at, added.changed_at, added.revision) == (data, NOON, NOON, 1)
    assert repository.with_id("SYN001") == (added,)


def test_patients_of_before_have_neither_address_nor_phone(empty_database):
    if isinstance(empty_database.place, Path):
        empty_database.place.parent.mkdir()
    engine = create_engine(url(empty_database.place))
    with engine.begin() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        upgrade(config, "0017")
        row = {
            "patient_id": "SYN1", "issuer": "ISS", "name": "Doe^Jane", "birth_date": "", "sex": "F", "notes": "n",
            "search_text": "doe jane\nsyn1", "created_at": "2026-01-02 12:00:00", "changed_at": "2026-01-02 12:00:00",
            "revision": 3,
        }  # fmt: skip
        values = ", ".join(f":{name}" for name in row)
        connection.execute(sql(f"INSERT INTO patient ({', '.join(row)}) VALUES ({values})"), row)
    engine.dispose()
    repository = PatientRepository(empty_database, now=lambda: NOON, draw_seed=lambda: 5)
    (found,) = repository.page().patients
    assert (found.data, found.revision) == (PatientData("SYN1", "Doe^Jane", "", "F", "ISS", notes="n"), 3)


def test_search_knows_neither_case_nor_accents_and_takes_every_word(repository):
    add(
        repository,
        PatientData("SYN1", "Sørensen^Zoé"),
        PatientData("SYN2", "O'Brien^Ann=Ω"),
        PatientData("A_1", "X%^Y"),
    )
    for search, found in [
        ("sorensen", ["Sørensen^Zoé"]),
        ("ZOE sør", ["Sørensen^Zoé"]),
        ("Sørensen, Zoé", ["Sørensen^Zoé"]),
        ("zoe brien", []),
        ("syn", ["O'Brien^Ann=Ω", "Sørensen^Zoé"]),
        ("%", ["X%^Y"]),
        ("_", ["X%^Y"]),
        ("", ["O'Brien^Ann=Ω", "Sørensen^Zoé", "X%^Y"]),
    ]:
        assert names(repository.page(search)) == found, search


@pytest.mark.parametrize("sort", PatientSort)
def test_pages_hold_everybody_once_in_order(repository, sort):
    add(repository, *(PatientData(f"SYN{n}", f"N{n % 3}", f"200001{n + 1:02d}", "FM"[n % 2]) for n in range(11)))
    for descending in (False, True):
        whole = repository.page(sort=sort, descending=descending)
        parts = [repository.page(sort=sort, descending=descending, limit=4, offset=o) for o in (0, 4, 8)]
        assert sum((part.patients for part in parts), ()) == whole.patients
        assert {part.total for part in parts} == {11}
    assert repository.page(sort=sort).patients[0] == whole.patients[-1]


def test_an_id_is_unique_with_its_issuer(repository):
    one, other = add(repository, PatientData("A", "N"), PatientData("A", "N", issuer="OTHER"))
    with pytest.raises(Conflict, match="registered already"):
        add(repository, PatientData("B", "N"), PatientData("A", "N"))
    with pytest.raises(Conflict), repository.change() as change:
        change.replace(other, one.data)
    assert len(repository.page().patients) == 2


def test_replacing_raises_the_revision_and_removing_removes(repository):
    (added,) = add(repository, PatientData("A", "N"))
    with repository.change() as change:
        changed = change.replace(added, PatientData("B", "M"))
    assert repository.get(added.number) == changed
    assert (changed.revision, changed.created_at) == (2, added.created_at)
    assert changed.changed_at > added.changed_at
    assert names(repository.page("b m")) == ["M"]
    with repository.change() as change:
        assert change.remove(added.number) == changed
    with pytest.raises(NotFound):
        repository.get(added.number)
    assert add(repository, PatientData("C", "N"))[0].number > added.number


def test_a_removed_patient_is_put_back_as_he_was(repository):
    (added,) = add(repository, PatientData("A", "Ärger^Ö"))
    with repository.change() as change:
        changed = change.replace(added, PatientData("B", "Ärger^Ö"))
        change.remove(added.number)
    with repository.change() as change:
        change.put_back(changed)
    assert repository.get(added.number) == changed
    assert names(repository.page("arger")) == ["Ärger^Ö"]
    with pytest.raises(Conflict), repository.change() as change:
        change.put_back(changed)
    assert add(repository, PatientData("C", "N"))[0].number > added.number


def test_a_pattern_gives_each_value_once_and_then_says_so(repository):
    drawn = [draw(repository, "X{1digits}")[0] for _ in range(4)] + draw(repository, "X{1digits}", 6)
    assert sorted(drawn) == [f"X{n}" for n in range(10)]
    with pytest.raises(InvalidInput, match="can make no new value") as caught:
        draw(repository, "X{1digits}")
    assert (caught.value.field, "10 values" in caught.value.cause) == ("pattern", True)


def test_too_many_at_once_uses_up_none(repository):
    with pytest.raises(InvalidInput, match="only 10 of the 11"):
        draw(repository, "X{1digits}", 11)
    assert len(set(draw(repository, "X{1digits}", 10))) == 10


def test_two_patterns_with_common_values_never_give_the_same(repository):
    counted = draw(repository, "X{2digits}", 60, start=0)
    mixed = draw(repository, "X{2digits}", 40)
    assert counted == [f"X{n:02d}" for n in range(60)]
    assert sorted(counted + mixed) == [f"X{n:02d}" for n in range(100)]
    with pytest.raises(InvalidInput, match="no new value"):
        draw(repository, "X{1digits}{1digits}")


def test_a_count_goes_on_where_it_stood(repository):
    assert draw(repository, "X{3digits}", 2, start=100, increment=10) == ["X100", "X110"]
    assert draw(repository, "X{3digits}", 2, start=100, increment=10) == ["X120", "X130"]
    assert draw(repository, "X{3digits}", 3, start=119) == ["X119", "X121", "X122"]


def test_ids_of_patients_are_passed_over_also_when_they_are_gone(repository):
    _, other = add(repository, PatientData("X1", "N"), PatientData("X2", "N"))
    with repository.change() as change:
        change.replace(other, PatientData("X4", "N"))
    for one in repository.page().patients:
        with repository.change() as change:
            change.remove(one.number)
    assert draw(repository, "X{1digits}", 3, start=1) == ["X3", "X5", "X6"]


def test_values_used_elsewhere_are_each_asked_for_once(repository):
    asked: list[str] = []

    def is_used(value: str) -> bool:
        asked.append(value)
        return value < "X900"

    assert draw(repository, "X{3digits}", 2, is_used=is_used, start=0) == ["X900", "X901"]
    assert asked == [f"X{n:03d}" for n in range(902)]
    with pytest.raises(InvalidInput, match="no new value"):
        draw(repository, "Y{2digits}", is_used=lambda _: True)


def test_purposes_do_not_share_values(repository):
    with repository.change() as change:
        accession = change.draw(parse("X{1digits}", Purpose.ACCESSION), 10, is_used=unused)
    assert sorted(accession) == sorted(draw(repository, "X{1digits}", 10))


def test_the_order_is_this_installations_own(database):
    seeds = iter([1, 2])
    repository = PatientRepository(database, now=lambda: NOON, draw_seed=lambda: next(seeds))
    for text in ("A{9digits}", "B{9digits}"):
        draw(repository, text)
        draw(repository, text)
    with database.read() as connection:
        assert connection.execute(select(id_sequence.c.seed, id_sequence.c.next_index)).all() == [(1, 2), (2, 2)]


def test_what_fails_in_a_change_is_undone_with_the_ids_drawn_in_it(repository):
    def fail():
        with repository.change() as change:
            change.add([PatientData(change.draw(pattern("X{3digits}", start=1), 1, is_used=unused)[0], "N")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert repository.page().total == 0
    assert draw(repository, "X{3digits}", start=1) == ["X001"]


def test_twenty_threads_lose_nothing_and_share_no_id(repository):
    (shared,) = add(repository, PatientData("SHARED", "N"))

    def work(_number: int) -> None:
        with repository.change() as change:
            change.add([PatientData(change.draw(pattern("SYN{4digits}"), 1, is_used=unused)[0], "N")])
            before = change.get(shared.number)
            change.replace(before, PatientData("SHARED", "N", notes=before.data.notes + "x"))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(100)))
    page = repository.page()
    assert page.total == len({one.data.patient_id for one in page.patients}) == 101
    assert repository.get(shared.number).data.notes == "x" * 100
    assert repository.get(shared.number).revision == 101


ADD_FIFTY = """
import sys
from datetime import UTC, datetime
from dicomfab.fabricate.patients import PatientData
from dicomfab.fabricate.patterns import Purpose, parse
from dicomfab.app.build import build
from dicomfab.storage.patients import PatientRepository

repository = PatientRepository(build().database, now=lambda: datetime.now(UTC), draw_seed=lambda: 5)
pattern = parse("SYN{3digits}", Purpose.PATIENT_ID)
for number in range(50):
    with repository.change() as change:
        (patient_id,) = change.draw(pattern, 1, is_used=lambda value: False)
        change.add([PatientData(patient_id, f"P{sys.argv[1]}^{number}")])
"""


def test_four_processes_lose_nothing_and_share_no_id(repository, database, share):
    share(database)
    command = [sys.executable, "-c", ADD_FIFTY]
    started = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(4)]
    assert [process.communicate()[1] for process in started] == [""] * 4
    found = repository.page().patients
    assert {one.data.name for one in found} == {f"P{p}^{n}" for p in range(4) for n in range(50)}
    assert len({one.data.patient_id for one in found}) == 200
