"""Putting an account right: what should stand there is ensured, what nothing wants is taken out.

Looks before, between and after, so that what is recorded is what really stands there in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import update
from sqlalchemy.orm import Session

from portal import addresses
from portal.clouds import Connector
from portal.core.access.models import DuplicationStrategy, SyncedUser, Task, TaskType
from portal.core.actor import SYSTEM
from portal.core.drift import checks
from portal.core.drift.comparing import Desired, Found, WantedUser, compare, named
from portal.core.drift.desired import desired
from portal.core.drift.models import DifferenceKind
from portal.core.errors import Error, Unavailable
from portal.core.space.models import Space
from portal.worker.kinds import (
    Keep,
    Kind,
    Provider,
    Work,
    check_member,
    expect_provider,
    forget_provider,
    provider_of,
    reasons,
    record,
)
from portal.worker.users import give_up_nothing

_PROVIDER = {DifferenceKind.PROVIDER_MISSING, DifferenceKind.PROVIDER_CHANGED}
_ROLE = {
    DifferenceKind.ROLE_MISSING,
    DifferenceKind.ROLE_CHANGED,
    DifferenceKind.POLICY_DETACHED,
    DifferenceKind.POLICY_STRAY,
}


@dataclass
class Repair:
    """`provider` is given where one is wanted. What `perform` saw and did is filled in for `record`.

    A user of the account's own that has taken the name of a CAM user meanwhile is left alone (Save Both).
    """

    desired: Desired
    provider: Provider | None
    space_id: str
    before: list[Found] = field(default_factory=list)
    left: list[Found] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cam_names: dict[str, str] = field(default_factory=dict)
    trusted: bool = False
    calls = True

    def perform(self, connector: Connector, keep: Keep) -> None:
        keep()
        self.before = self.left = compare(self.desired, connector.describe(managed_by=self.space_id))
        for mend in (self._ensure, self._take_out):
            if self.left:
                mend(connector, keep)
                keep()
                self.left = compare(self._reached(), connector.describe(managed_by=self.space_id))

    def record(self, session: Session, task: Task) -> str:
        space = session.get_one(Space, task.space_id)
        if self.trusted and self.provider:
            self.provider.record(session, task)
        if self._without_provider(space):
            forget_provider(session, task)
        for user_id, cam_name in self.cam_names.items():
            mine = (SyncedUser.user_id == user_id, SyncedUser.account_uin == task.account_uin)
            session.execute(update(SyncedUser).where(*mine).values(cam_user_name=cam_name))
        row = checks.held_row(session, task.space_id, task.account_uin)
        if row is not None:
            checks.keep(session, replace(SYSTEM, organization_id=space.organization_id), space, row, self.left)
        details = {"total": len(self.before), "differences": named(self.before), "left": named(self.left)}
        target = ("account", task.account_uin, task.account_name)
        record(session, task, "account.repaired", target=target, details=details)
        return reasons(self.failed or [f"{one.name} is still not as it should be." for one in self.left])

    def _ensure(self, connector: Connector, keep: Keep) -> None:
        if self.provider and any(one.kind in _PROVIDER for one in self.left):
            self.trusted = self._attempt(keep, self.provider.name, self.provider.ensure, connector)
        names = {one.name for one in self.left if one.kind in _ROLE}
        for role in self.desired.roles:
            if role.name in names:
                self._attempt(keep, role.name, connector.ensure_role, role)
        missing = {one.name for one in self.left if one.kind == DifferenceKind.USER_MISSING}
        for user in self.desired.users:
            if user.cam_name in missing:
                self._attempt(keep, user.cam_name, self._ensure_user, connector, user)

    def _take_out(self, connector: Connector, keep: Keep) -> None:
        calls: dict[DifferenceKind, Callable[..., None]] = {
            DifferenceKind.ROLE_STRAY: connector.remove_role,
            DifferenceKind.USER_STRAY: connector.remove_user,
            DifferenceKind.PROVIDER_STRAY: connector.remove_identity_provider,
        }
        for kind, remove in calls.items():
            for one in self.left:
                if one.kind == kind:
                    self._attempt(keep, one.name, partial(remove, one.name, managed_by=self.space_id))

    def _ensure_user(self, connector: Connector, user: WantedUser) -> None:
        self.cam_names[user.user_id] = connector.ensure_user(
            name=user.user_name,
            remark=user.remark,
            duplication_strategy=DuplicationStrategy.KEEP_BOTH,
            managed_by=self.space_id,
        )

    def _attempt(self, keep: Keep, name: str, call: Callable[..., None], *given: object) -> bool:
        """What is refused for one thing does not hold up the others."""
        keep()
        try:
            call(*given)
            return True
        except Unavailable:
            raise
        except Error as error:
            self.failed.append(f"{name}: {error.message}")
            return False

    def _reached(self) -> Desired:
        """What should be there now: with the certificates that are published, and the names that users got."""
        users = tuple(
            replace(user, cam_name=self.cam_names.get(user.user_id, user.cam_name)) for user in self.desired.users
        )
        provider = self.desired.provider
        if provider and self.provider and self.trusted:
            provider = replace(provider, certificates=self.provider.certificates)
        return replace(self.desired, users=users, provider=provider)

    def _without_provider(self, space: Space) -> bool:
        """Nothing needs it nor brings it, and it is not there."""
        name = space.provider_name
        wanted = self.desired.provider is not None or name in self.desired.open_providers
        return not wanted and all(one.kind != DifferenceKind.PROVIDER_STRAY or one.name != name for one in self.left)


def plan_repair(session: Session, task: Task, *, base_url: str) -> Work:
    check_member(session, task)
    space = session.get_one(Space, task.space_id)
    wanted = desired(session, space, task.account_uin, entity_id=addresses.issuer(base_url, space.name))
    if wanted.provider is None:
        return Repair(wanted, None, space.id)
    expect_provider(session, task)
    return Repair(wanted, provider_of(session, space, base_url=base_url), space.id)


KINDS = {TaskType.REPAIR: Kind(plan_repair, give_up_nothing)}
