from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomfab.model.errors import ConfirmationRequired, Conflict, DicomFabError, InvalidInput, NotFound
from dicomfab.registry.fields import CHARACTER_SETS, TLS_PROFILES, Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.seed_json import export_server, export_servers, import_servers
from dicomfab.registry.server import MoveRoute, PacsServer, label_key

BLOCK_1 = """{
  "name": "My PACS Server",
  "host": "pacs.example.com",
  "port": 104,
  "aec": "PACS",
  "environment": "test"
}"""
BLOCK_2 = '{"aet_find": "DICOMFAB", "aet_store": "DICOMFAB", "aet_echo": "DICOMFAB"}'
BLOCK_3 = '{"move_routing": {"pacs-2-id": "MOVE_TO_PACS2", "pacs-3-id": "MOVE_TO_PACS3"}}'


def server(server_id: str, **changes: object) -> PacsServer:
    base = {"id": server_id, "name": f"Name {server_id}", "host": server_id, "port": 104, "aec": "PACS"}
    return PacsServer(**{"environment": "test", **base, **changes})


def entry(**changes: object) -> dict[str, Any]:
    return {"name": "X", "host": "x", "port": 104, "aec": "X", "environment": "test", **changes}


@pytest.fixture
def three() -> Registry:
    servers = (server("pacs-1-id"), server("pacs-2-id"), server("pacs-3-id", environment="prod"))
    return Registry(servers, (MoveRoute("pacs-1-id", "pacs-2-id", "OLD"),))


def imported(registry: Registry, document: object, **options: Any) -> Registry:
    text = document if isinstance(document, str) else json.dumps(document)
    return import_servers(registry, text, source="servers.json", **options)[0]


# The three blocks of the setup guide


def test_block_1_makes_a_server_with_our_default_titles_and_an_id_from_its_name():
    after, report = import_servers(Registry(), BLOCK_1, source="servers.json")
    made = after.get("my-pacs-server")
    assert (made.aet_find, made.aet_store, made.aet_echo) == ("DICOMFAB", "DICOMFAB", "DICOMFAB")
    assert (report.added, report.changed, report.unchanged) == (("my-pacs-server",), (), ())
    again, second = import_servers(after, BLOCK_1, source="servers.json")
    assert again == after
    assert (second.added, second.changed, second.unchanged) == ((), (), ("my-pacs-server",))


def test_block_2_is_a_fragment(three):
    before = three.edit("pacs-1-id", {"aet_find": "OLD", "aet_store": ""})
    after, report = import_servers(before, BLOCK_2, source="f.json", into="pacs-1-id")
    assert after == three
    assert dict(report.changed[0].fields) == {"aet_find": ("OLD", "DICOMFAB"), "aet_store": ("", "DICOMFAB")}


def test_block_3_is_a_fragment(three):
    after = imported(three, BLOCK_3, into="pacs-1-id")
    assert after.routes_from("pacs-1-id") == {"pacs-2-id": "MOVE_TO_PACS2", "pacs-3-id": "MOVE_TO_PACS3"}
    assert after.servers == three.servers


def test_a_fragment_alone_is_no_server(three):
    for block in (BLOCK_2, BLOCK_3):
        with pytest.raises(InvalidInput, match="missing"):
            imported(three, block)


def test_a_fragment_goes_into_one_server_that_is_there(three):
    with pytest.raises(NotFound):
        imported(three, BLOCK_2, into="pacs-9")
    for document in ([{"port": 1}, {"port": 2}], {"pacs-2-id": {"port": 105}}, {"id": "pacs-2-id", "port": 105}):
        with pytest.raises(InvalidInput, match="fragment"):
            imported(three, document, into="pacs-1-id")


def test_blank_titles():
    after = imported(Registry(), {"x": entry(aet_store=""), "y": entry(name="Y", host="y", move_routing={"x": " "})})
    assert not after.get("x").can(Capability.STORE)
    assert after.routes == ()


