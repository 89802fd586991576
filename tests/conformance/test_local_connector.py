"""The embedded cloud, reached by its connector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.clouds import connector_for
from portal.core import audit, clock
from portal.core.access.models import DuplicationStrategy
from portal.core.actor import SYSTEM
from portal.core.cam import access_keys, roles, sessions, users
from portal.core.cam.models import CamAttachment, CamRole, CamSession, CamUser
from portal.core.database import Database
from portal.core.errors import Forbidden, Invalid, NotFound
from portal.core.organization.models import Account
from portal.core.secrets import new_token
from tests.conformance.connector import PROVIDER, ROLE, SPACE, ConnectorConformance, ensure_provider
from tests.support.make import Make

BASE_URL = "https://portal.example.test"


class TestLocalConnector(ConnectorConformance):
    @pytest.fixture(autouse=True)
    def _reach(self, database: Database, make: Make) -> None:
        self.database = database
        self.space = make.space()
        self.account = make.account(self.space)
        self.connector = connector_for(database, self.account, base_url=BASE_URL)

    @property
    def own_user(self) -> Callable[[str], None]:  # type: ignore[override]
        def add(name: str) -> None:
            with self.database.transaction() as session:
                users.create_cam_user(session, SYSTEM, account_uin=self.account.uin, name=name)

        return add

    @property
    def enter(self) -> Callable[[str, str | None], None]:  # type: ignore[override]
        def enter(person: str, role: str | None) -> None:
            with self.database.transaction() as session:
                by_role = roles.find_role(session, self.account.uin, role) if role else None
                principal = by_role or users.find_cam_user(session, self.account.uin, "amy")
                assert principal
                sessions.open_session(
                    session,
                    SYSTEM,
                    principal=principal,
                    session_name="amy",
                    provider_name=PROVIDER,
                    source_identity=person,
                    duration=timedelta(hours=1),
                    assertion_id=new_token(),
                    assertion_expires=clock.now() + timedelta(minutes=5),
                )

        return enter

    @property
    def inside(self) -> Callable[[str], list[str]]:  # type: ignore[override]
        def inside(person: str) -> list[str]:
            with self.database.transaction(write=False) as session:
                found = session.scalars(
                    select(CamSession).where(CamSession.source_identity == person, CamSession.ended_at.is_(None))
                )
                return sorted(sessions.principal_of(session, opened).name for opened in found)

        return inside

    @property
    def retrust(self) -> Callable[[str], None]:  # type: ignore[override]
        def retrust(role: str) -> None:
            with self.database.transaction() as session:
                found = roles.find_role(session, self.account.uin, role)
                assert found
                anybody = {"effect": "allow", "action": "name/sts:AssumeRole", "principal": {"qcs": ["*"]}}
                found.trust = {**found.trust, "statement": [*found.trust["statement"], anybody]}

        return retrust

    @property
    def replace_policy(self) -> Callable[[str, str], None]:  # type: ignore[override]
        def replace_policy(role: str, name: str) -> None:
            with self.database.transaction() as session:
                found = roles.find_role(session, self.account.uin, role)
                assert found
                mine = (CamAttachment.holder_id == found.id, CamAttachment.policy_name == name)
                session.execute(update(CamAttachment).where(*mine).values(policy_type="Custom"))

        return replace_policy

    def role(self) -> CamRole:
        with self.database.transaction(write=False) as session:
            found = roles.find_role(session, self.account.uin, ROLE.name)
            assert found
            return found

    def test_ic_9_the_role_trusts_this_provider_of_this_account_alone(self) -> None:
        ensure_provider(self.connector)
        self.connector.ensure_role(ROLE)
        uin, role = self.account.uin, self.role()
        assert role.type == "identity_center"
        assert role.trust["statement"] == [
            {
                "effect": "allow",
                "action": "name/sts:AssumeRoleWithSAML",
                "principal": {"federated": [f"qcs::cam::uin/{uin}:saml-provider/{PROVIDER}"]},
                "condition": {"string_equal": {"saml:aud": f"{BASE_URL}/accounts/{uin}"}},
            }
        ]
        audience = f"{BASE_URL}/accounts/{uin}"
        assert roles.admits_saml(role, provider_name=PROVIDER, audience=audience)
        assert not roles.admits_saml(role, provider_name="other", audience=audience)
        assert not roles.admits_saml(role, provider_name=PROVIDER, audience=f"{BASE_URL}/accounts/1")

    def test_ic_14_a_user_with_access_keys_is_not_deleted_and_can_be_released(self) -> None:
        for name in ("amy", "bob"):
            self.connector.ensure_user(
                name=name, remark="", duplication_strategy=DuplicationStrategy.KEEP_BOTH, managed_by=SPACE
            )
            with self.database.transaction() as session:
                access_keys.create_access_key(session, SYSTEM, cam_user=self.user(session, name))
            with pytest.raises(Invalid, match=f"The CAM user {name} has an access key and is not deleted."):
                self.connector.remove_user(name, managed_by=SPACE)
        self.connector.release_user("amy", managed_by=SPACE)
        with self.database.transaction() as session:
            amy, bob = self.user(session, "amy"), self.user(session, "bob")
            assert (amy.managed_by, len(access_keys.keys_of(session, amy))) == (None, 1)
            [key] = access_keys.keys_of(session, bob)
            with pytest.raises(NotFound):
                access_keys.delete_access_key(session, SYSTEM, cam_user=amy, key_id=key.id)
            access_keys.delete_access_key(session, SYSTEM, cam_user=bob, key_id=key.id)
        self.connector.remove_user("bob", managed_by=SPACE)
        with self.database.transaction() as session:
            assert users.find_cam_user(session, self.account.uin, "bob") is None

    def user(self, session: Session, name: str) -> CamUser:
        found = users.find_cam_user(session, self.account.uin, name)
        assert found
        return found

    def test_cam_4_a_role_of_the_account_is_not_overwritten(self) -> None:
        with self.database.transaction() as session:
            trust = roles.saml_trust(self.account.uin, "own", "https://own.example")
            session.add(CamRole(account_uin=self.account.uin, name=ROLE.name, trust=trust))
        for attempt in (
            lambda: self.connector.ensure_role(ROLE),
            lambda: self.connector.remove_role(ROLE.name, managed_by=SPACE),
        ):
            with pytest.raises(Forbidden, match="belongs to the account itself"):
                attempt()
        assert self.role().trust == trust

    def test_aud_1_changes_are_audited_in_the_organization_and_repetitions_are_not(self) -> None:
        for _ in range(2):
            ensure_provider(self.connector)
            self.connector.ensure_role(ROLE)
        self.connector.remove_role(ROLE.name, managed_by=SPACE)
        with self.database.transaction(write=False) as session:
            events = session.scalars(
                select(audit.AuditEvent)
                .where(audit.AuditEvent.account_uin == self.account.uin)
                .order_by(audit.AuditEvent.id)
            ).all()
        assert [event.action for event in events] == [
            "cam_identity_provider.create",
            "cam_role.create",
            "cam_role.delete",
        ]
        assert {event.organization_id for event in events} == {self.space.organization_id}

    @pytest.mark.parametrize("seconds", [0, -1, 43_201])
    def test_a_session_longer_than_the_rule_is_refused(self, seconds: int) -> None:
        with pytest.raises(Invalid):
            self.connector.ensure_role(replace(ROLE, session_duration=seconds))


def test_an_account_of_an_unknown_cloud_is_refused(database: Database) -> None:
    with pytest.raises(Invalid, match="elsewhere"):
        connector_for(database, Account(uin=1, name="x", cloud="elsewhere"), base_url=BASE_URL)
