from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomfab.model.errors import InvalidInput
from dicomfab.services.passwords import Passwords, check_password
from tests.unit.services.accounts_office import cheap_hasher


def test_passwords_are_hashed_with_argon2id_and_64_mb() -> None:
    assert Passwords().hash("tulip marble seven").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@pytest.mark.parametrize(
    "password",
    [
        "tulip marble seven",
        "allsmallletterswithoutanyrule",
        "Grün-Zebra-läuft-9",
        "三十六計走為上策三十六計走",
        "🦓🌷 nine lamps 🪟🔔",
        "a few words that do not belong together " * 3,
        " leading and trailing spaces count ",
    ],
)
def test_passwords_are_taken_whole(password: str) -> None:
    check_password(password, "anna")
    passwords = Passwords(hasher=cheap_hasher())
    kept = passwords.hash(password)
    assert passwords.verify(password, kept)[0]
    assert not passwords.verify(password[:-1], kept)[0]
    assert not passwords.verify(password + "x", kept)[0]


def test_the_same_letters_from_another_keyboard_are_the_same_password() -> None:
    passwords = Passwords(hasher=cheap_hasher())
    kept = passwords.hash("caf\u00e9 \u212bngstr\u00f6m nine")
    assert passwords.verify("cafe\u0301 A\u030angstro\u0308m nine", kept) == (True, None)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "elevenchars",
        "password1234",
        "Passw0rd1234",
        "123456789012",
        "aaaaaaaaaaaa",
        "qwertyuiop12",
        "iloveyou1234",
        "dicomfabricator",
        "anna.berg.anna",
        "x" * 1025,
        "tulip marble\nseven",
        "tulip marble \ud800",
    ],
)
def test_passwords_that_are_refused(password: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_password(password, "anna.berg", "Anna Berg")
    assert caught.value.field == "password"
    assert caught.value.value is None
    assert len(password) < 6 or password not in str(caught.value)


@pytest.mark.parametrize("kept", ["", None])
def test_nobody_knows_the_password_of_an_account_that_has_none(kept: str | None) -> None:
    passwords = Passwords(hasher=cheap_hasher())
    assert passwords.verify("nobody", kept or "") == (False, None)


def test_no_more_are_checked_at_once_than_fit_into_memory() -> None:
    hasher = cheap_hasher()
    real, lock, running, most = hasher.verify_and_update, threading.Lock(), [0], [0]
    gate = threading.Barrier(2)

    def watched(*given):  # type: ignore[no-untyped-def]
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(30)  # two have to be inside at once, or none gets out
        answer = real(*given)
        with lock:
            running[0] -= 1
        return answer

    hasher.verify_and_update = watched  # type: ignore[method-assign]
    passwords = Passwords(at_once=2, hasher=hasher)
    kept = passwords.hash("tulip marble seven")
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: passwords.verify("tulip marble seven", kept)[0], range(8)))
    assert most[0] == 2
