"""The two sides of a sign-in, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class IdentityProvider:
    """Who may assert identities, and the certificates (PEM) whose signatures count."""

    entity_id: str
    sso_url: str
    sso_binding: str
    """HTTP-Redirect or HTTP-POST: how it takes the AuthnRequest."""
    certificates: tuple[str, ...]


@dataclass(frozen=True)
class ServiceProvider:
    """Who asks. With a key pair (PEM) requests are signed; encrypted assertions are not taken."""

    entity_id: str
    acs_url: str
    private_key: str | None = field(default=None, repr=False)
    certificate: str | None = None
