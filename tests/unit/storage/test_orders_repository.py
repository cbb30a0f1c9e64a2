from __future__ import annotations

import pytest

from dicomfab.hl7.orders import read
from dicomfab.model.errors import NotFound
from dicomfab.model.order import OrderState
from dicomfab.model.values import Environment
from dicomfab.storage.orders import MadeStudy, OrderFilter, OrderRepository
from tests.unit.hl7.messages import ADT, OMI_JAPANESE, ORM


@pytest.fixture
def repository(database):
    return OrderRepository(database)


def add(repository, message, environment=Environment.TEST):
    return repository.add(read(message), message, environment, "somebody")


def test_everything_is_kept(repository, database):
    first, second = add(repository, OMI_JAPANESE)
    database.close()
    assert repository.get(first.number) == first
    assert (first.order, second.order) == read(OMI_JAPANESE)
    assert (first.message, first.added_by, first.state, first.studies) == (
        OMI_JAPANESE,
        "somebody",
        OrderState.OPEN,
        (),
    )
    with pytest.raises(NotFound):
        repository.get(second.number + 1)
    with pytest.raises(NotFound):
        repository.get(2**70)


def test_orders_are_found_by_words_state_accession_and_environment(repository):
    (orm,) = add(repository, ORM)
    (adt,) = add(repository, ADT, Environment.PROD)

    def numbers(**wanted):
        return [one.number for one in repository.page(OrderFilter(**wanted), limit=10).orders]

    assert numbers() == [adt.number, orm.number]
    assert numbers(search="ASTRID acc1") == [orm.number]
    assert numbers(search="chest%") == []
    assert numbers(states=frozenset({OrderState.NONE})) == [adt.number]
    assert numbers(accession_number="ACC1") == [orm.number]
    assert numbers(environments=frozenset({Environment.PROD})) == [adt.number]
    assert numbers(environments=frozenset()) == []
    page = repository.page(OrderFilter(), limit=1, offset=1)
    assert (page.total, page.orders[0].number) == (2, orm.number)


def test_a_study_is_noted_once(repository):
    (order,) = add(repository, ORM)
    repository.note_studies(order.number, [MadeStudy("1.2", 7)])
    noted = repository.note_studies(order.number, [MadeStudy("1.2", 7), MadeStudy("1.3")])
    assert noted.studies == (MadeStudy("1.2", 7), MadeStudy("1.3"))
    assert noted.state is OrderState.MADE


def test_what_a_database_cannot_hold_is_no_reason_to_lose_an_order(repository):
    (order,) = add(repository, ORM.replace("Astrid", "As\0trid"))
    assert order.order.value("PatientName").startswith("Lindgren^As trid")
