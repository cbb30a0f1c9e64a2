"""Domain controllers that are dead, half dead or not who they say: what it costs, what is said, what never leaves."""

from __future__ import annotations

import contextlib
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from dicomfab.identity.ldap import LdapDirectory, LdapServer
from dicomfab.identity.ldap_budget import Budget
from dicomfab.identity.ldap_reach import Place, secured
from dicomfab.identity.ldap_talk import Talk
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Person, untold
from tests.peers.domain_controller import (
    ALLOWED_HOSTS,
    GROUPS,
    DomainController,
    controller_fixture,
    dn,
    password_of,
)
from tests.peers.faulty_controllers import (
    AGREED,
    BIND,
    HOST,
    KINDS,
    LONG_FORM,
    SEARCH,
    START_TLS,
    UNAVAILABLE,
    UNBIND,
    answering,
    context_of,
    dead,
    full_backlog,
    operation_of,
    relaying,
    serving,
    silent,
    under_tls,
    until_closed,
)
from tests.peers.programs import free_port

pytestmark = [pytest.mark.peers, pytest.mark.allow_hosts(ALLOWED_HOSTS)]
controller = controller_fixture()

TIMEOUT_S = 1.0
#: All steps together may take four times that, whatever is wrong; a library's own patience is far longer.
BOUND_S = 4 * TIMEOUT_S + 1


@pytest.fixture(name="down")
def _down():
    with full_backlog() as server:
        yield server


def directory(controller: DomainController, *servers: LdapServer, **changes: object) -> LdapDirectory:
    return LdapDirectory(controller.settings(*servers, **{"timeout_s": TIMEOUT_S, **changes}))


def unavailable(asked: LdapDirectory, steps: list | None = None) -> DirectoryUnavailable:
    told = [] if steps is None else steps
    with pytest.raises(DirectoryUnavailable) as caught:
        asked.authenticate("anna", password_of("anna"), GROUPS, told.append)
    assert type(caught.value) is DirectoryUnavailable
    assert caught.value.cause
    assert caught.value.remedy
    assert password_of("anna") not in str(caught.value) + repr(told)
    return caught.value


def signed_in(asked: LdapDirectory, name: str = "anna") -> Person:
    found = asked.authenticate(name, password_of(name), GROUPS)
    assert isinstance(found, Person)
    return found


# --------------------------------------------------------------------------- dead ones


@pytest.mark.parametrize("kind", ["silent", "TLS, then silent", "hanging up"])
def test_a_dead_controller_costs_little_once_and_then_nothing(kind, controller):
    with dead(kind, controller) as first:
        asked = directory(controller, first, controller.server())
        began = time.monotonic()
        assert signed_in(asked).groups == {"DF-Admin"}
        assert time.monotonic() - began < BOUND_S
        steps = []
        asked.authenticate("ben", password_of("ben"), GROUPS, steps.append)
        assert steps[0].what == f"connect to {controller.address}, port 636"


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_wrong_with_the_first_controller_the_second_is_asked_in_time(kind, controller):
    with dead(kind, controller) as first:
        began = time.monotonic()
        assert signed_in(directory(controller, first, controller.server())).name == "anna"
        assert time.monotonic() - began < BOUND_S


def test_a_controller_that_is_down_or_refuses_is_passed_over(down, controller):
    refusing = LdapServer(HOST, free_port(), start_tls=False)
    began = time.monotonic()
    steps = []
    asked = directory(controller, down, refusing, controller.server())
    assert isinstance(asked.authenticate("anna", password_of("anna"), GROUPS, steps.append), Person)
    assert time.monotonic() - began < BOUND_S
    assert [step.is_good for step in steps[:3]] == [False, False, True]
    assert "did not answer within 1 s" in steps[0].came
    assert "refuses connections" in steps[1].came


@pytest.mark.full
def test_a_whole_set_of_dead_controllers_ends_in_time_and_names_them(down, controller):
    with serving(silent) as mute:
        servers = [down, mute.server()] * 4
        began = time.monotonic()
        failed = unavailable(directory(controller, *servers))
        assert time.monotonic() - began < BOUND_S
    assert f"port {down.port}" in failed.what
    assert "no domain controller can be used" in failed.what


def test_a_controller_that_has_failed_is_still_asked_when_there_is_no_other(controller):
    refusing = LdapServer(HOST, free_port(), start_tls=False)
    asked = directory(controller, refusing)
    assert "refuses connections" in unavailable(asked).what
    with socket.create_server((HOST, refusing.port)) as late:
        failed = unavailable(asked)
        assert "did not answer" in failed.what
        late.accept()[0].close()


