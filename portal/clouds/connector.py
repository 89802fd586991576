"""What every cloud must be able to do for the Identity Center inside one account."""

from __future__ import annotations

from typing import Protocol

from portal.core.access.models import DuplicationStrategy
from portal.core.drift.state import AccountState, ProviderSpec, RoleSpec

__all__ = ["AccountState", "Connector", "ProviderSpec", "RoleSpec"]


class Connector(Protocol):
    """One account. `managed_by` is always the id of the space that asks.

    Raises Unavailable when trying again may help; Invalid and Forbidden when it will not. Forbidden also stands
    for an object of that name which is the account's own or another space's: those are never touched.
    """

    def ensure_identity_provider(
        self, *, name: str, entity_id: str, metadata_xml: str, description: str, managed_by: str
    ) -> None:
        """The account trusts this SAML identity provider; its metadata is replaced where it differs."""

    def remove_identity_provider(self, name: str, *, managed_by: str) -> None:
        """Harmless when absent."""

    def ensure_role(self, role: RoleSpec) -> None:
        """The role is exactly as said, nothing left over. Raises Invalid for a policy that is not there."""

    def remove_role(self, name: str, *, managed_by: str) -> None:
        """Takes its policies away first and ends its sessions. Harmless when absent."""

    def ensure_user(self, *, name: str, remark: str, duplication_strategy: DuplicationStrategy, managed_by: str) -> str:
        """A CAM user without permissions stands for the space's user `name`; returns the name it has there.

        Where the account has a user of that name, TakeOver makes that one the synchronized user and KeepBoth
        adds `_cic` to ours. Asked again for the same `name`, the answer stays the same.
        """

    def remove_user(self, name: str, *, managed_by: str) -> None:
        """By the name in the account. Harmless when absent; raises Invalid while the user has access keys."""

    def release_user(self, name: str, *, managed_by: str) -> None:
        """The CAM user stays as one of the account's own, no longer managed. Harmless when absent."""

    def end_sessions(self, *, source_identity: str, role_name: str | None, managed_by: str) -> None:
        """Ends what one person (the SourceIdentity of the sign-on) has open: of this role, or of all and the CAM user.

        Harmless when there is nothing, or no such role.
        """

    def describe(self, *, managed_by: str) -> AccountState:
        """What is really there, whoever changed it: trust, policies and certificates as they stand.

        A policy that only has the name of one of ours is named otherwise.
        """
