"""Slows guessing down without ever locking a name: counted by name and address, and by address."""

from __future__ import annotations

import ipaddress

from dicomfab.model.account import Refusal
from dicomfab.model.errors import TooManyAttempts
from dicomfab.services.account_rules import fold, sha256
from dicomfab.storage.sign_in_failures import Attempt, SignInFailures


class Attempts:
    """Attempts to prove something.

    Args:
        failures: where those that failed are counted.
    """

    def __init__(self, failures: SignInFailures) -> None:
        self._failures = failures

    def begin(self, purpose: str, name: str, address: str) -> Attempt:
        """Count an attempt, before anything is checked.

        Args:
            purpose: of which kind: the source of the account, ``set-up`` and the like.
            name: as typed.
            address: where it comes from.

        Raises:
            TooManyAttempts: of this name from this address, or from this address, whether there is such a name or not.
        """
        begun = self._failures.begin(sha256(f"{purpose}\0{fold(name)}"), network_of(address))
        if isinstance(begun, Attempt):
            return begun
        minutes = -(-begun // 60)
        raise TooManyAttempts(
            "too many attempts from here have failed",
            retry_after_s=begun,
            reason=Refusal.TOO_MANY,
            cause="names or passwords were wrong several times within 15 minutes",
            remedy=f"try again in {minutes} minute{'' if minutes == 1 else 's'}",
        )

    def take_back(self, attempt: Attempt) -> None:
        """It was none: what was given is right as far as it goes, or could not be checked."""
        self._failures.take_back(attempt)

    def succeed(self, attempt: Attempt) -> None:
        """It succeeded: what failed before, of this name from this address, is forgotten."""
        self._failures.succeed(attempt)


def network_of(address: str) -> str:
    """What one sender can choose from counts as one: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
