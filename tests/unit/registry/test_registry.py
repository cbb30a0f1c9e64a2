from __future__ import annotations

import pytest

from dicomfab.model.errors import ConfirmationRequired, Conflict, InvalidInput, NotFound, RouteMissing
from dicomfab.registry.registry import Registry, diff, free_id
from dicomfab.registry.server import MoveRoute, PacsServer


def server(server_id: str, **changes: object) -> PacsServer:
    base = {"id": server_id, "name": f"Name {server_id}", "host": server_id, "port": 104, "aec": "PACS"}
    return PacsServer(**{"environment": "test", **base, **changes})


@pytest.fixture
def three() -> Registry:
    servers = (server("a"), server("b"), server("c", environment="prod"))
    return Registry(servers, (MoveRoute("a", "b", "TO_B"), MoveRoute("b", "a", "TO_A"), MoveRoute("c", "a", "TO_A")))


def test_order_of_making_does_not_matter(three):
    assert Registry(three.servers[::-1], three.routes[::-1]) == three
    assert [s.id for s in three.servers] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "newcomer",
    [
        server("A"),
        server("x", name="Name a"),
        server("x", name="NAME A"),
        server("x", name="a"),
        server("Name-a", name="b"),
        server("x", host="c", environment="test"),
        server("x", host="C", environment="test"),
    ],
    ids=[
        "id",
        "name",
        "name in other case",
        "name is an id",
        "name is another id",
        "endpoint",
        "endpoint spelled anew",
    ],
)
def test_what_cannot_stand_beside_the_others_is_refused(three, newcomer):
    with pytest.raises(Conflict):
        three.add(newcomer)


def test_an_accented_name_is_the_same_however_unicode_writes_it():
    with pytest.raises(Conflict):
        Registry((server("x", name="M\u00fcller"), server("y", name="MU\u0308LLER")))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "LocalHost"])
def test_one_endpoint_is_not_both_test_and_prod(host):
    here = Registry((server("t", host="localhost"),))
    with pytest.raises(Conflict, match="both are PACS at"):
        here.add(server("p", host=host, environment="prod"))


@pytest.mark.parametrize("other", [{"port": 105}, {"aec": "OTHER"}, {"host": "elsewhere"}])
def test_another_endpoint_may_be_in_the_other_environment(other):
    here = Registry((server("t", host="localhost"),))
    assert len(here.add(server("p", **{"host": "localhost", "environment": "prod", **other})).servers) == 2


def test_one_endpoint_twice_in_one_environment_is_allowed():
    assert len(Registry((server("x", host="h"), server("y", host="h", aet_find="OTHER"))).servers) == 2


def test_there_is_at_most_one_default(three):
    assert three.default is None
    with pytest.raises(Conflict, match="is_default"):
        Registry((server("x", is_default=True), server("y", is_default=True)))


def test_the_default_moves_when_another_is_chosen(three):
    first = three.edit("a", {"is_default": True})
    second = first.edit("b", {"is_default": True})
    third = second.add(server("d", is_default=True))
    assert [r.default and r.default.id for r in (first, second, third)] == ["a", "b", "d"]


def test_get_takes_exact_ids_and_find_what_people_type(three):
    assert three.get("a") is three.find(" A ") is three.find("name a")
    with pytest.raises(NotFound):
        three.get("A")


def test_with_no_servers_at_all_it_says_how_to_add_some():
    with pytest.raises(NotFound) as caught:
        Registry().find("test-pacs-1")
    assert "dicomfab lab configure" in str(caught.value.remedy)


def test_a_name_not_found_gets_the_nearest(three):
    with pytest.raises(NotFound) as caught:
        three.find("Nmae b")
    assert "did you mean 'Name b'?" in caught.value.cause