def test_a_blank_route_removes_and_unnamed_routes_stay(three):
    before = three.set_routes("pacs-1-id", {"pacs-3-id": "STAYS"})
    after = imported(before, {"pacs-1-id": {"move_routing": {"pacs-2-id": ""}}})
    assert after.routes_from("pacs-1-id") == {"pacs-3-id": "STAYS"}


# Shapes


def test_one_object_a_list_and_objects_by_id_say_the_same():
    one = imported(Registry(), entry(id="x"))
    assert imported(Registry(), [entry(id="x")]) == imported(Registry(), {"x": entry()}) == one
    assert imported(Registry(), {"x": entry(id="x")}) == one
    assert imported(Registry(), "\ufeff" + json.dumps({"x": entry()})) == one


def test_servers_of_one_file_may_swap_names_and_refer_to_each_other(three):
    swap = {"pacs-1-id": {"name": "Name pacs-2-id"}, "pacs-2-id": {"name": "Name pacs-1-id"}}
    assert imported(three, swap).get("pacs-1-id").name == "Name pacs-2-id"
    pair = {"x": entry(move_routing={"y": "Y"}), "y": entry(name="Y", host="y", move_routing={"x": "X"})}
    assert imported(Registry(), pair).route("x", "y") == "Y"


def test_without_an_id_the_name_says_which_server_is_meant(three):
    after = imported(three, entry(name="NAME pacs-1-id", host="new"))
    assert after.ids == three.ids
    assert after.get("pacs-1-id").host == "new"


def test_a_new_server_never_takes_the_id_of_one_with_another_name():
    here = Registry((server("my-pacs", name="Renamed"),))
    after = imported(here, entry(name="My PACS", host="other"))
    assert after.get("my-pacs") == here.get("my-pacs")
    assert after.get("my-pacs-2").name == "My PACS"


def test_a_default_in_the_file_moves_the_default(three):
    before = three.edit("pacs-1-id", {"is_default": True})
    after, report = import_servers(before, json.dumps({"pacs-2-id": {"is_default": True}}), source="f")
    assert after.default == after.get("pacs-2-id")
    assert [change.id for change in report.changed] == ["pacs-1-id", "pacs-2-id"]
    with pytest.raises(Conflict, match="is_default"):
        imported(three, {"pacs-1-id": {"is_default": True}, "pacs-2-id": {"is_default": True}})


def test_the_environment_of_a_server_that_is_there_changes_only_when_confirmed(three):
    document = {"pacs-1-id": {"environment": "prod"}}
    with pytest.raises(ConfirmationRequired, match=r"servers\.json: pacs-1-id: environment"):
        imported(three, document)
    assert imported(three, document, confirm_environment=True).get("pacs-1-id").environment == "prod"


# What is refused: (document, error, words of the message)

