"""What there is to set at other servers, and how each product wants it written; see :mod:`dicomfab.diagnosis.products`.

Orthanc 1.10, DCMTK 3.6.7 and pynetdicom 3.0 were tried; what was not is marked and comes from the products' documents.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dicomfab.diagnosis.implementations import Product


class Setting(enum.StrEnum):
    """What an administrator may have to set."""

    START = "start the DICOM service"
    KNOW_US = "know our AE title"
    ANSWER_TO = "answer to the AE title that it is called by"
    ALLOW_ECHO = "allow C-ECHO"
    ALLOW_FIND = "allow C-FIND"
    ALLOW_MOVE = "allow C-MOVE"
    ALLOW_GET = "allow C-GET"
    ALLOW_STORE = "allow C-STORE"
    OFFER_PATIENT_ROOT = "offer the patient root information model"
    ACCEPT_SOP_CLASS = "accept the SOP class"
    ACCEPT_TRANSFER_SYNTAX = "accept the transfer syntax"
    TLS_ON = "speak TLS"
    TLS_OFF = "speak without TLS"
    TRUST_US = "trust our certificate"
    MORE_SPACE = "take more than fits now"
    MORE_ASSOCIATIONS = "allow more associations at a time"
    KNOW_DESTINATION = "know the move destination"
    SEND_WITH_TLS = "call the move destination with TLS"
    SEND_WITHOUT_TLS = "call the move destination without TLS"
    KNOW_SOURCE = "let the source in"


#: Those whose texts name source and destination of a C-MOVE.
MOVE_SETTINGS: Final = frozenset(
    {Setting.KNOW_DESTINATION, Setting.SEND_WITH_TLS, Setting.SEND_WITHOUT_TLS, Setting.KNOW_SOURCE}
)
#: Those that are the destination's in a C-MOVE.
DESTINATION_SETTINGS: Final = frozenset(
    {
        Setting.KNOW_SOURCE,
        Setting.ALLOW_STORE,
        Setting.ACCEPT_SOP_CLASS,
        Setting.ACCEPT_TRANSFER_SYNTAX,
        Setting.MORE_SPACE,
        Setting.MORE_ASSOCIATIONS,
    }
)


@dataclass(frozen=True, slots=True)
class Template:
    """A line with placeholders, as :class:`~dicomfab.diagnosis.products.Line` has it filled."""

    product: Product
    place: str
    text: str
    tried: bool = True


_ORTHANC: Final = "orthanc.json (restart Orthanc)"
_MODALITIES: Final = (
    'orthanc.json, in "DicomModalities"; instead of an entry with this AET if there is one (restart Orthanc)'
)
_HOSTS: Final = "dcmqrscp.cfg, between HostTable BEGIN and END (restart dcmqrscp)"
_PEERS: Final = (
    "dcmqrscp.cfg, AETable, last column of the line of the database, after a comma if others stand there; the host by "
    "the name that it resolves to, or start dcmqrscp with --disable-host-lookup"
)
_DCM4CHEE_AE: Final = "dcm4chee-arc, Configuration > Devices > dcm4chee-arc > Network AE > "
_DCM4CHEE_AES: Final = "dcm4chee-arc, Configuration > AE list > New AET; then Control > Reload the configuration"
_LAB: Final = "lab.json of the lab's folder; then dicomfab lab restart"
_SCRIPT: Final = "the Python program that starts the server, before ae.start_server(...)"
_COMMAND: Final = "command line of dcmqrscp"


def _modality(right: str) -> str:
    """An entry for us in Orthanc's table, in the form that has rights."""
    return (
        '"{calling:symbol}" : {{ "AET" : {calling:json}, "Host" : {our_host:json}, "Port" : {our_port}, "'
        + right
        + '" : true }}'
    )


def _orthanc_right(right: str, everybody: str) -> tuple[Template, ...]:
    return (
        Template(Product.ORTHANC, _MODALITIES, _modality(right)),
        Template(Product.ORTHANC, f"{_ORTHANC}; instead of the line before, for everybody", f'"{everybody}" : true'),
    )


def _handler(operation: str) -> Template:
    return Template(
        Product.PYNETDICOM,
        "the Python program that starts the server, in evt_handlers of ae.start_server(...)",
        f"(evt.EVT_C_{operation}, handle_{operation.lower()})",
    )


