from __future__ import annotations

import dataclasses

import pytest

from dicomfab.model.errors import Conflict, InvalidInput
from dicomfab.model.values import Environment
from dicomfab.registry.fields import ALL_CAPABILITIES, Capability
from dicomfab.registry.hours import PermittedHours, permitted_hours
from dicomfab.registry.server import FIELD_NAMES, MoveRoute, PacsServer, canonical_host, server_from


def server(**changes: object) -> PacsServer:
    base = {"id": "a", "name": "A", "host": "localhost", "port": 104, "aec": "PACS", "environment": "test"}
    return PacsServer(**{**base, **changes})


def test_defaults_are_those_of_the_setup_guide():
    made = server()
    assert (made.aet_find, made.aet_store, made.aet_echo) == ("DICOMFAB", "DICOMFAB", "DICOMFAB")
    assert made.capabilities == ALL_CAPABILITIES
    assert (made.connect_timeout_s, made.association_timeout_s) == (5.0, 5.0)
    assert (made.max_associations, made.max_pdu, made.rate_per_minute, str(made.permitted_hours)) == (2, 0, 0, "")
    assert made.is_active
    assert not made.is_default
    assert (made.tls, made.tls_verify, made.tls_profile) == (False, True, "bcp-195")


def test_outside_values_become_the_models_own():
    made = server(
        port="104", environment="prod", capabilities=["echo", "find"], aec=" PACS ", name=" A ", dimse_timeout_s=7
    )
    assert (made.port, made.aec, made.name, made.dimse_timeout_s) == (104, "PACS", "A", 7.0)
    assert made.environment is Environment.PROD
    limits = server(max_associations="3", max_pdu=" 16384 ", rate_per_minute="60", permitted_hours=" 8:00 - 9:00 ")
    assert (limits.max_associations, limits.max_pdu, limits.rate_per_minute) == (3, 16384, 60)
    assert limits.permitted_hours == PermittedHours(((480, 540),))
    assert server(**limits.as_dict()) == limits
    assert made.capabilities == {Capability.ECHO, Capability.FIND}


BAD = {
    "id": ["", "a b", "-a", "a/b", "move_routing", "MOVE_ROUTING", "a" * 65, "ä", None, 1],
    "name": ["", "  ", "a\nb", "a\x1b[31m", "\ud800", "a" * 65, None, 5],
    "host": ["", "http://x", "a b", "pacs.example.com:104", None],
    "port": [0, 65536, "x", 1.5, True, None],
    "aec": ["", "A" * 17, "A\\B", "Ä", None],
    "environment": ["", "TEST", "production", None],
    "description": ["a\nb", "a" * 501, None],
    "aet_find": ["", " ", "A" * 17, "A\\B"],
    "aet_store": ["A" * 17, "A\\B", None, 5],
    "aet_echo": ["", "A" * 17],
    "aet_move": ["A" * 17, None],
    "aet_get": ["A\\B", None],
    "capabilities": ["echo", ["ping"], [1], 5, None],
    "connect_timeout_s": [0, -1, 3601, float("nan"), float("inf"), True, "5", None],
    "association_timeout_s": [0, 3601, None],
    "dimse_timeout_s": [0, 3601, None],
    "retrieve_timeout_s": [0, 3601, None],
    "max_associations": [0, -1, 101, 1.5, "two", "", True, None, "9" * 30],
    "max_pdu": [-1, 1, 4095, (1 << 20) + 1, "16k", True, None],
    "rate_per_minute": [-1, 100_001, 0.5, "", False, None],
    "permitted_hours": ["18-6", "18:00-18:00", 5, None],
    "fallback_charset": ["latin1", "ISO_IR 999", None, 5],
    "dicomweb_root": [
        "ftp://x",
        "http://",
        "http://u:p@x/",
        "http://x/?a",
        "http://x y",
        "http://[",
        "http://x:99999",
        None,
    ],
    "tls": ["true", 1, None],
    "tls_ca_file": ["ca.pem", "./ca.pem", "/a\nb", "/a\x00b", "/" + "a" * 1000, None, 5],
    "tls_certificate_file": ["c.pem", "/a\x1bb", "/" + "a" * 1000, None],
    "tls_key_file": ["k.pem", "C:\\k.pem", "/" + "a" * 1000, None],
    "tls_verify": ["false", 0, None],
    "tls_profile": ["", "bcp195", "BCP-195", "tls1.0", None, 5],
    "tls_server_name": ["a b", "https://x", "x:104", "a" * 64 + ".example.com", "*.example.com", None],
    "is_default": ["true", 1, None],
    "is_active": ["no", 0, None],
    "notes": ["a\x00b", "a" * 10_001, None],
    "allow_synthetic": ["yes", 1],
    "allow_real": ["no", 0],
    "dicomweb_user": ["a:b", "a\nb", "a" * 201, None, 5],
    "dicomweb_secret_file": ["secret", "/a\nb", None],
    "via": ["", "WEB", "dicomweb", None, 1],
    "group": ["a\nb", "a\x1b[31m", "a" * 201, ",".join(f"{n:02}" for n in range(66)), None, ["a"]],
}


