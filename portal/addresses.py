"""How a space is called from outside: its URLs and SAML names, all made from the configured base URL.

Never from the Host header, which the client chooses.
"""

from __future__ import annotations

from saml.metadata import identity_provider_metadata
from saml.parties import KeyPair, ServiceProvider


def login_url(base_url: str, space: str) -> str:
    """The user login URL that employees get (IC-2)."""
    return f"{base_url}/login/{space}"


def service_provider(
    base_url: str, space: str, *, keys: tuple[KeyPair, ...] = (), sign_requests: bool = False
) -> ServiceProvider:
    """The space towards the enterprise IdP: Entity ID and ACS URL of the SSO settings (IC-6).

    Single logout needs a key, because its messages are always signed.
    """
    return ServiceProvider(
        entity_id=f"{base_url}/saml/{space}/metadata",
        acs_url=f"{base_url}/saml/{space}/acs",
        keys=keys,
        sign_requests=sign_requests,
        slo_url=f"{base_url}/saml/{space}/slo" if keys else None,
    )


def issuer(base_url: str, space: str) -> str:
    """The space as an identity provider towards accounts: entity id, and the address of its metadata (IC-17)."""
    return f"{base_url}/saml/{space}/idp-metadata"


def issuer_metadata(base_url: str, space: str, certificates: list[str]) -> str:
    """What is deployed into accounts. Sign-on always starts here, so the SSO address is the login page."""
    return identity_provider_metadata(
        entity_id=issuer(base_url, space), sso_url=login_url(base_url, space), certificates=certificates
    )
