from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dicomfab.hl7.orders import read
from dicomfab.model.errors import NotFound
from dicomfab.model.hl7_message import MessageState
from dicomfab.model.order import OrderState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import Intake
from dicomfab.storage.database import is_of_content
from dicomfab.storage.hl7_messages import MessageRepository
from dicomfab.storage.orders import MadeStudy, OrderFilter, OrderRepository
from dicomfab.storage.procedures import ProcedureRepository
from tests.unit.hl7.messages import ADT, OMI_JAPANESE, ORM
from tests.unit.services.ordering.conftest import ACTOR, message, orm, pid


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


@pytest.fixture
def events():
    return []


@pytest.fixture
def take(database, events):
    def record(*told, within=None):
        events.extend(told)

    intake = Intake(
        ProcedureRepository(database), tuple, lambda: dt.datetime.now().astimezone(), lambda: "1.2.3", lambda: 1, record
    )
    return lambda data: intake.take(ACTOR, data, Environment.TEST).message


@pytest.mark.parametrize("more", ["", "|||AL|AL"], ids=["original", "enhanced"])
def test_a_message_whose_type_no_database_can_hold_is_refused_and_kept(database, take, events, more):
    taken = take(message(pid(), kind="X\0Y^Z\0", more=more))
    assert (taken.state, taken.code) == (MessageState.REFUSED, "CR" if more else "AR")
    kept = MessageRepository(database).get(taken.number)
    assert (kept.data, kept.message_type, kept.reason) == (taken.data, "XY^Z", "MSH-9.1: XY is not acted on here")
    assert "\0" not in events[0].reason


def test_what_an_order_says_of_its_state_is_noted_as_far_as_it_can_be(database, take):
    assert take(orm()).code == "AA"
    assert take(orm("M2", control="CA", status="C\0A")).code == "AA"
    with ProcedureRepository(database).read() as rows:
        assert rows.events(1)[-1].text == "CANCELLED (CA CA)"


def test_what_a_value_is_at_fault_for_is_told_from_what_the_database_is_at_fault_for(postgres_database):
    failures = []
    for statement, values in (
        ("SELECT CAST(:value AS text)", {"value": "X\0Y"}),
        ("SELECT CAST(:value AS integer)", {"value": "X"}),
        ("SELECT 1 FROM nowhere", {}),
        ("SELECT pg_terminate_backend(pg_backend_pid())", {}),
    ):
        with postgres_database._opened().connect() as connection, pytest.raises(SQLAlchemyError) as caught:
            connection.execute(text(statement), values)
        failures.append(is_of_content(caught.value))
    assert failures == [True, True, False, False]