def test_every_field_has_values_that_are_refused():
    assert set(BAD) == set(FIELD_NAMES)


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, bad in BAD.items() for v in bad])
def test_a_bad_value_is_refused_naming_the_field(field, value):
    with pytest.raises(InvalidInput) as caught:
        server(**{field: value})
    assert caught.value.field == field
    assert caught.value.what.startswith(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("aet_store", ""),
        ("aet_move", ""),
        ("fallback_charset", "ISO_IR 100"),
        ("dicomweb_root", "https://pacs.example.com:8043/dicom-web"),
        ("notes", "first line\n\tsecond"),
        ("capabilities", frozenset()),
        ("max_associations", 100),
        ("max_pdu", 0),
        ("max_pdu", 4096),
        ("rate_per_minute", 0),
        ("permitted_hours", permitted_hours("18:00-06:00", "permitted_hours")),
        ("name", "Größe 放射線"),
        ("host", "::1"),
        ("tls_ca_file", "/etc/ssl/Größe zwei/ca.pem"),
        ("tls_profile", "modified-bcp-195"),
        ("tls_server_name", "pacs.example.com"),
        ("tls_server_name", ""),
    ],
)
def test_a_good_value_is_kept(field, value):
    assert getattr(server(**{field: value}), field) == value


def test_a_client_certificate_and_its_key_go_together():
    made = server(tls_certificate_file="/c.pem", tls_key_file="/k.pem")
    assert (made.tls_certificate_file, made.tls_key_file) == ("/c.pem", "/k.pem")
    for given, missing in (("tls_certificate_file", "tls_key_file"), ("tls_key_file", "tls_certificate_file")):
        with pytest.raises(InvalidInput) as caught:
            server(**{given: "/x.pem"})
        assert caught.value.field == missing
        assert given in caught.value.what


def test_a_changed_copy_is_checked_as_well():
    with pytest.raises(InvalidInput):
        dataclasses.replace(server(), port=0)


def test_plain_values_give_the_same_server_again():
    made = server(aet_store="", capabilities=["find"], notes="x")
    assert PacsServer(**made.as_dict()) == made


def test_calling_ae_title_by_operation():
    made = server(aet_find="FIND", aet_store="STORE", aet_echo="ECHO")
    titles = {operation: made.calling_ae_title(operation) for operation in Capability}
    assert titles == {"echo": "ECHO", "store": "STORE", "find": "FIND", "move": "FIND", "get": "FIND"}
    own = server(aet_find="FIND", aet_move="MOVE", aet_get="GET")
    assert (own.calling_ae_title(Capability.MOVE), own.calling_ae_title(Capability.GET)) == ("MOVE", "GET")


