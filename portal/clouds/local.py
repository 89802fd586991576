"""The connector of the embedded cloud: CAM in our own database, reached by the verbs of portal.core.cam."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from portal.clouds.connector import AccountState, ProviderSpec, RoleSpec
from portal.core.access.models import DuplicationStrategy
from portal.core.actor import SYSTEM, Actor
from portal.core.cam import presets, providers, queries, roles, sessions, users
from portal.core.cam.models import CamAttachment, CamRole, CamUser, HolderType
from portal.core.cam.policies import check_manager
from portal.core.database import Database
from portal.core.errors import Invalid
from portal.core.federation import saml_keys
from saml.errors import MetadataError
from saml.metadata import parse_identity_provider


class LocalConnector:
    """`base_url` is the portal's own: the account's SAML entity id begins with it."""

    def __init__(self, database: Database, account_uin: int, base_url: str) -> None:
        self.database = database
        self.account_uin = account_uin
        self.base_url = base_url

    def ensure_identity_provider(
        self, *, name: str, entity_id: str, metadata_xml: str, description: str, managed_by: str
    ) -> None:
        try:
            described = parse_identity_provider(metadata_xml)
        except MetadataError as error:
            raise Invalid(error.message, field="metadata_xml") from error
        if described.entity_id != entity_id:
            raise Invalid(f"The metadata describes {described.entity_id}, not {entity_id}.", field="entity_id")
        with self._transaction() as (session, actor):
            providers.ensure_provider(
                session,
                actor,
                account_uin=self.account_uin,
                name=name,
                entity_id=entity_id,
                metadata_xml=metadata_xml,
                description=description,
                manager=managed_by,
            )

    def remove_identity_provider(self, name: str, *, managed_by: str) -> None:
        with self._transaction() as (session, actor):
            provider = providers.find_provider(session, self.account_uin, name)
            if provider:
                providers.delete_provider(session, actor, provider=provider, manager=managed_by)

    def ensure_role(self, role: RoleSpec) -> None:
        with self._transaction() as (session, actor):
            roles.ensure_role(
                session,
                actor,
                account_uin=self.account_uin,
                name=role.name,
                description=role.description,
                role_type=roles.IDENTITY_CENTER,
                trust=roles.saml_trust(self.account_uin, role.provider_name, self._entity_id),
                session_duration=role.session_duration,
                policies=role.policies,
                manager=role.managed_by,
            )

    def remove_role(self, name: str, *, managed_by: str) -> None:
        with self._transaction() as (session, actor):
            role = roles.find_role(session, self.account_uin, name)
            if role:
                roles.delete_role(session, actor, role=role, manager=managed_by)

    def ensure_user(self, *, name: str, remark: str, duplication_strategy: DuplicationStrategy, managed_by: str) -> str:
        with self._transaction() as (session, actor):
            user = users.synchronize_cam_user(
                session,
                actor,
                account_uin=self.account_uin,
                name=name,
                remark=remark,
                keep_both=duplication_strategy == DuplicationStrategy.KEEP_BOTH,
                manager=managed_by,
            )
            return user.name

    def remove_user(self, name: str, *, managed_by: str) -> None:
        with self._transaction() as (session, actor):
            user = users.find_cam_user(session, self.account_uin, name)
            if user:
                users.delete_cam_user(session, actor, cam_user=user, manager=managed_by)

    def release_user(self, name: str, *, managed_by: str) -> None:
        with self._transaction() as (session, actor):
            user = users.find_cam_user(session, self.account_uin, name)
            if user and user.managed_by == managed_by:
                users.release_cam_user(session, actor, cam_user=user, manager=managed_by)

    def end_sessions(self, *, source_identity: str, role_name: str | None, managed_by: str) -> None:
        with self._transaction() as (session, actor):
            role = roles.find_role(session, self.account_uin, role_name) if role_name is not None else None
            if role_name is not None and role is None:
                return
            if role is not None:
                check_manager(f"The role {role.name}", role.managed_by, managed_by)
            sessions.end_sessions_of(
                session,
                actor,
                account_uin=self.account_uin,
                source_identity=source_identity,
                role=role,
                manager=managed_by,
            )

    def describe(self, *, managed_by: str) -> AccountState:
        with self.database.transaction(write=False) as session:
            return AccountState(
                providers=self._providers(session, managed_by),
                roles=self._roles(session, managed_by),
                users=tuple(
                    session.scalars(
                        select(CamUser.name)
                        .where(CamUser.account_uin == self.account_uin, CamUser.managed_by == managed_by)
                        .order_by(CamUser.name_key)
                    )
                ),
            )

    def _providers(self, session: Session, managed_by: str) -> tuple[ProviderSpec, ...]:
        found = providers.providers_of(session, self.account_uin)
        return tuple(
            ProviderSpec(provider.name, provider.entity_id, _certificates(provider.metadata_xml))
            for provider in found
            if provider.managed_by == managed_by
        )

    def _roles(self, session: Session, managed_by: str) -> tuple[RoleSpec, ...]:
        ours = and_(
            CamRole.account_uin == self.account_uin,
            CamRole.managed_by == managed_by,
            CamRole.type == roles.IDENTITY_CENTER,
        )
        policies: dict[int, list[str]] = {}
        held = and_(CamAttachment.holder_type == HolderType.ROLE, CamAttachment.holder_id == CamRole.id)
        rows = select(CamRole.id, CamAttachment.policy_name, CamAttachment.policy_type).join(CamAttachment, held)
        for role_id, name, policy_type in session.execute(rows.where(ours).order_by(CamAttachment.policy_name)):
            policies.setdefault(role_id, []).append(_policy(name, policy_type))
        return tuple(
            RoleSpec(
                name=role.name,
                description=role.description,
                provider_name=roles.trusted_provider(role),
                session_duration=role.session_duration,
                policies=tuple(policies.get(role.id, ())),
                managed_by=managed_by,
                other_trust=self._other_trust(role),
            )
            for role in session.scalars(select(CamRole).where(ours).order_by(CamRole.name))
        )

    def _other_trust(self, role: CamRole) -> str:
        usual = roles.saml_trust(self.account_uin, roles.trusted_provider(role), self._entity_id)
        return "" if role.trust == usual else json.dumps(role.trust, sort_keys=True)

    @property
    def _entity_id(self) -> str:
        return f"{self.base_url}/accounts/{self.account_uin}"

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Session, Actor]]:
        with self.database.transaction() as session:
            yield session, replace(SYSTEM, organization_id=queries.organization_of(session, self.account_uin))


def _certificates(metadata_xml: str) -> str:
    try:
        return saml_keys.fingerprints(parse_identity_provider(metadata_xml).certificates)
    except MetadataError:
        return "(the metadata cannot be read)"


def _policy(name: str, policy_type: str) -> str:
    """A custom policy of the account may have the name of a preset one, and allow anything."""
    return f"{name} (custom policy of the account)" if policy_type == "Custom" and presets.find(name) else name
