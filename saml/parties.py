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
    slo_url: str | None = None
    """Where it takes LogoutRequests; None: it offers no single logout."""
    slo_binding: str | None = None
    slo_response_url: str | None = None
    """Where it takes LogoutResponses, if that is not `slo_url`."""


@dataclass(frozen=True)
class KeyPair:
    """A private key and its certificate, both PEM."""

    private_key: str = field(repr=False)
    certificate: str


@dataclass(frozen=True)
class ServiceProvider:
    """Who asks. Of its `keys` the first signs; all are published, and what is encrypted for any of them is read.

    So a roll-over goes: the new pair is added last, identity providers fetch the metadata, the new pair becomes the
    first, the old one leaves.
    """

    entity_id: str
    acs_url: str
    keys: tuple[KeyPair, ...] = ()
    sign_requests: bool = False
    """Sign AuthnRequests. Logout messages are always signed."""
    slo_url: str | None = None
    """Where we take LogoutRequests and LogoutResponses, by HTTP-Redirect and by HTTP-POST."""

    def __post_init__(self) -> None:
        if self.sign_requests and not self.keys:
            raise ValueError("requests cannot be signed without a key pair")
