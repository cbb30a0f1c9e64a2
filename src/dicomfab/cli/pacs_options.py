"""The fields of a server as options of ``pacs add`` and ``pacs edit``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Final, TypeVar

from typer import Option

from dicomfab.registry.fields import TLS_PROFILES, VIAS, Capability

#: Each setting with its option, in the order in which help lists them.
SETTINGS: Final[Mapping[str, Any]] = {
    "name": Annotated[str | None, Option(help="Friendly name.")],
    "host": Annotated[str | None, Option(help="Server address: name or IP.")],
    "port": Annotated[str | None, Option(help="DICOM port.")],
    "aec": Annotated[str | None, Option(help="The server's own AE title.")],
    "environment": Annotated[str | None, Option(help="Who may use it: test or prod.", metavar="test|prod")],
    "id": Annotated[str | None, Option(help="Its id; made from the name if absent.")],
    "allow_synthetic": Annotated[
        bool | None,
        Option(
            "--allow-synthetic/--no-allow-synthetic",
            help="Fabricated studies may be sent to it [new server: test yes, prod no].",
        ),
    ],
    "allow_real": Annotated[
        bool | None,
        Option(
            "--allow-real/--no-allow-real",
            help="What is not proven to be fabricated may be sent to it [new server: test no, prod yes].",
        ),
    ],
    "description": Annotated[str | None, Option(help="One line about it.")],
    "group": Annotated[str | None, Option(help="Free words to choose servers by, joined by commas.")],
    "aet_find": Annotated[str | None, Option(help="Our AE title for C-FIND [new server: DICOMFAB].")],
    "aet_store": Annotated[
        str | None, Option(help="Our AE title for C-STORE; '' disables sending [new server: DICOMFAB].")
    ],
    "aet_echo": Annotated[str | None, Option(help="Our AE title for C-ECHO [new server: DICOMFAB].")],
    "aet_move": Annotated[str | None, Option(help="Our AE title for C-MOVE; '' means that for C-FIND.")],
    "aet_get": Annotated[str | None, Option(help="Our AE title for C-GET; '' means that for C-FIND.")],
    "capabilities": Annotated[
        list[Capability] | None,
        Option("--capability", help="An operation it may be asked for; repeat for each [new server: all]."),
    ],
    "connect_timeout_s": Annotated[float | None, Option(help="Seconds to wait for the TCP connection.")],
    "association_timeout_s": Annotated[
        float | None, Option(help="Seconds to wait for the answer to an association request.")
    ],
    "dimse_timeout_s": Annotated[float | None, Option(help="Seconds to wait for each DIMSE response.")],
    "retrieve_timeout_s": Annotated[
        float | None, Option(help="Seconds between two responses of a C-MOVE or C-GET; many servers send one alone.")
    ],
    "max_associations": Annotated[int | None, Option(help="Jobs that may work with it at once [new server: 2].")],
    "max_pdu": Annotated[
        int | None,
        Option(metavar="BYTES", help="Longest PDU to offer and to send to it; 0 means what both sides offer."),
    ],
    "rate_per_minute": Annotated[
        int | None, Option(help="Studies per minute that work on lists may ask of it; 0 means no limit.")
    ],
    "permitted_hours": Annotated[
        str | None,
        Option(metavar="HH:MM-HH:MM,...", help="When work on lists may burden it, in local time; '' means always."),
    ],
    "fallback_charset": Annotated[
        str | None, Option(help="Character set of its text when it names none: ISO_IR 100, ...")
    ],
    "dicomweb_root": Annotated[str | None, Option(metavar="URL", help="Address of its DICOMweb services.")],
    "dicomweb_user": Annotated[
        str | None,
        Option(metavar="NAME", help="User name for its DICOMweb services; '' if they want none, or a token."),
    ],
    "dicomweb_secret_file": Annotated[
        str | None, Option(metavar="FILE", help="File with that user's password, or without a user with a token.")
    ],
    "via": Annotated[
        str | None,
        Option(
            metavar="|".join(VIAS),
            help="How it is queried, sent to and retrieved from: DIMSE, or DICOMweb [new server: dimse].",
        ),
    ],
    "tls": Annotated[bool | None, Option("--tls/--no-tls", help="Secure its associations with TLS.")],
    "tls_ca_file": Annotated[
        str | None,
        Option(metavar="FILE", help="PEM file of the certificates to trust; '' means this machine's trust store."),
    ],
    "tls_certificate_file": Annotated[
        str | None, Option(metavar="FILE", help="PEM file of our client certificate, if it demands one.")
    ],
    "tls_key_file": Annotated[
        str | None, Option(metavar="FILE", help="PEM file of our client certificate's private key.")
    ],
    "tls_verify": Annotated[
        bool | None, Option("--tls-verify/--no-tls-verify", help="Check its certificate [new server: yes].")
    ],
    "tls_profile": Annotated[
        str | None,
        Option(metavar="|".join(TLS_PROFILES), help=f"TLS versions and cipher suites [new server: {TLS_PROFILES[0]}]."),
    ],
    "tls_server_name": Annotated[
        str | None, Option(metavar="NAME", help="The name that its certificate holds, if that is not the host.")
    ],
    "is_default": Annotated[bool | None, Option("--default/--no-default", help="Use it when no server is named.")],
    "is_active": Annotated[bool | None, Option("--active/--inactive", help="Offer it for work.")],
    "notes": Annotated[str | None, Option(help="Free text.")],
}

Command = TypeVar("Command", bound=Callable[..., None])


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of these settings; they stand before its own, and come as further keyword arguments.

    The signature is what Typer reads.
    """

    def decorated(command: Command) -> Command:
        own = [one for one in signature(command, eval_str=True).parameters.values() if one.kind is not one.VAR_KEYWORD]
        wanted = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=SETTINGS[name]) for name in names]
        arguments = [one for one in own if one.default is one.empty]
        others = [one.replace(kind=one.KEYWORD_ONLY) for one in own if one.default is not one.empty]
        command.__signature__ = Signature([*arguments, *wanted, *others])  # type: ignore[attr-defined]
        return command

    return decorated


def given_fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that were not given.

    Paths are made whole: the registry's reader runs in another folder.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    for name in ("tls_ca_file", "tls_certificate_file", "tls_key_file", "dicomweb_secret_file"):
        if given.get(name, "").strip():
            given[name] = os.path.abspath(os.path.expanduser(given[name]))
    return given
