"""The receiver that the audit log is delivered to, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dicomfab.model import values
from dicomfab.model.errors import InvalidInput
from dicomfab.syslog.receiver import DEFAULT_PORT, SyslogReceiver

RECEIVER: Final = "DICOMFAB_AUDIT_SYSLOG"
CA: Final = "DICOMFAB_AUDIT_SYSLOG_CA"
CERTIFICATE: Final = "DICOMFAB_AUDIT_SYSLOG_CERTIFICATE"
KEY: Final = "DICOMFAB_AUDIT_SYSLOG_KEY"


def syslog_receiver(env: Mapping[str, str]) -> SyslogReceiver | None:
    """The receiver; ``None`` if none is set. Files are not looked at: those who deliver do.

    Args:
        env: the environment.

    Raises:
        InvalidInput: a variable that cannot be used, or that goes with another one which is not set.
    """
    given = {name: env.get(name, "").strip() for name in (RECEIVER, CA, CERTIFICATE, KEY)}
    where = given.pop(RECEIVER)
    if not where:
        for name in (name for name, text in given.items() if text):
            raise InvalidInput(
                f"{name} is set, and {RECEIVER} is not: the audit log is delivered nowhere",
                field=name,
                remedy=f"set {RECEIVER} to the host of the syslog receiver, or unset {name}",
            )
        return None
    for name in (CERTIFICATE, KEY):
        if not given[name]:
            raise InvalidInput(
                f"{RECEIVER} is set, and {name} is not",
                field=name,
                cause="both sides prove who they are: the receiver asks for a certificate of ours",
                remedy=f"set {CERTIFICATE} and {KEY} to PEM files, or unset {RECEIVER}",
            )
    host, port = _address(where)
    ca = _path(given[CA]) if given[CA] else None
    return SyslogReceiver(host, port, _path(given[CERTIFICATE]), _path(given[KEY]), ca)


def _address(text: str) -> tuple[str, int]:
    """``host``, ``host:port``, ``[IPv6]:port`` or an IPv6 address."""
    if text.startswith("["):
        host, is_closed, rest = text[1:].partition("]")
        is_wrong = not is_closed or ":" not in host or (rest and not rest.startswith(":"))
        port = rest.removeprefix(":") if rest else str(DEFAULT_PORT)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        is_wrong = False
    else:
        host, port, is_wrong = text, str(DEFAULT_PORT), False
    if is_wrong:
        raise InvalidInput(
            f"{RECEIVER}: {text!r} is no host and port",
            field=RECEIVER,
            value=text,
            remedy=f"write for example syslog.example.com:{DEFAULT_PORT}, or [2001:db8::5]:{DEFAULT_PORT}",
        )
    return values.host(host.lower(), field=RECEIVER), values.port(port, field=RECEIVER)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()
