"""From a registry entry to the peer that an operation calls."""

from __future__ import annotations

from typing import Final

from dicomfab.dimse.peer import Peer, Timeouts, WebAccess
from dicomfab.dimse.tls_settings import TlsProfile, TlsSettings
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer

#: C-ECHO and C-MOVE have no counterpart in DICOMweb.
_ALSO_BY_WEB: Final = (Capability.FIND, Capability.STORE, Capability.GET)


def peer_for(server: PacsServer, operation: Capability) -> Peer:
    """Address, AE titles, timeouts, TLS settings and way for one operation, as plain values.

    Raises:
        Conflict: the operation is switched off for this server; nothing was sent.
    """
    return Peer(
        host=server.host,
        port=server.port,
        called_ae_title=server.aec,
        calling_ae_title=server.calling_ae_title(operation),
        timeouts=Timeouts(
            server.connect_timeout_s, server.association_timeout_s, server.dimse_timeout_s, server.retrieve_timeout_s
        ),
        name=server.name,
        tls=_tls(server) if server.tls else None,
        max_pdu_length=server.max_pdu,
        web=_web(server) if server.via == "web" and operation in _ALSO_BY_WEB else None,
    )


def _web(server: PacsServer) -> WebAccess:
    return WebAccess(server.dicomweb_root, _tls(server), server.dicomweb_user, server.dicomweb_secret_file)


def _tls(server: PacsServer) -> TlsSettings:
    return TlsSettings(
        ca_file=server.tls_ca_file,
        certificate_file=server.tls_certificate_file,
        key_file=server.tls_key_file,
        verify=server.tls_verify,
        profile=TlsProfile(server.tls_profile),
        server_name=server.tls_server_name,
    )
