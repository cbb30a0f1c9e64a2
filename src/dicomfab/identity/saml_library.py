"""What python3-saml is told, about us and about the identity provider."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from onelogin.saml2.errors import OneLogin_Saml2_Error
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from dicomfab.identity.saml_messages import name_id_policy, our_key_unusable
from dicomfab.identity.saml_metadata import POST, REDIRECT, IdentityProvider
from dicomfab.identity.saml_values import SamlSettings


def settings_for(settings: SamlSettings, provider: IdentityProvider) -> Any:
    """Strict ones: signed assertions, nothing by SHA-1, no method of signing in demanded.

    Raises:
        DirectoryUnavailable: our certificate or key is none.
    """
    try:
        return OneLogin_Saml2_Settings(
            {
                "strict": True,
                "debug": False,
                "sp": {
                    "entityId": settings.entity_id,
                    "assertionConsumerService": {"url": settings.answers_to, "binding": POST},
                    "singleLogoutService": {"url": settings.logout, "binding": REDIRECT},
                    "NameIDFormat": name_id_policy(settings),
                    "x509cert": settings.certificate,
                    "privateKey": settings.key,
                },
                "idp": {
                    "entityId": provider.entity_id,
                    "singleSignOnService": {"url": provider.sign_on, "binding": REDIRECT},
                    "x509certMulti": {"signing": list(provider.certificates)},
                },
                "security": {
                    "authnRequestsSigned": True,
                    "logoutRequestSigned": True,
                    "logoutResponseSigned": True,
                    "wantAssertionsSigned": True,
                    "wantMessagesSigned": settings.require_signed_response,
                    "wantAttributeStatement": False,  # a missing attribute is told of by its name
                    "wantNameId": True,
                    "rejectDeprecatedAlgorithm": True,
                    "requestedAuthnContext": False,  # who signs in by a card gives no password
                    "allowRepeatAttributeName": True,  # Keycloak says each group in an attribute of its own
                    "allowSingleLabelDomains": True,
                },
            }
        )
    except OneLogin_Saml2_Error as error:
        raise our_key_unusable() from error


def request_at(address: str, query: dict[str, str]) -> dict[str, Any]:
    """A request as the library wants to see it: at our own address, whatever a proxy made of it.

    Args:
        address: where it came in, by the settings.
        query: its parameters.
    """
    parts = urlsplit(address)
    secure = "on" if parts.scheme == "https" else "off"
    return {"https": secure, "http_host": parts.netloc, "script_name": parts.path, "get_data": query}
