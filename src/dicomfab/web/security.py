"""What every request must satisfy and every response carries.

The interface listens on loopback and, in mode ``none``, asks for no password. So a page of another site, open in the
same browser, must neither reach it nor make the browser act on it:

- the Host header must be a loopback name, or a name that its owner points at 127.0.0.1 (DNS rebinding) would do;
- a request that changes something must come from one of our own pages (Sec-Fetch-Site, or Origin where a browser
  sends no fetch metadata); what sends neither is refused;
- another site may link to a page here, but cannot embed or fetch anything.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
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
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityMiddleware:
    """Refuses foreign requests and adds the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                # Pages show patients: nothing of them stays in a cache unless a route says otherwise.
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        problem = refusal(scope["method"], Headers(scope=scope))
        if problem:
            await PlainTextResponse(problem, status_code=403)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def refusal(method: str, headers: Headers) -> str:
    """Why a request is refused, or nothing."""
    host = headers.get("host", "")
    if _name(f"//{host}") not in LOOPBACK_NAMES:
        return "Refused: this interface answers only to localhost, 127.0.0.1 and [::1]."
    site = headers.get("sec-fetch-site", "")
    if method in SAFE_METHODS:
        foreign = site in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate"
        return "Refused: another site may link here, but not embed or fetch anything." if foreign else ""
    origin = headers.get("origin", "")
    if site:
        own = site == "same-origin"
    else:
        own = urlsplit(origin).scheme in {"http", "https"} and urlsplit(origin).netloc == host
    return "" if own else "Refused: a change must come from a page of this interface (no cross-site requests)."


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
