"""Application entities, presentation contexts, and what an association is like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from conformance_tables.words import name_of, settings, table
from dicomfab.app import settings as app_settings
from dicomfab.archive.commitment import _CONTEXT as REPORTS
from dicomfab.archive.commitment import CommitmentLimits
from dicomfab.dimse.association import MAX_PDU_LENGTH
from dicomfab.dimse.contexts import PLAIN_SYNTAXES, acceptable, identical_pixels
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp import session
from dicomfab.dimse.scu import availability, commitment, echo, performed_step, worklist
from dicomfab.dimse.scu.get import _storage_transfer_syntaxes
from dicomfab.dimse.sop_classes import (
    AVAILABILITY,
    COMMITMENT,
    FIND,
    GET,
    MOVE,
    PERFORMED_STEP,
    VERIFICATION,
    WORKLIST,
    storage_sop_classes,
)
from dicomfab.dimse.tls_settings import TlsProfile
from dicomfab.dimse.transport.tls import CIPHER_SUITES
from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomfab.pixels.syntaxes import ENCAPSULATED, NATIVE
from dicomfab.pixels.writable import WRITABLE
from dicomfab.registry.server import DEFAULT_AE_TITLE, PacsServer
from dicomfab.services.ordering import modality_config
from dicomfab.testpacs.spec import SERVERS, LabConfig
from dicomfab.ul import layer
from dicomfab.ul.pdu import DICOM_APPLICATION_CONTEXT, MAX_CONTEXTS

CLIENT, RECEIVER, PACS, RIS, MODALITY = "CLIENT", "STORAGE-SCP", "TEST-PACS", "RIS", "MODALITY"
#: The servers, each with the SOP classes that it has beside verification, storage and query/retrieve.
SERVED: Final[Mapping[str, frozenset[str]]] = {
    RECEIVER: frozenset({COMMITMENT}),
    PACS: frozenset({COMMITMENT}),
    RIS: frozenset({WORKLIST, PERFORMED_STEP, AVAILABILITY}),
}
_STORAGE: Final = "every storage SOP class"
_QUERIES: Final = (*FIND.values(), *MOVE.values(), *GET.values())


def performs(server: str, sop_class_uid: str) -> bool:
    """Whether a server not only accepts a SOP class but has the service."""
    if sop_class_uid in _QUERIES:
        return server == PACS
    return sop_class_uid == VERIFICATION or sop_class_uid in SERVED[server]


def _servers(sop_class_uid: str) -> str:
    return ", ".join(server for server in SERVED if performs(server, sop_class_uid)) or "-"


def identity() -> str:
    return table(
        ("What", "Value"),
        [
            ("Application context name", DICOM_APPLICATION_CONTEXT),
            ("Implementation class UID", IMPLEMENTATION_CLASS_UID),
            ("Implementation version name", IMPLEMENTATION_VERSION_NAME),
            ("Maximum length of a PDU that is announced, as requestor", f"{MAX_PDU_LENGTH:,} bytes"),
            ("The same, as acceptor", f"{ServerConfig('A').max_pdu_length:,} bytes"),
            ("Most presentation contexts of an association", MAX_CONTEXTS),
            ("Most associations at a time, as acceptor", ServerConfig("A").max_associations),
            ("Most jobs that work with one server at a time, as requestor", PacsServer.__dataclass_fields__[
                "max_associations"].default),
            ("Outstanding requests of an association", "1; a proposal is answered with 1/1"),
        ],
    )  # fmt: skip


def services() -> str:
    """Networking services: who is SCU, who is SCP."""
    client = f"{CLIENT}, {PACS} (C-MOVE)"
    rows = [(name_of(VERIFICATION), VERIFICATION, CLIENT, _servers(VERIFICATION))]
    rows.append(("Storage", _STORAGE, f"{client}, {MODALITY}", f"{RECEIVER}, {PACS}"))
    rows += [(name_of(uid), uid, CLIENT, _servers(uid)) for uid in _QUERIES]
    rows.append((name_of(WORKLIST), WORKLIST, f"{CLIENT}, {MODALITY}", _servers(WORKLIST)))
    rows.append((name_of(PERFORMED_STEP), PERFORMED_STEP, MODALITY, _servers(PERFORMED_STEP)))
    rows.append((name_of(COMMITMENT), COMMITMENT, MODALITY, _servers(COMMITMENT)))
    rows.append((name_of(AVAILABILITY), AVAILABILITY, MODALITY, _servers(AVAILABILITY)))
    return table(("SOP class", "UID", "User (SCU)", "Provider (SCP)"), rows)


def ae_titles() -> str:
    rows: list[tuple[object, ...]] = [
        (CLIENT, f"`{DEFAULT_AE_TITLE}`", "-", "for each server and operation, in its entry"),
        (RECEIVER, f"`{DEFAULT_AE_TITLE}`", app_settings.DEFAULT_SCP_PORT, "`DICOMFAB_SCP_HOST`, `DICOMFAB_SCP_PORT`"),
        *(
            (f"{PACS}: {one.name}", f"`{one.ae_title}`", one.dicom_port, "`dicomfab lab start`")
            for one in LabConfig().servers
        ),
        (RIS, f"`{DEFAULT_AE_TITLE}`", app_settings.DEFAULT_WORKLIST_PORT, "`dicomfab ris run`"),
        (MODALITY, f"`{modality_config.AE_TITLE}`", modality_config.PORT, "`dicomfab modality run`"),
    ]
    assert len(SERVERS) == 4
    return table(("Application entity", "AE title if nothing is said", "TCP port", "Said by"), rows)


def destinations() -> str:
    config = LabConfig()
    rows = [
        (f"`{one.ae_title}`", ", ".join(f"`{title}`" for title in config.destinations(one.id)))
        for one in config.servers
    ]
    return table(("Server", "Move destinations and requestors of commitments that it knows"), rows)


def scu_contexts() -> str:
    plain = ", ".join(PLAIN_SYNTAXES)
    back = _storage_transfer_syntaxes()
    rows = [
        (name_of(one.abstract_syntax), one.abstract_syntax, ", ".join(one.transfer_syntaxes), "SCU")
        for one in (echo.CONTEXT, worklist.CONTEXT, performed_step.CONTEXT, availability.CONTEXT, commitment.CONTEXT)
    ]
    rows += [(name_of(uid), uid, plain, "SCU") for uid in _QUERIES]
    rows.append(
        ("Storage", "that of the instance", "its own, and each that it can be converted to, in a context each", "SCU")
    )
    syntaxes = f"{', '.join(back[:2])}, then {len(back) - 2} more"
    rows.append(("Storage, for C-GET", f"up to {MAX_CONTEXTS - 1}", syntaxes, "SCP"))
    assert REPORTS.as_scp
    reports = ", ".join(REPORTS.transfer_syntaxes)
    rows.append((f"{name_of(COMMITMENT)}, reports", REPORTS.abstract_syntax, reports, "SCP"))
    return table(("SOP class", "Abstract syntax", "Transfer syntaxes", "Role"), rows)


def scp_contexts() -> str:
    """What each server accepts, by asking what chooses; and whether it then has the service."""
    rows = []
    extra = sorted(set().union(*SERVED.values()))
    for uid in (VERIFICATION, *_QUERIES, *extra):
        cells = []
        for server, more in SERVED.items():
            accepted = acceptable(more)(uid, PLAIN_SYNTAXES)
            cells.append("-" if not accepted else "yes" if performs(server, uid) else "0122")
        rows.append((name_of(uid), uid, *cells))
    assert acceptable()("1.2.3.4", ("1.2.3.5",)) == "1.2.3.5"  # also what nobody knows
    rows.append(("Storage", _STORAGE, "yes", "yes", "0122"))
    return table(("SOP class", "Abstract syntax", *SERVED), rows)


def storage_classes() -> str:
    return table(("SOP class", "UID"), [(name_of(uid), uid) for uid in storage_sop_classes()])


def transfer_syntaxes() -> str:
    rows = []
    for uid in (*NATIVE, *ENCAPSULATED):
        to = " or ".join("explicit" if one == PLAIN_SYNTAXES[1] else "implicit" for one in identical_pixels(uid))
        made = WRITABLE.get(uid)
        rows.append((name_of(uid), uid, "yes", to or "-", f"`{made.name}`" if made else "-"))
    rows.append(("any other", "", "yes", "-", "-"))
    heads = ("Transfer syntax", "UID", "Stored and sent as it is", "Converted for a peer that wants", "Made as")
    return table(heads, rows)


def server_parameters() -> str:
    names = ("max_associations", "max_pdu_length", "artim_s", "pdu_timeout_s", "idle_s", "known_calling_ae_titles")
    return table(("Parameter", "Default", "What it is"), settings(ServerConfig, names))


def client_parameters() -> str:
    names = (
        "aet_find", "aet_store", "aet_echo", "aet_move", "aet_get", "connect_timeout_s", "association_timeout_s",
        "dimse_timeout_s", "retrieve_timeout_s", "max_associations", "max_pdu", "rate_per_minute", "permitted_hours",
        "fallback_charset", "via", "tls", "tls_verify", "tls_profile",
    )  # fmt: skip
    return table(("Parameter", "Default", "What it is"), settings(PacsServer, names))


def lab_parameters() -> str:
    names = ("bind", "strict", "on_duplicate", "commitment_on_same_association")
    return table(("Parameter", "Default", "What it is"), settings(LabConfig, names))


def commitment_parameters() -> str:
    names = (
        "pause_s", "same_association_s", "retry_first_s", "retry_longest_s", "give_up_hours", "max_pending",
        "max_references",
    )  # fmt: skip
    return table(("Parameter", "Default", "What it is"), settings(CommitmentLimits, names))


def rejections() -> str:
    permanent, transient = session._PERMANENT, session._TRANSIENT
    rows = [
        (permanent, layer._PROTOCOL_VERSION_NOT_SUPPORTED, "another version of the protocol is spoken"),
        (permanent, layer._APPLICATION_CONTEXT_NOT_SUPPORTED, "another application context name is given"),
        (permanent, session._CALLED_AE_TITLE_NOT_RECOGNIZED, "another AE title than its own was called"),
        (permanent, session._CALLING_AE_TITLE_NOT_RECOGNIZED, "the caller is not known"),
        (permanent, session._NO_REASON_GIVEN, "the user identity is refused, or the answer would not fit into a PDU"),
        (transient, session._LOCAL_LIMIT_EXCEEDED, "as many associations are open as there may be"),
    ]
    return table(("Result", "Source", "Reason", "When"), [(result, *source, why) for result, source, why in rows])


def tls_profiles() -> str:
    where = {
        TlsProfile.BCP_195: "B.12",
        TlsProfile.MODIFIED_BCP_195: "B.13",
        TlsProfile.NON_DOWNGRADING_BCP_195: "B.10, retired",
    }
    rows = [(f"`{one}`", where[one], ", ".join(CIPHER_SUITES[one])) for one in TlsProfile]
    return table(("Profile", "PS3.15", "Cipher suites of TLS 1.2, by OpenSSL's names"), rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "services": services,
    "identity": identity,
    "ae-titles": ae_titles,
    "destinations": destinations,
    "scu-contexts": scu_contexts,
    "scp-contexts": scp_contexts,
    "storage-sop-classes": storage_classes,
    "transfer-syntaxes": transfer_syntaxes,
    "server-parameters": server_parameters,
    "client-parameters": client_parameters,
    "lab-parameters": lab_parameters,
    "commitment-parameters": commitment_parameters,
    "rejections": rejections,
    "tls-profiles": tls_profiles,
}
