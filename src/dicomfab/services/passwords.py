"""Local passwords: argon2id, one rule of length, and no password that is among the first to be guessed."""

from __future__ import annotations

import threading
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, Final

from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from pwdlib import PasswordHash

SHORTEST: Final = 12
LONGEST: Final = 1024
AT_ONCE: Final = 2
"""Each check fills 64 MB for 0.15 s."""

_GUESSES_LOG10: Final = 8.0
_LOOKED_AT: Final = 72  # the estimate takes quadratic time
_OUR_WORDS: Final = ("dicom", "fabricator", "dicomfab", "pacs", "radiology")


class Passwords:
    """Hashes and checks passwords; at most so many at once that memory is bounded.

    Args:
        at_once: how many.
        hasher: how new ones are hashed; argon2id with 64 MB and three passes if left out.
    """

    def __init__(self, at_once: int = AT_ONCE, hasher: PasswordHash | None = None) -> None:
        self._given = hasher
        self._turn = threading.BoundedSemaphore(at_once)
        self._making = threading.Lock()

    def hash(self, password: str) -> str:
        """The argon2id hash of a password, which has been judged by :func:`check_password`."""
        with self._turn:
            return self._hasher.hash(_bytes(password))

    def verify(self, password: str, password_hash: str) -> tuple[bool, str | None]:
        """Whether a password is the one that was hashed.

        Args:
            password: as typed.
            password_hash: as argon2 writes it; empty for an account that is not there or has none. That takes as long
                as a wrong password.

        Returns:
            Whether it is; and a better hash of it if the one given is weaker than those made now.
        """
        with self._making:
            dummy = self._dummy
        with self._turn:
            right, better = self._hasher.verify_and_update(_bytes(password), password_hash or dummy)
        return (right, better) if password_hash else (False, None)

    @cached_property
    def _hasher(self) -> PasswordHash:
        from pwdlib import PasswordHash

        return self._given or PasswordHash.recommended()

    @cached_property
    def _dummy(self) -> str:
        return self._hasher.hash("nobody")


def check_password(password: str, *about: str) -> None:
    """Judge a new password.

    Args:
        password: as typed; any characters, no rules of what kinds.
        about: names of the account, which must not be most of it.

    Raises:
        InvalidInput: too short, too long, or among the first that would be guessed. The error does not hold it.
    """
    length = len(unicodedata.normalize("NFKC", password))
    if not SHORTEST <= length <= LONGEST:
        raise _unusable(
            f"it has {length} characters",
            f"it must have {SHORTEST} characters or more, and at most {LONGEST}",
            "take a few words that do not belong together",
        )
    if any(unicodedata.category(c) in {"Cc", "Cs"} for c in password):
        raise _unusable("it has characters that cannot be typed", "a line break or damaged text", "type it again")
    from zxcvbn import zxcvbn

    words = [word for text in about for word in (text, *text.replace("@", " ").replace(".", " ").split()) if word]
    found = zxcvbn(password[:_LOOKED_AT], user_inputs=[*words, *_OUR_WORDS])
    if found["guesses_log10"] < _GUESSES_LOG10:
        raise _unusable(
            "it is among the first that would be guessed",
            "it is a common password, a name, a row of keys or a repetition",
            "take a few words that do not belong together",
        )


def _unusable(what: str, cause: str, remedy: str) -> InvalidInput:
    return InvalidInput(f"password: {what}", field="password", cause=cause, remedy=remedy)


def _bytes(password: str) -> bytes:
    """One form of each letter, whatever keyboard it was typed on."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
