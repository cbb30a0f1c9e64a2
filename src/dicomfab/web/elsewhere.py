"""Signing in at an identity provider. These addresses are there for everybody: nobody is signed in yet."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.model.errors import NotSignedIn
from dicomfab.services.elsewhere import AWAY_FOR, OIDC, SAML, Back
from dicomfab.web.access import CurrentApplication
from dicomfab.web.errors import page_with
from dicomfab.web.signed_in import (
    browser_mark,
    drop_browser_mark,
    origin_of,
    own_page,
    session_token,
    set_browser_mark,
    set_session,
)

router = APIRouter()

_METADATA: Final = "application/samlmetadata+xml"


@router.get("/sign-in/saml")
def to_saml(request: Request, application: CurrentApplication, next: str = "/") -> Response:  # noqa: A002
    """Go to the SAML identity provider."""
    return _away(request, application, SAML, next)


@router.get("/sign-in/oidc")
def to_oidc(request: Request, application: CurrentApplication, next: str = "/") -> Response:  # noqa: A002
    """Go to the OpenID provider."""
    return _away(request, application, OIDC, next)


@router.get("/saml/metadata")
def metadata(application: CurrentApplication) -> Response:
    """What the SAML identity provider has to know about us (SAML 2.0 metadata)."""
    return Response(application.account_parts.elsewhere.saml_metadata(), media_type=_METADATA)


@router.post("/saml/acs")
def saml_answer(
    request: Request,
    application: CurrentApplication,
    answer: Annotated[str, Form(alias="SAMLResponse")] = "",
) -> Response:
    """Take the provider's answer, which another site's page sends: without our cookies (SAML 2.0 bindings 3.5)."""
    try:
        code = application.account_parts.elsewhere.saml_answered(answer, origin_of(request))
    except NotSignedIn as error:
        return _refused(request, error)
    return RedirectResponse(f"/saml/finish?code={code}", status_code=303)


@router.get("/saml/finish")
def saml_finish(request: Request, application: CurrentApplication, code: str = "") -> Response:
    """Begin the session, in the browser that began to sign in."""
    try:
        elsewhere = application.account_parts.elsewhere
        back = elsewhere.finish(code, browser_mark(request), origin_of(request), session_token(request))
        return _signed_in(request, application, back)
    except NotSignedIn as error:
        return _refused(request, error)


@router.get("/saml/logout")
def saml_logout(request: Request, application: CurrentApplication) -> Response:
    """The provider ends its session, or says that it has (SAML 2.0 profiles 4.4)."""
    try:
        onwards = application.account_parts.elsewhere.saml_logout(request.url.query, origin_of(request))
    except NotSignedIn as error:
        return _refused(request, error)
    return RedirectResponse(onwards, status_code=303)


@router.get("/oidc/callback")
def oidc_answer(request: Request, application: CurrentApplication) -> Response:
    """Take the provider's answer (OpenID Connect Core 3.1.2.5), and begin the session."""
    query = dict(request.query_params)
    try:
        elsewhere = application.account_parts.elsewhere
        back = elsewhere.oidc_answered(query, browser_mark(request), origin_of(request), session_token(request))
        return _signed_in(request, application, back)
    except NotSignedIn as error:
        return _refused(request, error)


def _away(request: Request, application: CurrentApplication, source: str, wanted: str) -> Response:
    if source not in application.sign_in.sources:
        return RedirectResponse("/sign-in", status_code=303)
    away = application.account_parts.elsewhere.begin(source, own_page(wanted), browser_mark(request))
    response = RedirectResponse(away.address, status_code=303)
    set_browser_mark(request, response, away.browser, AWAY_FOR)
    return response


def _signed_in(request: Request, application: CurrentApplication, back: Back) -> Response:
    old = session_token(request)
    if old and old != back.token:
        application.sign_in.sign_out(old, origin_of(request))
    response = RedirectResponse(own_page(back.page), status_code=303)
    set_session(request, response, back.token)
    drop_browser_mark(request, response)
    return response


def _refused(request: Request, error: NotSignedIn) -> Response:
    """Why nobody was let in, with the way to try again."""
    how = request.app.state.application.account_parts.how
    return page_with(request, "sign_in/refused.html", {"error": error, "help": how.help}, error)
