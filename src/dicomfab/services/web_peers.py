"""From a peer that is asked over DICOMweb to the server that the client calls, with its secret."""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.dimse.explain_tls import alert_after_handshake, is_alert, tls_failed
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.transport.tls import web_context
from dicomfab.model.errors import InvalidInput, PeerError

_MAX_SECRET_BYTES: Final = 16 << 10
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
#: What the words for associations would say of other ports.
_NO_TLS_THERE: Final = frozenset({"tls-not-tls", "tls-closed", "tls-silent"})


def web_peer(peer: Peer) -> WebPeer:
    """The DICOMweb services of a peer, with the secret of its file.

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
        secret=_secret(access.secret_file) if access.secret_file else "",
        tls=web_context(access.tls) if is_secure else None,
        tls_name=access.tls.name_for(host) if is_secure else "",
        explain_tls=explained,
        notes=peer.trace,
    )


def _secret(path: str) -> str:
    """The first line of a file that is its owner's alone.

    Whoever may change an entry says which file is read, and to which server its line goes: so no other file will do.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or mode & _OTHERS:
                raise _unusable(path, "is not a file that its owner alone can read")
            text = file.read(_MAX_SECRET_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise _unusable(path, f"cannot be read ({why})") from None  # the error holds what was read
    line = text.partition("\n")[0].rstrip("\r")
    if not line or not line.isprintable():
        raise _unusable(path, "holds no secret" if not line else "holds a character that no secret has")
    return line


def _unusable(path: str, problem: str) -> InvalidInput:
    return InvalidInput(
        f"dicomweb_secret_file: {path!r} {problem}",
        field="dicomweb_secret_file",
        value=path,
        cause="the file is not there, may not be read by the user that dicomfab runs as, or holds something else",
        remedy="write the password or the token alone into it, readable by that user only: chmod 600 FILE",
    )