def test_a_name_without_address_is_passed_over(controller):
    nowhere = LdapServer("dc9.invalid", 636, start_tls=False)
    steps = []
    asked = directory(controller, nowhere, controller.server(), timeout_s=2.0)
    assert isinstance(asked.authenticate("anna", password_of("anna"), GROUPS, steps.append), Person)
    assert steps[0].what == "find the address of dc9.invalid"
    assert "cannot be found" in unavailable(directory(controller, nowhere)).what


@pytest.mark.full
def test_a_controller_that_was_stopped_and_started_is_asked_again(controller):
    asked = directory(controller, controller.server())
    controller.stop()
    try:
        assert "refuses connections" in unavailable(asked).what
    finally:
        controller.start()
    assert signed_in(asked).name == "anna"


# --------------------------------------------------------------------------- one bind, whatever happens


@pytest.mark.full
@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize("answered", range(5))
def test_before_the_password_is_sent_another_controller_takes_over_and_after_it_none(answered, hangs_up, controller):
    with (
        serving(relaying(controller, answered=answered, hangs_up=hangs_up)) as first,
        serving(relaying(controller)) as second,
    ):
        asked = directory(controller, first.server(), second.server())
        if answered < 4:
            assert signed_in(asked).name == "anna"
            assert second.calls == 1
        else:
            assert "did not say whether the password is right" in unavailable(asked).what
            assert second.calls == 0
        sent = [one for one in first.requests + second.requests if password_of("anna").encode() in one]
        assert len(sent) == 1
        # The next sign-in begins with the other one.
        assert signed_in(asked, "ben").name == "ben"
        assert first.calls == 1


def test_what_is_sent_is_one_search_for_the_person_two_for_the_groups_and_one_bind(controller):
    with serving(relaying(controller)) as seen:
        assert (
            directory(controller, seen.server()).authenticate("anna", "not that one", GROUPS) is Refusal.WRONG_PASSWORD
        )
    assert list(map(operation_of, seen.requests)) == [BIND, SEARCH, SEARCH, SEARCH, BIND, UNBIND]
    assert seen.calls == 1


# --------------------------------------------------------------------------- nothing leaves without TLS


@pytest.mark.parametrize("answer", [UNAVAILABLE, AGREED + b"\x30\x00", b"\x30\x03abc", b"\x30\x85" + b"\1" * 8])
def test_where_starttls_is_not_simply_agreed_nothing_but_it_is_ever_sent(answer, controller):
    with serving(answering(answer)) as seen:
        failed = unavailable(directory(controller, seen.server(start_tls=True)))
        assert "Active Directory" in failed.remedy or "StartTLS" in failed.remedy
    assert seen.plain.endswith(START_TLS)
    assert len(seen.plain) == 31


def test_starttls_that_is_refused_is_named_with_its_remedy(controller):
    with serving(answering(UNAVAILABLE)) as seen:
        failed = unavailable(directory(controller, seen.server(start_tls=True)))
    assert failed.what == f"{HOST} refuses StartTLS (result 52)"
    assert "no password is ever sent without TLS" in failed.remedy


@pytest.mark.parametrize("answer", [(AGREED[:3], AGREED[3:]), (LONG_FORM,), tuple(bytes([one]) for one in AGREED)])
def test_an_answer_to_starttls_may_come_in_pieces_and_in_the_long_form(answer, controller):
    with serving(answering(*answer)) as seen:
        failed = unavailable(directory(controller, seen.server(start_tls=True)))
    assert "(TLS)" in failed.what
    assert seen.plain[31:32] == b"\x16"  # a handshake record of TLS


@pytest.mark.full
@pytest.mark.parametrize("answered", range(6))
def test_a_connection_lost_after_starttls_is_never_replaced_by_one_without(answered, controller):
    with serving(relaying(controller, answered=answered, hangs_up=True, start_tls=True)) as seen:
        asked = directory(controller, seen.server(start_tls=True))
        with contextlib.suppress(DirectoryUnavailable):
            asked.authenticate("anna", password_of("anna"), GROUPS)
    assert seen.calls == 1
    assert len(seen.plain) == 31
    assert len([one for one in seen.requests if password_of("anna").encode() in one]) <= 1


