"""Accounts that are open to somebody at once: desired and deployed rows as a finished task leaves them, and the
real thing in the account, by its connector."""

from __future__ import annotations

from dataclasses import dataclass

from portal import addresses
from portal.clouds import connector_for
from portal.clouds.connector import RoleSpec
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    ConfigurationPolicy,
    DeletionStrategy,
    Deployment,
    DeploymentStatus,
    DuplicationStrategy,
    SyncedUser,
    SyncStatus,
    UserSync,
)
from portal.core.directory.models import Group, User
from portal.core.federation import saml_keys
from portal.core.organization.models import Account
from portal.core.space.models import Space
from portal.core.text import fold
from tests.support.make import Make
from tests.support.sso import BASE_URL


@dataclass
class Access:
    make: Make
    space: Space

    def configuration(self, name: str, *policies: str, relay_state: str = "", description: str = "") -> Configuration:
        with self.make.transaction() as session:
            configuration = Configuration(
                space_id=self.space.id,
                name=name,
                name_key=fold(name),
                description=description,
                relay_state=relay_state,
            )
            session.add(configuration)
            session.flush()
            session.add_all(
                ConfigurationPolicy(configuration_id=configuration.id, policy_name=policy) for policy in policies
            )
        return configuration

    def open_role(self, principal: User | Group, account: Account, configuration: Configuration) -> None:
        """The user or group may enter the account with the configuration's role."""
        with self.make.transaction() as session:
            deployment = Deployment(
                space_id=self.space.id,
                account_uin=account.uin,
                configuration_id=configuration.id,
                status=DeploymentStatus.DEPLOYED,
                deployed_revision=configuration.revision,
                role_name=configuration.role_name,
                provider_name=self.space.provider_name,
            )
            authorization = Authorization(
                space_id=self.space.id,
                user_id=principal.id if isinstance(principal, User) else None,
                group_id=principal.id if isinstance(principal, Group) else None,
                account_uin=account.uin,
                configuration_id=configuration.id,
                status=AuthorizationStatus.ACTIVE,
            )
            session.add_all([deployment, authorization])
        self._trust_us(account)
        connector_for(self.make.database, account, base_url=BASE_URL).ensure_role(
            RoleSpec(
                name=configuration.role_name,
                description=configuration.description,
                provider_name=self.space.provider_name,
                session_duration=configuration.session_duration,
                policies=("ReadOnlyAccess",),
                managed_by=self.space.id,
            )
        )

    def open_user(self, user: User, account: Account) -> str:
        """A CAM user stands for the user in the account; returns its name."""
        self._trust_us(account)
        name = connector_for(self.make.database, account, base_url=BASE_URL).ensure_user(
            name=user.user_name,
            remark="",
            duplication_strategy=DuplicationStrategy.KEEP_BOTH,
            managed_by=self.space.id,
        )
        with self.make.transaction() as session:
            sync = UserSync(
                space_id=self.space.id,
                user_id=user.id,
                account_uin=account.uin,
                duplication_strategy=DuplicationStrategy.KEEP_BOTH,
                deletion_strategy=DeletionStrategy.DELETE,
                status=SyncStatus.ENABLED,
            )
            synced = SyncedUser(user_id=user.id, account_uin=account.uin, space_id=self.space.id, cam_user_name=name)
            session.add_all([sync, synced])
        return name

    def _trust_us(self, account: Account) -> None:
        with self.make.transaction() as session:
            certificates = saml_keys.certificates(session, self.space)
        connector_for(self.make.database, account, base_url=BASE_URL).ensure_identity_provider(
            name=self.space.provider_name,
            entity_id=addresses.issuer(BASE_URL, self.space.name),
            metadata_xml=addresses.issuer_metadata(BASE_URL, self.space.name, certificates),
            description="",
            managed_by=self.space.id,
        )
