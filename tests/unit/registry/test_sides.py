"""Where production stands or stood, and who takes its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model.errors import ConfirmationRequired
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.registry.sides import Endpoint, check_sides, in_place_of_production, remembered


def server(server_id: str, environment: str, host: str = "pacs.example.com", port: int = 104) -> PacsServer:
    return PacsServer(id=server_id, name=server_id.upper(), host=host, port=port, aec="A", environment=environment)  # type: ignore[arg-type]


PROD, TEST = server("p", "prod"), server("t", "test")
EMPTY: Registry = Registry()


def test_a_test_server_at_the_address_of_one_that_was_removed_is_noticed() -> None:
    former = remembered(Registry((PROD,)), EMPTY, {})
    assert former == {PROD.endpoint: "P"}
    with pytest.raises(ConfirmationRequired, match=r"T would be a test server .* where P stood in production"):
        check_sides(EMPTY, Registry((TEST,)), former)
    check_sides(EMPTY, Registry((PROD,)), former)
    check_sides(EMPTY, Registry((server("t", "test", port=105),)), former)


def test_another_spelling_of_the_host_is_the_same_address() -> None:
    former = remembered(Registry((server("p", "prod", "127.0.0.1"),)), EMPTY, {})
    assert in_place_of_production(EMPTY, Registry((server("t", "test", "LOCALHOST"),)), former)


def test_a_production_server_that_moves_away_leaves_its_address_behind() -> None:
    moved = Registry((server("p", "prod", port=105), TEST))
    assert [one.id for one in in_place_of_production(Registry((PROD,)), moved, {})] == ["t"]
    assert remembered(Registry((PROD,)), Registry((server("p", "prod", port=105),)), {}) == {PROD.endpoint: "P"}


def test_a_test_server_that_moves_there_is_noticed_and_one_that_is_there_is_not() -> None:
    elsewhere = server("t", "test", port=105)
    former: dict[Endpoint, str] = {PROD.endpoint: "P"}
    assert in_place_of_production(Registry((elsewhere,)), Registry((TEST,)), former)
    assert not in_place_of_production(Registry((TEST,)), Registry((TEST, server("u", "test", port=9))), former)


SERVERS = st.lists(
    st.tuples(st.sampled_from(["test", "prod"]), st.integers(1, 3)), max_size=3, unique_by=lambda pair: pair[1]
).map(lambda pairs: Registry(tuple(server(f"s{port}", environment, port=port) for environment, port in pairs)))


@given(st.lists(SERVERS, min_size=1, max_size=8), st.data())
def test_no_sequence_puts_test_where_production_was_without_a_yes(steps: list[Registry], data: st.DataObject) -> None:
    now, former, was_production = EMPTY, {}, set()
    for after in steps:
        is_confirmed = data.draw(st.booleans())
        turned = {one.endpoint for one in after.servers if not one.is_production and one.endpoint in was_production} - {
            one.endpoint for one in now.servers if not one.is_production
        }
        try:
            if not is_confirmed:
                check_sides(now, after, former)
        except ConfirmationRequired:
            assert turned
            continue
        assert is_confirmed or not turned
        former, now = remembered(now, after, former), after
        was_production |= {one.endpoint for one in now.servers if one.is_production}
        was_production -= {one.endpoint for one in now.servers if not one.is_production}
