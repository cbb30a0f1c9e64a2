"""What every request must satisfy and every response carries.

In mode ``none`` the interface asks for no password, and with sign-in the browser sends its session by itself. So a page
of another site, open in the same browser, must neither reach it nor make the browser act on it:

- the Host header must be a name that we go by, or a name that its owner points at our address (DNS rebinding) would do;
- passwords and sessions travel over TLS, or not beyond this computer;
- a request that changes something must come from one of our own pages (Sec-Fetch-Site, or Origin where a browser
  sends no fetch metadata); what sends neither is refused, unless it shows no cookie and either an API token or DICOM
  as its body: no page of another site makes a browser do so;
- another site may link to a page here, but cannot embed or fetch anything.
"""

from __future__ import annotations

from collections.abc import Set
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomfab.app.web_settings import LOOPBACK_NAMES, is_loopback
from dicomfab.web.problems import is_for_programs, refused

SAML_ANSWERS = "/saml/acs"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",  # Bootstrap's own icons are data: addresses
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
#: Of the viewer alone. It styles its elements, its decoders and its reader of segmentations make functions out of text,
#: it works in threads made of text, and it shows what it has fetched.
VIEWER_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self' blob:",
        "worker-src 'self' blob:",
        "frame-src blob:",
        "object-src 'self' blob:",  # PDF
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
#: Of a document that an instance holds: our own pages show it in a frame, and it can load and run nothing.
DOCUMENT_POLICY = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"
#: What forms and scripts of other sites cannot send unasked.
_PROGRAMS_ONLY = ("multipart/related", "application/dicom")
_HSTS = "max-age=31536000"
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityMiddleware:
    """Refuses foreign requests and adds the security headers."""

    def __init__(self, app: ASGIApp, names: Set[str] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers_in = Headers(scope=scope)
        is_pinned = scope["scheme"] == "https" and not is_loopback(_name(f"//{headers_in.get('host', '')}"))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                policy = headers["Content-Security-Policy"] = policy_for(scope["path"])
                if policy == DOCUMENT_POLICY:
                    headers["X-Frame-Options"] = "SAMEORIGIN"
                if is_pinned:  # never localhost: that would bind all programs on this computer for a year
                    headers["Strict-Transport-Security"] = _HSTS
                # Pages show patients: nothing of them stays in a cache unless a route says otherwise.
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        # Another site's page brings the answers of a SAML provider; they prove themselves.
        method = "GET" if (scope["method"], scope["path"]) == ("POST", SAML_ANSWERS) else scope["method"]
        problem = refusal(method, headers_in, self._names, scope["scheme"])
        if problem:
            is_program = is_for_programs(scope["path"])
            answer = refused(403, problem) if is_program else PlainTextResponse(problem, status_code=403)
            await answer(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def policy_for(path: str) -> str:
    """The content security policy of an address: of a page, and of a script that runs as a worker."""
    if path.startswith("/ohif/"):
        return VIEWER_POLICY
    return DOCUMENT_POLICY if path.startswith("/studies/") and path.endswith("/document") else _POLICY


def refusal(method: str, headers: Headers, names: Set[str] = LOOPBACK_NAMES, scheme: str = "http") -> str:
    """Why a request is refused, or nothing.

    Args:
        method: of the request.
        headers: of the request.
        names: that we go by, in lower case.
        scheme: ``http`` or ``https``, as the browser speaks it.
    """
    host = headers.get("host", "")
    if _name(f"//{host}") not in names:
        known = "localhost, 127.0.0.1 and [::1]" if names == LOOPBACK_NAMES else "the names in DICOMFAB_WEB_NAMES"
        return f"Refused: this interface answers only to {known}."
    if scheme != "https" and not is_loopback(_name(f"//{host}")):
        return (
            "Refused: over TLS only. A reverse proxy must be in DICOMFAB_WEB_PROXIES and send X-Forwarded-Proto: https."
        )
    site = headers.get("sec-fetch-site", "")
    if method in SAFE_METHODS:
        foreign = site in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate"
        return "Refused: another site may link here, but not embed or fetch anything." if foreign else ""
    origin = headers.get("origin", "")
    if site:
        own = site == "same-origin"
    elif not origin and "cookie" not in headers:
        own = headers.get("authorization", "").lower().startswith("bearer ") or _is_beyond_forms(method, headers)
    else:
        own = urlsplit(origin).scheme in {"http", "https"} and urlsplit(origin).netloc == host
    return "" if own else "Refused: a change must come from a page of this interface (no cross-site requests)."


def _is_beyond_forms(method: str, headers: Headers) -> bool:
    """Whether no browser sends this to another site without asking that one first, which is never allowed here.

    Browsers send a POST of these three kinds at once (Fetch standard, CORS-safelisted request-header).
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return method == "DELETE" or (method == "POST" and kind.startswith(_PROGRAMS_ONLY))


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
