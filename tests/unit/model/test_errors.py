from __future__ import annotations

import inspect
import json
import re

import pytest

from dicomfab.model import errors
from dicomfab.model.actor import Role, local_admin

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.DicomFabError)]

SAMPLES = [
    errors.InvalidInput("port: 0", field="port", value=0, source="x.json", cause="c", remedy="r"),
    errors.NotFound("no"),
    errors.Conflict("no"),
    errors.NotSignedIn("no", reason="unknown_name"),
    errors.CodeNeeded("no"),
    errors.RenewalNeeded("saml", reason="stale"),
    errors.TooManyAttempts("no", retry_after_s=60),
    errors.AccessDenied("no"),
    errors.ConfirmationRequired("no"),
    errors.RouteMissing("no"),
    errors.ConnectionFailed("no"),
    errors.TlsFailed("no"),
    errors.AssociationRejected("no", result=1, source=1, reason=7),
    errors.AssociationAborted("no"),
    errors.ConnectionLost("no"),
    errors.ProtocolViolation("no"),
    errors.PeerTimeout("no", stage="association", timeout_s=5.0),
    errors.ContextRejected("no"),
    errors.AnswerIncomplete("no"),
    errors.StatusFailure("no", operation="C-MOVE", status=0xA801, comment="unknown"),
    errors.HttpFailure("no", operation="QIDO-RS", http_status=401),
    errors.DirectoryUnavailable("no"),
    errors.DiskFull("no"),
    errors.InstanceUnreadable("no"),
    errors.PortInUse("no"),
    errors.SetupMissing("no"),
    errors.TransferIncomplete("no"),
    errors.TranscodingFailed("no"),
    errors.Interrupted("no"),
]


def test_the_drawing_shows_every_class():
    drawn = set(re.findall(r"[─ ]([A-Z][A-Za-z]+)", (errors.__doc__ or "").split("Two questions")[0]))
    assert {c.__name__ for c in CLASSES} <= drawn


def test_every_leaf_has_a_sample():
    leaves = {c for c in CLASSES if not set(c.__subclasses__()) & set(CLASSES)}
    assert leaves - {errors.Recorded} <= {type(sample) for sample in SAMPLES}


@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
def test_an_error_that_was_written_down_says_the_same_when_it_is_read(error):
    read = errors.Recorded(json.loads(json.dumps(error.as_dict())))
    assert (str(read), read.exit_code, read.transient) == (str(error), error.exit_code, error.transient)
    assert read.as_dict() == json.loads(json.dumps(error.as_dict()))


@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
def test_every_error_says_whose_fault_it_is_and_becomes_plain_values(error):
    plain = json.loads(json.dumps(error.as_dict()))
    assert plain["error"] == type(error).__name__
    assert plain["fault"] in {"caller", "peer", "us"}
    assert isinstance(plain["transient"], bool)
    assert plain["heading"]
    assert error.exit_code > 0


@pytest.mark.parametrize(
    ("error", "code", "fault"),
    [
        (errors.InvalidInput, 2, "caller"),
        (errors.NotFound, 3, "caller"),
        (errors.Conflict, 2, "caller"),
        (errors.AccessDenied, 5, "caller"),
        (errors.ConfirmationRequired, 5, "caller"),
        (errors.RouteMissing, 2, "caller"),
        (errors.ConnectionFailed, 4, "peer"),
        (errors.StatusFailure, 4, "peer"),
        (errors.PortInUse, 1, "us"),
        (errors.TranscodingFailed, 1, "us"),
        (errors.Interrupted, 130, "us"),
    ],
)
def test_exit_codes_and_faults(error, code, fault):
    assert (error.exit_code, str(error.fault)) == (code, fault)


def test_what_was_not_secure_is_a_failed_connection_that_stays_failed():
    assert issubclass(errors.TlsFailed, errors.ConnectionFailed)
    assert errors.ConnectionFailed("no").transient
    assert not errors.TlsFailed("no").transient


def test_text_has_heading_cause_and_remedy_on_lines_of_their_own():
    error = errors.InvalidInput("port: 0 is no port", field="port", cause="too small", remedy="ask")
    assert str(error).splitlines() == [
        "Invalid input: port: 0 is no port",
        "  Likely cause: too small",
        "  What to do:   ask",
    ]
    assert str(errors.NotFound("gone")) == "Not found: gone"


@pytest.mark.parametrize(("source", "reason", "named"), [(1, 3, True), (1, 7, True), (1, 1, False), (3, 7, False)])
def test_a_rejection_for_an_ae_title_has_the_guides_heading(source, reason, named):
    error = errors.AssociationRejected("no", result=1, source=source, reason=reason)
    assert (error.heading == "AE Title not recognized") is named


def test_rejection_is_worth_trying_again_only_when_the_peer_says_so():
    assert errors.AssociationRejected("no", result=2, source=3, reason=2).transient
    assert not errors.AssociationRejected("no", result=1, source=1, reason=7).transient


def test_status_is_shown_in_hexadecimal_with_the_operation():
    error = errors.StatusFailure("no", operation="C-MOVE", status=0xA801)
    assert error.heading == "C-MOVE failed"
    assert error.as_dict()["status"] == "A801"
    assert not error.transient
    assert errors.StatusFailure("no", operation="C-STORE", status=0xA700).transient


def test_the_local_admin_is_admin_and_says_where_it_came_in():
    actor = local_admin("eva", "cli")
    assert (actor.name, actor.roles, actor.door) == ("eva", {Role.ADMIN}, "cli")