REFUSED: list[tuple[object, type[DicomFabError], list[str]]] = [
    ("{", InvalidInput, ["line 1"]),
    ("", InvalidInput, ["line 1"]),
    ("[" * 100_000, InvalidInput, ["nested"]),
    ('{"port": ' + "1" * 5000 + "}", InvalidInput, []),
    ("5", InvalidInput, ["5"]),
    ("null", InvalidInput, ["None"]),
    ("{}", InvalidInput, ["{}"]),
    ("[]", InvalidInput, ["no server"]),
    ("[5]", InvalidInput, ["entry 1", "5"]),
    ('{"x": {}}', InvalidInput, ["x", "{}"]),
    ('{"name": "X", "name": "Y"}', InvalidInput, ["name", "'Y'", "twice"]),
    ('{"x": {"name": "X"}, "x": {"name": "Y"}}', InvalidInput, ["x", "twice"]),
    ({"x": entry(), "y": 5}, InvalidInput, ["x", "unknown key"]),
    (entry(prot=105), InvalidInput, ["prot", "105", "unknown key"]),
    ({"x": entry(port=0)}, InvalidInput, ["x", "port", "0"]),
    ({"x": entry(port="http")}, InvalidInput, ["x", "port", "'http'"]),
    ({"x": entry(port=1e400)}, InvalidInput, ["x", "port", "inf"]),
    ({"x": entry(aec="A" * 17)}, InvalidInput, ["x", "aec", "A" * 17, "17 characters"]),
    ({"x": entry(aet_find="A\\B")}, InvalidInput, ["x", "aet_find", "backslash"]),
    ({"x": entry(environment="production")}, InvalidInput, ["x", "environment", "'production'"]),
    ({"x": entry(name="\ud800")}, InvalidInput, ["x", "name"]),
    ({"x": entry(id="y")}, InvalidInput, ["x", "id", "'y'"]),
    ({"a b": entry()}, InvalidInput, ["a b", "id"]),
    ([entry(id=5)], InvalidInput, ["entry 1", "id", "5"]),
    ([entry(id=None)], InvalidInput, ["entry 1", "id", "None"]),
    ({"x": entry(move_routing=[])}, InvalidInput, ["x", "move_routing", "[]"]),
    ({"x": entry(move_routing=None)}, InvalidInput, ["x", "move_routing", "None"]),
    ({"x": entry(move_routing={"nowhere": "T"})}, InvalidInput, ["x", "move_routing.nowhere", "'T'"]),
    ({"x": entry(move_routing={"nowhere": ""})}, InvalidInput, ["x", "move_routing.nowhere"]),
    ({"x": entry(move_routing={"x": "T"})}, InvalidInput, ["x", "move_routing.x", "itself"]),
    ({"x": entry(move_routing={"pacs-1-id": "A" * 17})}, InvalidInput, ["x", "move_routing.pacs-1-id", "A" * 17]),
    ({"x": entry(move_routing={"pacs-1-id": 5})}, InvalidInput, ["x", "move_routing.pacs-1-id", "5"]),
    ({"x": entry(name="NAME PACS-1-ID")}, Conflict, ["name", "x", "pacs-1-id"]),
    ({"pacs-1-ID": entry()}, Conflict, ["id", "pacs-1-ID", "pacs-1-id"]),
    ([entry(), entry()], Conflict, ["entry 2", "entry 1"]),
    ([entry(id="x"), entry(id="x", name="Y")], Conflict, ["entry 2", "'x'", "entry 1"]),
    ({"x": entry(host="PACS-1-id", aec="PACS", environment="prod")}, Conflict, ["environment", "'prod'", "'test'"]),
    ({"pacs-1-id": {"id": "pacs-2-id"}}, InvalidInput, ["pacs-1-id", "id"]),
    ({"pacs-1-id": {"port": None}}, InvalidInput, ["pacs-1-id", "port", "None"]),
]


@pytest.mark.parametrize(("document", "error", "words"), REFUSED)
def test_refused_naming_file_key_and_value(three, document, error, words):
    with pytest.raises(error) as caught:
        imported(three, document)
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"{caught.value.heading}: servers.json: ")
    for word in words:
        assert word in caught.value.what


@pytest.mark.parametrize(
    ("typo", "meant"), [("prot", "port"), ("AEC", "aec"), ("aet_stor", "aet_store"), ("move_route", "move_routing")]
)
def test_a_typo_gets_the_nearest_key(typo, meant):
    with pytest.raises(InvalidInput) as caught:
        imported(Registry(), entry(**{typo: "x"}))
    assert f"did you mean {meant!r}?" in caught.value.cause
    assert caught.value.field == typo
    assert caught.value.source == "servers.json"


# Round trip

