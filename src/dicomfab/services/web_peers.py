"""From a peer that is asked over DICOMweb to the server that the client calls, with its secret."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.dimse.explain_tls import alert_after_handshake, is_alert, tls_failed
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.transport.tls import web_context
from dicomfab.model.errors import PeerError
from dicomfab.services.web_secrets import NO_SECRETS, SecretFiles

#: What the words for associations would say of other ports.
_NO_TLS_THERE: Final = frozenset({"tls-not-tls", "tls-closed", "tls-silent"})


def web_peer(peer: Peer, secrets: SecretFiles = NO_SECRETS) -> WebPeer:
    """The DICOMweb services of a peer, with the secret of its file.

    Args:
        peer: with the address of its services.
        secrets: the files that may hold the secret.

    Raises:
        InvalidInput: the file of the secret, or one of TLS, cannot be used.
    """
    access = peer.web
    if access is None:
        raise RuntimeError(f"{peer.label} is not to be asked over DICOMweb")
    url = urlsplit(access.root)
    is_secure = url.scheme == "https"
    host, port = url.hostname or "", url.port or (443 if is_secure else 80)
    called = replace(peer, host=host, port=port, tls=access.tls)

    def explained(error: ssl.SSLError, connected: bool) -> PeerError | None:
        if connected:
            return alert_after_handshake(called, error) if is_alert(error) else None
        failed = tls_failed(called, error)
        if failed.code in _NO_TLS_THERE:
            failed.cause = "the DICOMweb address begins with https, and its port is for http, or belongs to another"
            failed.remedy = "check the DICOMweb address: dicomfab pacs edit --dicomweb-root URL"
        return failed

    return WebPeer(
        access.root,
        name=peer.name,
        connect_s=peer.timeouts.connect_s,
        read_s=peer.timeouts.dimse_s,
        retrieve_s=peer.timeouts.retrieve_s,
        user=access.user,
        secret=secrets.read(access.secret_file, is_token=not access.user) if access.secret_file else "",
        tls=web_context(access.tls) if is_secure else None,
        tls_name=access.tls.name_for(host) if is_secure else "",
        explain_tls=explained,
        notes=peer.trace,
    )
