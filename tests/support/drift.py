"""An organization with two accounts in which something is deployed, and hands that change it behind our back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from portal.clouds.local import LocalConnector
from portal.core import clock
from portal.core.access.models import Task, TaskType
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam.models import CamAttachment, CamIdentityProvider, CamRole, CamUser
from portal.core.drift import repairs
from portal.core.drift.models import AccountCheck, Difference
from portal.core.organization.models import Account
from portal.core.space.models import Space
from portal.settings import Settings
from portal.worker.checking import Checking
from tests.support.make import Make
from tests.support.provisioning import Provisioning

LATER = timedelta(hours=25)


class Drift(Provisioning):
    """`shop` has the role of `reader` and the CAM user alice, `bank` the role alone."""

    def __init__(self, make: Make, settings: Settings, name: str = "acme") -> None:
        super().__init__(make, settings, name)
        self.shop, self.bank = self.account("shop"), self.account("bank")
        self.alice = self.user("alice")
        self.reader = self.configuration("reader", ["ReadOnlyAccess", "QcloudCOSReadOnlyAccess"])
        self.grant([self.shop, self.bank], [self.alice], [self.reader])
        self.synchronize([self.shop], [self.alice])
        self.work()

    def look(self) -> int:
        """Everybody who has a turn by now; returns how many."""
        checking = Checking(self.database, self.settings)
        checking.enroll_if_due()
        first = AccountCheck.checked_at.is_(None), AccountCheck.due_at.is_not(None)
        self._run(update(AccountCheck).where(*first).values(due_at=clock.now()))
        return checking.run()

    def look_later(self) -> int:
        with clock.shifted(LATER):
            return Checking(self.database, self.settings).run()

    def verb(self, verb: Any, *accounts: Account, **more: Any) -> Any:
        given = {"accounts": [account.uin for account in accounts]} if accounts else {}
        with self.make.transaction() as session:
            space = session.get_one(Space, self.space.id)
            return verb(session, SYSTEM, space=space, **given, **more)

    def repair(self, *accounts: Account) -> list[str]:
        """The results of the tasks."""
        return self.done(self.verb(repairs.repair, *accounts))

    def differences(self, account: Account) -> list[tuple[str, str]]:
        mine = select(Difference).where(Difference.account_uin == account.uin)
        return sorted((str(one.kind), one.name) for one in self.rows(mine))

    def check_of(self, account: Account) -> AccountCheck:
        [found] = self.rows(select(AccountCheck).where(AccountCheck.account_uin == account.uin))
        return found  # type: ignore[no-any-return]

    def repairs(self) -> list[Task]:
        return self.rows(select(Task).where(Task.type == TaskType.REPAIR).order_by(Task.created_at))

    def events(self, *actions: str) -> list[AuditEvent]:
        return self.rows(select(AuditEvent).where(AuditEvent.action.in_(actions)).order_by(AuditEvent.id))

    # hands in the account

    def change_role(self, account: Account, **values: Any) -> None:
        self._run(update(CamRole).where(CamRole.account_uin == account.uin).values(**values))

    def drop_role(self, account: Account) -> None:
        self._run(delete(CamRole).where(CamRole.account_uin == account.uin))

    def stray_role(self, account: Account, name: str = "TencentCloudSSO-stray") -> None:
        with self.make.transaction() as session:
            role = session.scalars(select(CamRole).where(CamRole.account_uin == account.uin)).one()
            stray = {"account_uin": account.uin, "type": role.type, "trust": role.trust, "managed_by": self.space.id}
            session.add(CamRole(name=name, **stray))

    def detach(self, account: Account, policy: str) -> None:
        mine = (CamAttachment.account_uin == account.uin, CamAttachment.policy_name == policy)
        self._run(delete(CamAttachment).where(*mine))

    def attach(self, account: Account, policy: str) -> None:
        with self.make.transaction() as session:
            role = session.scalars(select(CamRole).where(CamRole.account_uin == account.uin)).one()
            held = {"holder_type": "role", "holder_id": role.id, "policy_type": "System", "policy_name": policy}
            session.add(CamAttachment(account_uin=account.uin, **held))

    def drop_provider(self, account: Account) -> None:
        self._run(delete(CamIdentityProvider).where(CamIdentityProvider.account_uin == account.uin))

    def change_provider(self, account: Account, **values: Any) -> None:
        self._run(update(CamIdentityProvider).where(CamIdentityProvider.account_uin == account.uin).values(**values))

    def drop_user(self, account: Account) -> None:
        self._run(delete(CamUser).where(CamUser.account_uin == account.uin))

    def stray_user(self, account: Account, name: str) -> None:
        managed = {"type": "CICUser", "managed_by": self.space.id, "managed_for": name}
        with self.make.transaction() as session:
            session.add(CamUser(account_uin=account.uin, name=name, name_key=name, **managed))

    def change_user(self, account: Account, **values: Any) -> None:
        self._run(update(CamUser).where(CamUser.account_uin == account.uin).values(**values))

    def _run(self, statement: Any) -> None:
        with self.make.transaction() as session:
            session.execute(statement)


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, account: Account, call: str, problem: Exception) -> Iterator[None]:
    """The cloud of this account refuses this call meanwhile."""
    original = getattr(LocalConnector, call)

    def refuse(self: LocalConnector, *given: Any, **named: Any) -> Any:
        if self.account_uin == account.uin:
            raise problem
        return original(self, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(LocalConnector, call, refuse)
        yield