AE_TITLES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabc0123456789_-. ", min_size=1, max_size=16).map(str.strip).filter(bool)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(lambda i: i.casefold() != "move_routing")
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30).map(str.strip)
TIMES = st.floats(0.001, 3600)


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    ids = draw(st.lists(IDS, max_size=4, unique_by=label_key))
    names = draw(st.lists(TEXTS.filter(bool), min_size=len(ids), max_size=len(ids), unique_by=label_key))
    labels = [*map(label_key, ids)]
    names = [
        f"{name} {n}" if label_key(name) in labels or len(label_key(name)) == 0 else name
        for n, name in enumerate(names)
    ]
    default = draw(st.integers(-1, 3))
    servers = [
        PacsServer(
            id=server_id,
            name=name,
            host=draw(st.sampled_from(["localhost", "::1", "10.0.0.5", "pacs.example.com"])),
            port=1000 + n,
            aec=draw(AE_TITLES),
            environment=draw(st.sampled_from(["test", "prod"])),
            description=draw(TEXTS),
            aet_find=draw(AE_TITLES),
            aet_store=draw(AE_TITLES | st.just("")),
            aet_echo=draw(AE_TITLES),
            aet_move=draw(AE_TITLES | st.just("")),
            aet_get=draw(AE_TITLES | st.just("")),
            capabilities=draw(st.frozensets(st.sampled_from(Capability))),
            connect_timeout_s=draw(TIMES),
            association_timeout_s=draw(TIMES),
            dimse_timeout_s=draw(TIMES),
            retrieve_timeout_s=draw(TIMES),
            fallback_charset=draw(st.sampled_from(["", *CHARACTER_SETS])),
            **draw(
                st.sampled_from(
                    [
                        {},
                        {"dicomweb_root": f"http://localhost:{8042 + n}/dicom-web"},
                        {
                            "dicomweb_root": f"https://x/{n}",
                            "dicomweb_user": "u",
                            "dicomweb_secret_file": "/s",
                            "via": "web",
                        },
                    ]
                )
            ),
            tls=draw(st.booleans()),
            tls_ca_file=draw(st.sampled_from(["", "/etc/ssl/ca.pem", "/ä ö/ca.pem"])),
            **draw(st.sampled_from([{}, {"tls_certificate_file": "/c.pem", "tls_key_file": "/k.pem"}])),
            tls_verify=draw(st.booleans()),
            tls_profile=draw(st.sampled_from(TLS_PROFILES)),
            tls_server_name=draw(st.sampled_from(["", "pacs.example.com"])),
            is_default=n == default,
            is_active=draw(st.booleans()),
            notes=draw(st.text(st.sampled_from('ab \n\tä😀"\\'), max_size=30)),
        )
        for n, (server_id, name) in enumerate(zip(ids, names, strict=True))
    ]
    pairs = [(a, b) for a in ids for b in ids if a != b]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return Registry(tuple(servers), tuple(MoveRoute(a, b, draw(AE_TITLES)) for a, b in chosen))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(registries().filter(lambda r: r.servers))
def test_export_and_import_lose_nothing(registry):
    text = export_servers(registry)
    after, report = import_servers(Registry(), text, source="export")
    assert after == registry
    assert set(report.added) == registry.ids
    again, second = import_servers(registry, text, source="export")
    assert again == registry
    assert set(second.unchanged) == registry.ids
    for server_id in registry.ids:
        assert import_servers(registry, export_server(registry, server_id), source="export")[0] == registry


@settings(deadline=None, max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "name", "host", "port", "move_routing", "pacs-1", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_is_taken_whole_or_refused_with_one_of_our_errors(document):
    before = Registry((server("pacs-1"),))
    after, refusal = before, "servers.json"
    try:
        after = imported(before, document)
    except DicomFabError as error:
        refusal = error.what
    assert refusal.startswith("servers.json")
    assert before.ids <= after.ids


def test_export_names_the_servers_asked_for_only(three):
    assert json.loads(export_servers(three, ["pacs-1-id"])).keys() == {"pacs-1-id"}
    assert json.loads(export_server(three, "pacs-1-id"))["move_routing"] == {"pacs-2-id": "OLD"}
    with pytest.raises(NotFound):
        export_servers(three, ["zzz"])
