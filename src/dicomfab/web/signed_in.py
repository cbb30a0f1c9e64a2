"""Who asks: the local administrator, whoever signed in with this browser, or the owner of an API token."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from dicomfab.app.build import Application
from dicomfab.app.web_settings import WebSettings
from dicomfab.model.account import Origin, SignedIn
from dicomfab.model.errors import NotSignedIn
from dicomfab.web.problems import is_for_programs

#: Whoever has not signed in yet, as a reason that is no refusal of anybody.
NOTHING_SHOWN: Final = "nothing shown"
_BEARER: Final = "bearer "
_LONGEST: Final = 2000
_MAPPED: Final = "::ffff:"
#: Whoever goes to a page is sent to the identity provider so early that a form on it can still be filled in and sent.
_RENEWED_AFTER: Final = timedelta(minutes=5)


def sign_in_address(back: str = "/", source: str = "") -> str:
    """Where one signs in, and where that leads: a page of ours, whatever is asked for.

    Args:
        back: the page.
        source: an identity provider that the browser is sent to at once.
    """
    start = f"/sign-in/{source}" if source else "/sign-in"
    return f"{start}?{urlencode({'next': own_page(back)})}" if own_page(back) != "/" else start


def own_page(path: str) -> str:
    """A path on this server; the first page for anything that a browser could take for another place."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-")) and path.isprintable()
    return path.removesuffix("?") if is_own and len(path) <= _LONGEST else "/"


def web_settings(request: Request) -> WebSettings:
    """How these pages are served."""
    settings: WebSettings = request.app.state.web
    return settings


def who_asks(request: Request) -> SignedIn | None:
    """Who asks; ``None`` in mode ``none``. Looked up once for each request.

    Raises:
        NotSignedIn: neither a session nor a token, or one that is not valid.
    """
    if web_settings(request).asks_nobody:
        return None
    if not is_looked_up(request):
        request.state.who = _looked_up(request)
    who: SignedIn = request.state.who
    return who


def is_looked_up(request: Request) -> bool:
    """Whether it is known who asks, so that asking again waits for no database."""
    return web_settings(request).asks_nobody or hasattr(request.state, "who")


def origin_of(request: Request) -> Origin:
    """Where a request comes from; a trusted proxy's word is in the request's client already."""
    address = request.client.host if request.client else ""
    if address.lower().startswith(_MAPPED) and "." in address:
        address = address[len(_MAPPED) :]  # an IPv6 socket shows IPv4 callers so (RFC 4291 2.5.5.2)
    return Origin(address, request.headers.get("user-agent", "")[:200])


def bearer_token(request: Request) -> str:
    """The API token of a request, blank without one."""
    text = request.headers.get("authorization", "")
    return text[len(_BEARER) :].strip() if text[: len(_BEARER)].lower() == _BEARER else ""


def is_program(request: Request) -> bool:
    """Whether a program asks, which can do nothing with a page: it shows a token, or wants events or JSON."""
    wants = request.headers.get("accept", "")
    return is_for_programs(request.url.path) or bool(bearer_token(request)) or wants.startswith("text/event-stream")


def session_token(request: Request) -> str:
    """What the cookie holds, blank without one."""
    return request.cookies.get(_cookie_name(request), "")


def set_session(request: Request, response: Response, token: str) -> None:
    """Give the browser its session; it ends with the browser, or when the server ends it."""
    response.set_cookie(
        _cookie_name(request), token, path="/", secure=_is_secure(request), httponly=True, samesite="lax"
    )


def drop_session(request: Request, response: Response) -> None:
    """Have the browser forget its session."""
    response.delete_cookie(_cookie_name(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax")


def browser_mark(request: Request) -> str:
    """What a browser holds that was sent to an identity provider, blank without."""
    return request.cookies.get(_mark_name(request), "")


def set_browser_mark(request: Request, response: Response, mark: str, lasts: timedelta) -> None:
    """Know a browser again when it comes back from an identity provider."""
    response.set_cookie(
        _mark_name(request),
        mark,
        max_age=int(lasts.total_seconds()),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def drop_browser_mark(request: Request, response: Response) -> None:
    """Have the browser forget that it was away."""
    response.delete_cookie(_mark_name(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax")


def _mark_name(request: Request) -> str:
    return "__Host-away" if _is_secure(request) else f"dicomfab-away-{request.url.port or 80}"


def _looked_up(request: Request) -> SignedIn:
    application: Application = request.app.state.application
    token = bearer_token(request)
    if token:
        return application.api_tokens.by_token(token, origin_of(request))
    cookie = session_token(request)
    if not cookie:
        raise NotSignedIn("nobody is signed in", reason=NOTHING_SHOWN, remedy="sign in")
    return application.sign_in.by_session(cookie, within=_RENEWED_AFTER if _is_navigation(request) else None)


def _is_navigation(request: Request) -> bool:
    """Whether a browser goes to a page, so that it can be sent elsewhere first."""
    return request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _cookie_name(request: Request) -> str:
    # Browsers take the prefix only over TLS (RFC 6265bis 4.1.3.2); without TLS only loopback is served. There, cookies
    # of all ports are one heap (RFC 6265 8.5): no other program's session, nor a second installation, may be in it.
    if _is_secure(request):
        return "__Host-session"
    return f"dicomfab-session-{request.url.port or 80}"
