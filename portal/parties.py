"""The two sides of a sign-in as the `saml` package wants them, made of what a space keeps."""

from __future__ import annotations

from sqlalchemy.orm import Session

from portal import addresses
from portal.core.federation import saml_keys, saml_settings
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.models import KeyUse
from portal.core.space.models import Space
from portal.settings import Settings
from saml.parties import IdentityProvider, KeyPair, ServiceProvider


def our_side(session: Session, space: Space, settings: Settings) -> ServiceProvider:
    """The space as service provider, with its keys. Without a key it signs no request and offers no single logout."""
    keys = saml_keys.open_keys(session, space, secret_key=settings.secret_key, use=KeyUse.SERVICE_PROVIDER)
    return addresses.service_provider(
        settings.base_url,
        space.name,
        keys=tuple(KeyPair(key.private_key, key.certificate) for key in keys),
        sign_requests=bool(keys) and saml_settings.of(session, space).sign_requests,
    )


def their_side(idp: TrustedIdentityProvider) -> IdentityProvider:
    return IdentityProvider(
        entity_id=idp.entity_id,
        sso_url=idp.sso_url,
        sso_binding=idp.sso_binding,
        certificates=tuple(certificate.pem for certificate in idp.certificates),
        slo_url=idp.slo_url,
        slo_binding=idp.slo_binding,
        slo_response_url=idp.slo_response_url,
    )
