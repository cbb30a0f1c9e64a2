"""The second factor: codes that change every 30 s (TOTP, RFC 6238)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

STEP_S: Final = 30
_NEIGHBOURS: Final = (0, -1, 1)  # clocks differ, and typing takes time


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """A new second factor, shown once.

    Args:
        secret: in base 32, to be typed.
        uri: ``otpauth://``, to be shown as a QR code.
    """

    secret: str = field(repr=False)
    uri: str = field(repr=False)


def new_offer(name: str) -> TotpOffer:
    """A random secret for a sign-in name."""
    import pyotp

    secret = pyotp.random_base32()
    return TotpOffer(secret, pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="DICOM Fabricator"))


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that a code belongs to.

    Args:
        secret: in base 32.
        code: six digits, as typed.
        now: with time zone.

    Returns:
        Seconds since 1970 divided by 30; ``None`` if the code is not that of now or of the step before or after.
    """
    import pyotp

    typed = "".join(code.split())
    if not (typed.isascii() and typed.isdigit()):
        return None
    totp, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP_S
    steps = [present + offset for offset in _NEIGHBOURS]
    # All are compared, so that the time does not tell which it was.
    matching = [step for step in steps if hmac.compare_digest(totp.generate_otp(step), typed)]
    return matching[0] if matching else None
