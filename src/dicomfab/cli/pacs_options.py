"""The fields of a server as options of ``pacs add`` and ``pacs edit``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

from typer import Option

from dicomfab.registry.fields import TLS_PROFILES, Capability
from dicomfab.registry.server import FIELD_NAMES

Id = Annotated[str | None, Option(help="Its id; made from the name if absent.")]
Name = Annotated[str | None, Option(help="Friendly name.")]
Host = Annotated[str | None, Option(help="Server address: name or IP.")]
Port = Annotated[str | None, Option(help="DICOM port.")]
Aec = Annotated[str | None, Option(help="The server's own AE title.")]
Environment = Annotated[str | None, Option(help="Who may use it: test or prod.", metavar="test|prod")]
AllowSynthetic = Annotated[
    bool | None,
    Option(
        "--allow-synthetic/--no-allow-synthetic",
        help="Fabricated studies may be sent to it [new server: test yes, prod no].",
    ),
]
AllowReal = Annotated[
    bool | None,
    Option(
        "--allow-real/--no-allow-real",
        help="What is not proven to be fabricated may be sent to it [new server: test no, prod yes].",
    ),
]
Description = Annotated[str | None, Option(help="One line about it.")]
Group = Annotated[str | None, Option(help="Free words to choose servers by, joined by commas.")]
AetFind = Annotated[str | None, Option(help="Our AE title for C-FIND [new server: DICOMFAB].")]
AetStore = Annotated[str | None, Option(help="Our AE title for C-STORE; '' disables sending [new server: DICOMFAB].")]
AetEcho = Annotated[str | None, Option(help="Our AE title for C-ECHO [new server: DICOMFAB].")]
AetMove = Annotated[str | None, Option(help="Our AE title for C-MOVE; '' means that for C-FIND.")]
AetGet = Annotated[str | None, Option(help="Our AE title for C-GET; '' means that for C-FIND.")]
Capabilities = Annotated[
    list[Capability] | None,
    Option("--capability", help="An operation it may be asked for; repeat for each [new server: all]."),
]
ConnectTimeout = Annotated[float | None, Option(help="Seconds to wait for the TCP connection.")]
AssociationTimeout = Annotated[float | None, Option(help="Seconds to wait for the answer to an association request.")]
DimseTimeout = Annotated[float | None, Option(help="Seconds to wait for each DIMSE response.")]
MaxAssociations = Annotated[int | None, Option(help="Jobs that may work with it at once [new server: 2].")]
MaxPdu = Annotated[
    int | None, Option(metavar="BYTES", help="Longest PDU to offer and to send to it; 0 means what both sides offer.")
]
RatePerMinute = Annotated[
    int | None, Option(help="Studies per minute that work on lists may ask of it; 0 means no limit.")
]
PermittedHours = Annotated[
    str | None,
    Option(metavar="HH:MM-HH:MM,...", help="When work on lists may burden it, in local time; '' means always."),
]
FallbackCharset = Annotated[str | None, Option(help="Character set of its text when it names none: ISO_IR 100, ...")]
DicomwebRoot = Annotated[str | None, Option(help="Address of its DICOMweb services.")]
Tls = Annotated[bool | None, Option("--tls/--no-tls", help="Secure its associations with TLS.")]
TlsCaFile = Annotated[
    str | None,
    Option(metavar="FILE", help="PEM file of the certificates to trust; '' means this machine's trust store."),
]
TlsCertificateFile = Annotated[
    str | None, Option(metavar="FILE", help="PEM file of our client certificate, if it demands one.")
]
TlsKeyFile = Annotated[str | None, Option(metavar="FILE", help="PEM file of our client certificate's private key.")]
TlsVerify = Annotated[
    bool | None, Option("--tls-verify/--no-tls-verify", help="Check its certificate [new server: yes].")
]
TlsProfile = Annotated[
    str | None,
    Option(metavar="|".join(TLS_PROFILES), help=f"TLS versions and cipher suites [new server: {TLS_PROFILES[0]}]."),
]
TlsServerName = Annotated[
    str | None, Option(metavar="NAME", help="The name that its certificate holds, if that is not the host.")
]
IsDefault = Annotated[bool | None, Option("--default/--no-default", help="Use it when no server is named.")]
IsActive = Annotated[bool | None, Option("--active/--inactive", help="Offer it for work.")]
Notes = Annotated[str | None, Option(help="Free text.")]


def given_fields(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a server among a command's arguments, without those that were not given.

    Paths are made whole: the registry's reader runs in another folder.
    """
    given = {name: arguments[name] for name in FIELD_NAMES if arguments.get(name) is not None}
    for name in ("tls_ca_file", "tls_certificate_file", "tls_key_file"):
        if given.get(name, "").strip():
            given[name] = os.path.abspath(os.path.expanduser(given[name]))
    return given