def test_edit_changes_what_is_named_and_checks_it(three):
    edited = three.edit("a", {"port": "105"})
    assert edited.get("a") == server("a", port=105)
    assert edited.routes == three.routes
    for changes in ({"port": 0}, {"prot": 1}):
        with pytest.raises(InvalidInput):
            three.edit("a", changes)
    with pytest.raises(Conflict):
        three.edit("a", {"name": "Name b"})
    with pytest.raises(NotFound):
        three.edit("zzz", {"port": 105})


def test_an_id_never_changes(three):
    assert three.edit("a", {"id": "a"}) == three
    with pytest.raises(InvalidInput) as caught:
        three.edit("a", {"id": "z"})
    assert caught.value.field == "id"


def test_the_environment_changes_only_when_confirmed(three):
    with pytest.raises(ConfirmationRequired, match="'test' to 'prod'"):
        three.edit("a", {"environment": "prod"})
    assert three.edit("a", {"environment": "prod"}, confirm_environment=True).get("a").environment == "prod"


def test_removing_a_server_removes_its_routes_in_both_directions(three):
    left = three.remove("a")
    assert left.ids == {"b", "c"}
    assert left.routes == ()
    with pytest.raises(NotFound):
        left.remove("a")


def test_set_routes_changes_what_is_named_and_blank_removes(three):
    changed = three.set_routes("a", {"c": " TO_C "})
    assert changed.routes_from("a") == {"b": "TO_B", "c": "TO_C"}
    assert changed.set_routes("a", {"b": "  "}).routes_from("a") == {"c": "TO_C"}
    assert changed.routes_from("b") == three.routes_from("b")


@pytest.mark.parametrize("title", ["TITLE", ""])
@pytest.mark.parametrize("destination", ["a", "zzz", "A"])
def test_no_route_to_oneself_or_to_nowhere(three, destination, title):
    with pytest.raises(InvalidInput) as caught:
        three.set_routes("a", {destination: title})
    assert caught.value.field == f"move_routing.{destination}"


@pytest.mark.parametrize("title", ["A" * 17, "A\\B", None, 5])
def test_a_bad_move_ae_title_is_refused(three, title):
    with pytest.raises(InvalidInput) as caught:
        three.set_routes("a", {"b": title})
    assert caught.value.field == "move_routing.b"


def test_routes_of_an_unknown_source(three):
    with pytest.raises(NotFound):
        three.set_routes("zzz", {"a": "X"})
    with pytest.raises(InvalidInput):
        Registry(three.servers, (MoveRoute("zzz", "a", "X"),))
    with pytest.raises(Conflict):
        Registry(three.servers, (MoveRoute("a", "b", "X"), MoveRoute("a", "b", "Y")))


def test_route(three):
    assert three.route("a", "b") == "TO_B"
    with pytest.raises(NotFound):
        three.route("a", "zzz")


def test_a_missing_route_names_both_servers_and_says_how_to_add_it(three):
    with pytest.raises(RouteMissing) as caught:
        three.route("a", "c")
    assert "Name a (a)" in caught.value.what
    assert "Name c (c)" in caught.value.what
    assert "nothing was sent" in caught.value.what
    assert "dicomfab pacs route a c --ae TITLE" in caught.value.remedy
    assert '"Edit C-MOVE Routing"' in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "expected"),
    [("My PACS", "my-pacs"), ("Name a", "name-a-2"), ("b", "b-2"), ("放射線", "pacs"), ("x" * 80, "x" * 58)],
)
def test_free_id(name, expected):
    servers = (server("name-a", name="first"), server("b", name="second"))
    assert free_id(name, servers) == expected


def test_diff(three):
    after = three.remove("c").edit("a", {"port": 105}).set_routes("a", {"b": ""}).add(server("d"))
    difference = diff(three, after)
    assert (difference.added, difference.removed) == (("d",), ("c",))
    assert [(c.id, dict(c.fields)) for c in difference.changed] == [
        ("a", {"move_routing.b": ("TO_B", ""), "port": (104, 105)})
    ]
    assert diff(three, three).changed == ()