def test_blank_store_title_disables_sending():
    made = server(aet_store="  ")
    assert not made.can(Capability.STORE)
    assert made.can(Capability.FIND)
    with pytest.raises(Conflict, match="C-STORE is disabled for A") as caught:
        made.calling_ae_title(Capability.STORE)
    assert "aet_store" in caught.value.cause


def test_an_operation_outside_the_capabilities_is_refused():
    with pytest.raises(Conflict, match="C-MOVE is disabled") as caught:
        server(capabilities=["echo"]).calling_ae_title(Capability.MOVE)
    assert "capabilities" in caught.value.cause


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("localhost", "127.0.0.1"),
        ("localhost", "::1"),
        ("LOCALHOST", "127.0.0.2"),
        ("pacs.localhost", "127.0.0.1"),
        ("::ffff:127.0.0.1", "localhost"),
        ("0.0.0.0", "localhost"),
        ("PACS.example.com", "pacs.EXAMPLE.com"),
        ("2001:db8:0:0::1", "2001:DB8::1"),
        ("::ffff:10.0.0.5", "10.0.0.5"),
    ],
)
def test_spellings_of_one_host(one, other):
    assert canonical_host(one) == canonical_host(other)


@pytest.mark.parametrize(("one", "other"), [("pacs1", "pacs2"), ("10.0.0.5", "10.0.0.6"), ("localhosts", "localhost")])
def test_different_hosts_stay_different(one, other):
    assert canonical_host(one) != canonical_host(other)


def test_address_for_people():
    assert server().address == "localhost:104"
    assert server(host="::1").address == "[::1]:104"


def test_the_new_servers_missing_fields_are_all_named():
    with pytest.raises(InvalidInput) as caught:
        server_from({"name": "A", "port": 104}, server_id="a")
    assert caught.value.what == "host, aec, environment: missing"


def test_an_unknown_field_gets_the_nearest_known_one():
    with pytest.raises(InvalidInput) as caught:
        server_from({"nmae": "A"}, server_id="a")
    assert caught.value.field == "nmae"
    assert "'A'" in caught.value.what
    assert "did you mean 'name'?" in caught.value.cause


def test_a_routes_ae_title_is_checked_and_named():
    assert MoveRoute("a", "b", " MOVE ").ae_title == "MOVE"
    with pytest.raises(InvalidInput) as caught:
        MoveRoute("a", "b", "A" * 17)
    assert caught.value.field == "move_routing.b"


def test_groups_are_words_that_are_there_once():
    made = server(group=" Radiology ,radiology,, Site  A,")
    assert (made.group, made.groups) == ("Radiology, Site A", ("Radiology", "Site A"))
    assert server(**made.as_dict()) == made
    assert server().groups == ()


def test_dicomweb_needs_an_address():
    with pytest.raises(InvalidInput, match="no DICOMweb address") as caught:
        server(via="web")
    assert caught.value.field == "via"
    assert server(via="web", dicomweb_root="http://x/dicom-web").via == "web"


def test_a_server_is_asked_another_way_this_time():
    plain = server(dicomweb_root="http://x/dicom-web")
    assert plain.by("") is plain
    assert plain.by("dimse") is plain
    assert (plain.by("web").via, plain.by("web").by("dimse"), plain.via) == ("web", plain, "dimse")
    for made, way in ((server(), "web"), (plain, "WEB")):
        with pytest.raises(InvalidInput) as caught:
            made.by(way)
        assert caught.value.field == "via"


def test_a_web_user_has_a_file_with_the_password():
    with pytest.raises(InvalidInput) as caught:
        server(dicomweb_user="us")
    assert caught.value.field == "dicomweb_secret_file"
    assert server(dicomweb_user="us", dicomweb_secret_file="/s").dicomweb_user == "us"
    assert server(dicomweb_secret_file="/token").dicomweb_user == ""
