"""How people sign in here, in words for administrators: nothing secret is in it."""

from __future__ import annotations

from dicomfab.app.sign_in_settings import SignInSettings
from dicomfab.model.account import LOCAL


def words_of(how: SignInSettings) -> dict[str, dict[str, str]]:
    """What is set, by source: a label and its value each."""
    found: dict[str, dict[str, str]] = {}
    for source in how.sources:
        if source == LOCAL:
            found[source] = {"Accounts": "kept here"}
        if source == "ldap" and how.ldap is not None:
            servers = [
                f"{one.host}:{one.port} by {'StartTLS' if one.start_tls else 'LDAPS'}" for one in how.ldap.servers
            ]
            found[source] = {
                "Domain controllers": ", ".join(servers),
                "Below": how.ldap.base,
                "Account of ours": how.ldap.account,
                "Trusted certificates": how.ldap.ca_file or "those of this machine",
            }
        if source == "saml" and how.saml is not None:
            found[source] = {
                "Metadata of the provider": how.saml.metadata,
                "Our entity ID and metadata": f"{how.address}/saml/metadata",
                "Answers come to": f"{how.address}/saml/acs",
                "Attributes": f"name {how.saml.name_attribute}, groups {how.saml.groups_attribute}",
                "Answers that nobody asked for": "accepted" if how.saml.allow_unsolicited else "refused",
            }
        if source == "oidc" and how.oidc is not None:
            found[source] = {
                "Issuer": how.oidc.issuer,
                "Client ID": how.oidc.client_id,
                "Answers come to": f"{how.address}/oidc/callback",
                "Claims": f"name {how.oidc.name_claim}, groups {how.oidc.groups_claim}",
            }
    return found


def how_dict(how: SignInSettings) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {"source": source, "title": how.titles[source], "settings": settings}
        for source, settings in words_of(how).items()
    ]