def test_ldap3_is_kept_from_opening_another_connection_by_itself(controller):
    with serving(relaying(controller, answered=1, hangs_up=True, start_tls=True)) as seen:
        settings = controller.settings(seen.server(start_tls=True))
        place = Place(settings.servers[0], socket.AF_INET, (HOST, seen.port))
        budget = Budget(5.0, time.monotonic() + 20)
        with Talk(secured(place, settings.ca_file, budget, untold), place, budget, untold) as talk:
            talk.sign_in(settings)
            with pytest.raises(DirectoryUnavailable, match="closed the connection"):
                talk.search("(cn=anna)", ["cn"])
            with pytest.raises(DirectoryUnavailable, match="did not say whether"):
                talk.prove(dn("anna"), password_of("anna"))
    assert seen.calls == 1
    assert len(seen.plain) == 31


@pytest.mark.parametrize("start_tls", [False, True])
def test_settings_for_the_wrong_port_of_a_real_controller_send_nothing_and_say_so(start_tls, controller):
    port = 636 if start_tls else 389
    failed = unavailable(directory(controller, LdapServer(controller.address, port, start_tls=start_tls)))
    assert "LDAPS is on port 636, StartTLS on port 389" in failed.remedy


# --------------------------------------------------------------------------- not who they say


def distrusted(controller: DomainController, made: trustme.LeafCert, **changes: object) -> DirectoryUnavailable:
    with serving(under_tls(context_of(made), until_closed)) as seen:
        return unavailable(directory(controller, seen.server(), **changes))


def test_a_certificate_of_another_authority_is_named_with_its_remedy(controller):
    failed = distrusted(controller, trustme.CA(organization_name="Mallory").issue_cert(HOST))
    assert failed.what == f"the certificate of {HOST} was signed by an authority that is not trusted"
    assert controller.ca_file in failed.cause
    assert "certificate of the authority from whoever runs Active Directory" in failed.remedy


def test_without_a_file_only_those_are_trusted_that_this_machine_trusts(controller):
    failed = unavailable(directory(controller, controller.server(), ca_file=""))
    assert "those that this machine trusts" in failed.cause


def test_a_certificate_for_another_host_is_named_with_its_remedy(controller):
    failed = distrusted(controller, controller.authority.issue_cert("dc2.lab.example", "127.0.0.9"))
    assert failed.what == f"the certificate of {HOST} is for another host name"
    assert "enter the name" in failed.remedy


@pytest.mark.parametrize(
    ("years", "what", "remedy"),
    [((2001, 2002), "has expired", "renew"), ((2900, 2901), "is not valid yet", "clock of this machine")],
)
def test_a_certificate_of_another_time_is_named_with_its_remedy(years, what, remedy, controller):
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in years)
    failed = distrusted(controller, controller.authority.issue_cert(HOST, not_before=first, not_after=last))
    assert failed.what == f"the certificate of {HOST} {what}"
    assert remedy in failed.remedy


@pytest.mark.full
def test_what_has_to_be_mended_is_told_before_what_may_come_back(controller, down):
    expired = controller.authority.issue_cert(HOST, not_before=datetime(2001, 1, 1, tzinfo=UTC),
                                              not_after=datetime(2002, 1, 1, tzinfo=UTC))  # fmt: skip
    with serving(under_tls(context_of(expired), until_closed)) as seen:
        failed = unavailable(directory(controller, down, seen.server()))
    assert "has expired" in failed.what
    assert "did not answer" in failed.what
    assert "renew" in failed.remedy


@pytest.mark.full
def test_a_real_controller_whose_certificate_has_expired_or_is_for_another_lets_nobody_in(controller):
    old = {"not_before": datetime(2001, 1, 1, tzinfo=UTC), "not_after": datetime(2002, 1, 1, tzinfo=UTC)}
    try:
        for names, validity, what in (
            ((controller.address,), old, "has expired"),
            (("dc2.lab.example",), {}, "is for another host name"),
        ):
            controller.stop()
            controller.certify(*names, **validity)
            controller.start()
            for start_tls in (False, True):
                failed = unavailable(directory(controller, controller.server(start_tls=start_tls)))
                assert failed.what == f"the certificate of {controller.address} {what}"
    finally:
        controller.stop()
        controller.certify()
        controller.start()
    assert signed_in(directory(controller, controller.server())).name == "anna"


@pytest.mark.full
def test_a_renewed_file_of_authorities_is_used_without_a_new_directory(controller, tmp_path: Path):
    trusted = tmp_path / "trusted.pem"
    trustme.CA().cert_pem.write_to_path(str(trusted))
    asked = directory(controller, controller.server(), ca_file=str(trusted))
    assert "not trusted" in unavailable(asked).what
    trusted.write_bytes(Path(controller.ca_file).read_bytes())
    assert signed_in(asked).name == "anna"