LINES: Final[Mapping[Setting, tuple[Template, ...]]] = {
    Setting.START: (
        Template(Product.ORTHANC, _ORTHANC, '"DicomServerEnabled" : true, "DicomPort" : {port}'),
        Template(Product.DCMTK, "a command line at the server", "dcmqrscp --config dcmqrscp.cfg {port}"),
        Template(Product.DICOMFAB, "a command line at the server", "dicomfab lab start"),
    ),
    Setting.KNOW_US: (
        Template(Product.ORTHANC, _MODALITIES, '"{calling:symbol}" : [ {calling:json}, {our_host:json}, {our_port} ]'),
        Template(Product.DCMTK, _PEERS, "({calling:cfg}, {our_host}, {our_port})"),
        Template(
            Product.DCM4CHEE,
            f"{_DCM4CHEE_AES}; tick the archive's AE under 'Accepted Calling AE Title' if it has a list of those",
            "AE title {calling}, host {our_host}, port {our_port}",
            tried=False,
        ),
        Template(Product.PYNETDICOM, _SCRIPT, "ae.require_calling_aet = [*ae.require_calling_aet, {calling:python}]"),
        Template(Product.DICOMFAB, _LAB, '"strict": false'),
    ),
    Setting.ANSWER_TO: (
        Template(Product.ORTHANC, _ORTHANC, '"DicomAet" : {called:json}'),
        Template(Product.ORTHANC, f"{_ORTHANC}; instead, to answer to any AE title", '"DicomCheckCalledAet" : false'),
        Template(
            Product.DCMTK,
            "dcmqrscp.cfg, AETable, first column of the line of the database (restart dcmqrscp)",
            "{called:cfg-quoted}",
        ),
        Template(Product.DCM4CHEE, f"{_DCM4CHEE_AE}AE Title, or Other AE Title", "{called}", tried=False),
        Template(Product.PYNETDICOM, _SCRIPT, "ae.ae_title = {called:python}"),
    ),
    Setting.ALLOW_ECHO: _orthanc_right("AllowEcho", "DicomAlwaysAllowEcho"),
    Setting.ALLOW_FIND: (*_orthanc_right("AllowFind", "DicomAlwaysAllowFind"), _handler("FIND")),
    Setting.ALLOW_MOVE: (
        *_orthanc_right("AllowMove", "DicomAlwaysAllowMove"),
        Template(Product.DCMTK, _COMMAND, "without --require-find"),
        Template(Product.DCM4CHEE, f"{_DCM4CHEE_AE}Accepted Move Destination", "{calling}", tried=False),
        _handler("MOVE"),
    ),
    Setting.ALLOW_GET: (
        *_orthanc_right("AllowGet", "DicomAlwaysAllowGet"),
        Template(Product.DCMTK, _COMMAND, "without --disable-get"),
        _handler("GET"),
    ),
    Setting.ALLOW_STORE: (
        *_orthanc_right("AllowStore", "DicomAlwaysAllowStore"),
        Template(Product.DCMTK, "dcmqrscp.cfg, AETable, third column (Access) of the line of the database", "RW"),
        _handler("STORE"),
    ),
    Setting.OFFER_PATIENT_ROOT: (Template(Product.DCMTK, _COMMAND, "without --no-patient-root"),),
    Setting.ACCEPT_SOP_CLASS: (
        Template(Product.ORTHANC, _ORTHANC, '"UnknownSopClassAccepted" : true'),
        Template(Product.DCMTK, "command line of storescp", "--promiscuous"),
        Template(Product.DCM4CHEE, f"{_DCM4CHEE_AE}Transfer Capability", "add the SOP class as SCP", tried=False),
        Template(
            Product.PYNETDICOM,
            _SCRIPT,
            "for context in AllStoragePresentationContexts: ae.add_supported_context(context.abstract_syntax)",
        ),
    ),
    Setting.ACCEPT_TRANSFER_SYNTAX: (
        Template(Product.ORTHANC, _ORTHANC, '"AcceptedTransferSyntaxes" : [ "1.2.840.10008.1.*" ]'),
        Template(Product.DCMTK, "command line of storescp", "--accept-all"),
        Template(Product.DCM4CHEE, f"{_DCM4CHEE_AE}Transfer Capability", "add the transfer syntax", tried=False),
        Template(
            Product.PYNETDICOM,
            _SCRIPT,
            "for context in AllStoragePresentationContexts: "
            "ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)",
        ),
    ),
    Setting.TLS_ON: (
        Template(
            Product.ORTHANC,
            _ORTHANC,
            '"DicomTlsEnabled" : true, "DicomTlsCertificate" : "orthanc.crt", "DicomTlsPrivateKey" : "orthanc.key", '
            '"DicomTlsTrustedCertificates" : "trusted.crt"',
        ),
        Template(Product.DCMTK, "command line of storescp", "--enable-tls server.key server.crt"),
        Template(
            Product.DCM4CHEE,
            "dcm4chee-arc, Configuration > Devices > dcm4chee-arc > Network Connection",
            "port {port} with TLS cipher suites",
            tried=False,
        ),
    ),
    Setting.TLS_OFF: (
        Template(Product.ORTHANC, _ORTHANC, '"DicomTlsEnabled" : false'),
        Template(Product.DCMTK, "command line of storescp", "--disable-tls"),
    ),
    Setting.TRUST_US: (
        Template(
            Product.ORTHANC,
            f"{_ORTHANC}; append our certificate, or that of its authority, to the file",
            '"DicomTlsTrustedCertificates" : "trusted.crt"',
        ),
        Template(Product.DCMTK, "command line of storescp", "--add-cert-file dicomfab.crt"),
    ),
    Setting.MORE_SPACE: (
        Template(
            Product.ORTHANC,
            f"{_ORTHANC}; 0 is no limit but that of the disk",
            '"MaximumStorageSize" : 0',
            tried=False,  # Orthanc 1.10 deletes the oldest patients instead of refusing
        ),
        Template(
            Product.DCMTK,
            "dcmqrscp.cfg, AETable, fourth column (studies, bytes in each) of the line of the database",
            "(1000, 4096mb)",
        ),
    ),
    Setting.MORE_ASSOCIATIONS: (
        Template(Product.DCMTK, "dcmqrscp.cfg (restart dcmqrscp)", "MaxAssociations = 64"),
        Template(
            Product.DCM4CHEE,
            "dcm4chee-arc, Configuration > Devices > dcm4chee-arc > Limit Open Associations",
            "100",
            tried=False,
        ),
        Template(Product.PYNETDICOM, _SCRIPT, "ae.maximum_associations = 100"),
    ),
    Setting.KNOW_DESTINATION: (
        Template(
            Product.ORTHANC,
            _MODALITIES,
            '"{move_ae:symbol}" : [ {move_ae:json}, {destination_host:json}, {destination_port} ]',
        ),
        Template(
            Product.DCMTK,
            f"{_HOSTS}; instead of an entry with this AE title if there is one",
            "{move_ae:symbol} = ({move_ae:cfg}, {destination_host}, {destination_port})",
        ),
        Template(
            Product.DCM4CHEE,
            f"{_DCM4CHEE_AES}; if the archive's AE lists Accepted Move Destinations, there too",
            "AE title {move_ae}, host {destination_host}, port {destination_port}",
            tried=False,
        ),
        Template(
            Product.PYNETDICOM,
            "the handler of evt.EVT_C_MOVE in the Python program, before everything else",
            "if event.move_destination == {move_ae:python}: yield ({destination_host:python}, {destination_port})",
        ),
        Template(
            Product.DICOMFAB,
            "test PACS servers know each other, DICOMFAB and MODALITY1 only; see the AE titles that they have",
            "dicomfab lab status",
        ),
    ),
    Setting.SEND_WITH_TLS: (
        Template(
            Product.ORTHANC,
            _MODALITIES,
            '"{move_ae:symbol}" : {{ "AET" : {move_ae:json}, "Host" : {destination_host:json}, '
            '"Port" : {destination_port}, "UseDicomTls" : true }}',
        ),
    ),
    Setting.SEND_WITHOUT_TLS: (
        Template(
            Product.ORTHANC,
            _MODALITIES,
            '"{move_ae:symbol}" : {{ "AET" : {move_ae:json}, "Host" : {destination_host:json}, '
            '"Port" : {destination_port}, "UseDicomTls" : false }}',
        ),
    ),
    Setting.KNOW_SOURCE: (
        Template(
            Product.ORTHANC,
            _MODALITIES,
            '"{source_aec:symbol}" : [ {source_aec:json}, {source_host:json}, {source_port} ]',
        ),
        Template(Product.DCMTK, _PEERS, "({source_aec:cfg}, {source_host}, {source_port})"),
        Template(
            Product.DCM4CHEE,
            f"{_DCM4CHEE_AES}; tick the archive's AE under 'Accepted Calling AE Title' if it has a list of those",
            "AE title {source_aec}, host {source_host}, port {source_port}",
            tried=False,
        ),
        Template(
            Product.PYNETDICOM, _SCRIPT, "ae.require_calling_aet = [*ae.require_calling_aet, {source_aec:python}]"
        ),
        Template(Product.DICOMFAB, _LAB, '"strict": false'),
    ),
}
