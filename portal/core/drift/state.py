"""What stands in an account because of one space: how it shall be, and how it is found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProviderSpec:
    """A SAML identity provider. `certificates` are those of its metadata, as saml_keys.fingerprints writes them."""

    name: str
    entity_id: str
    certificates: str


@dataclass(frozen=True)
class RoleSpec:
    """A CAM role as it shall be: exactly these policies (by name), trusted to this identity provider alone.

    `session_duration` is in seconds; `managed_by` is the id of the space. `other_trust` is the trust document of a role
    that was found with any other trust than that, and "" in every role that shall be.
    """

    name: str
    description: str
    provider_name: str
    session_duration: int
    policies: tuple[str, ...]
    managed_by: str
    other_trust: str = ""


@dataclass(frozen=True)
class AccountState:
    """What one space manages in an account: identity providers, roles, names of users."""

    providers: tuple[ProviderSpec, ...]
    roles: tuple[RoleSpec, ...]
    users: tuple[str, ...]

    @property
    def identity_providers(self) -> dict[str, str]:
        """Name: entity id."""
        return {provider.name: provider.entity_id for provider in self.providers}
