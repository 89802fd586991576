"""User synchronizations (IC-14): CAM users for the users of the space.

What is to be done is worked out from what is wanted when the task runs, not from what was asked for: a user who
joined and left again, or whom another synchronization still wants, comes out right in whatever order tasks run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, and_, delete, exists, or_, select
from sqlalchemy.orm import Session

from portal.clouds import Connector
from portal.core.access.models import (
    BatchUser,
    DeletionStrategy,
    DuplicationStrategy,
    SyncedUser,
    SyncStatus,
    Task,
    TaskStatus,
    TaskType,
    UserSync,
)
from portal.core.access.picking import chunks
from portal.core.access.sessions import held_by
from portal.core.access.syncs import user_remark
from portal.core.access.tasks import ran_before
from portal.core.access.undoing import set_sync_status
from portal.core.directory.models import Membership, User
from portal.core.errors import Conflict, Error, Unavailable
from portal.core.space.models import Space
from portal.core.text import fold
from portal.worker.kinds import (
    Keep,
    Kind,
    Provider,
    Work,
    check_member,
    expect_provider,
    forget_provider,
    is_last,
    provider_of,
    reasons,
    record,
)


@dataclass(frozen=True)
class Wanted:
    user_id: str
    user_name: str
    remark: str


@dataclass(frozen=True)
class Leftovers:
    """CAM users that a run made which broke off before it could say so, and whom nobody wants (under that name) now.

    `known` are the names (folded) that are accounted for or that a synchronization still waits for; None where no run
    is known to have broken off. The others go as `deletion_strategy` says, like those that are accounted for.
    """

    known: frozenset[str] | None
    deletion_strategy: DeletionStrategy
    space_id: str

    def clear(self, connector: Connector, keep: Keep, made: Iterable[str] = ()) -> list[str]:
        """Why one of them could not be taken out."""
        failed: list[str] = []
        if self.known is None:
            return failed
        keep()
        known = self.known | {fold(name) for name in made}
        for name in sorted(connector.describe(managed_by=self.space_id).users):
            if fold(name) in known:
                continue
            keep()
            try:
                self.take_out(connector, name)
            except Unavailable:
                raise
            except Error as error:
                failed.append(f"{name}: {error.message}")
        return failed

    def take_out(self, connector: Connector, name: str) -> None:
        if self.deletion_strategy == DeletionStrategy.DELETE:
            connector.remove_user(name, managed_by=self.space_id)
        else:
            connector.release_user(name, managed_by=self.space_id)


@dataclass
class Add:
    """`made` and `failed` are filled in by `perform`: one user's refusal does not hold up the others."""

    provider: Provider
    users: Sequence[Wanted]
    duplication_strategy: DuplicationStrategy
    sync_id: str | None
    leftovers: Leftovers
    made: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def calls(self) -> bool:
        return bool(self.users) or self.leftovers.known is not None

    def perform(self, connector: Connector, keep: Keep) -> None:
        keep()
        if self.users:
            self.provider.ensure(connector)
        for user in self.users:
            keep()
            try:
                self.made[user.user_id] = connector.ensure_user(
                    name=user.user_name,
                    remark=user.remark,
                    duplication_strategy=self.duplication_strategy,
                    managed_by=self.provider.space_id,
                )
            except Unavailable:
                raise
            except Error as error:
                self.failed.append(f"{user.user_name}: {error.message}")
        self.failed += self.leftovers.clear(connector, keep, self.made.values())

    def record(self, session: Session, task: Task) -> str:
        if self.users:
            self.provider.record(session, task)
        names = {user.user_id: user.user_name for user in self.users}
        for user_id, cam_user_name in self.made.items():
            session.merge(
                SyncedUser(
                    user_id=user_id,
                    account_uin=task.account_uin,
                    space_id=task.space_id,
                    cam_user_name=cam_user_name,
                )
            )
            details = {"cam_user": cam_user_name, "user_sync": self.sync_id}
            record(session, task, "user_sync.synchronized", target=("user", user_id, names[user_id]), details=details)
        session.flush()
        if task.type == TaskType.SYNC_START and self.sync_id:
            set_sync_status(session, self.sync_id, SyncStatus.FAILED if self.failed else SyncStatus.ENABLED)
        return reasons(self.failed)


@dataclass
class Remove:
    """`ends_sync` is the synchronization that goes when all its users are gone."""

    users: Sequence[tuple[str, str]]
    leftovers: Leftovers
    provider_name: str | None
    ends_sync: str | None = None
    gone: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def calls(self) -> bool:
        return bool(self.users or self.provider_name) or self.leftovers.known is not None

    def perform(self, connector: Connector, keep: Keep) -> None:
        for user_id, cam_user_name in self.users:
            keep()
            try:
                self.leftovers.take_out(connector, cam_user_name)
                self.gone.append(user_id)
            except Unavailable:
                raise
            except Error as error:
                self.failed.append(f"{cam_user_name}: {error.message}")
        self.failed += self.leftovers.clear(connector, keep)
        if self.provider_name and not self.failed:
            keep()
            connector.remove_identity_provider(self.provider_name, managed_by=self.leftovers.space_id)

    def record(self, session: Session, task: Task) -> str:
        names = dict(self.users)
        for chunk in chunks(self.gone):
            session.execute(
                delete(SyncedUser).where(SyncedUser.account_uin == task.account_uin, SyncedUser.user_id.in_(chunk))
            )
        for user_id in self.gone:
            deletion = self.leftovers.deletion_strategy
            details = {"cam_user": names[user_id], "deletion": deletion, "user_sync": task.sync_id}
            record(session, task, "user_sync.removed", target=("user", user_id, names[user_id]), details=details)
        if self.provider_name and not self.failed:
            forget_provider(session, task)
        if self.ends_sync and not self.failed:
            session.execute(delete(UserSync).where(UserSync.id == self.ends_sync))
        return reasons(self.failed)


def plan_start(session: Session, task: Task, *, base_url: str) -> Work:
    """All users of the synchronization who do not stand in the account yet."""
    sync = session.get(UserSync, task.sync_id) if task.sync_id else None
    if sync is None or sync.status == SyncStatus.DELETING:
        raise Conflict("The user synchronization was removed before it ran.")
    return _add(session, task, sync, _people(sync), base_url=base_url)


def plan_user_added(session: Session, task: Task, *, base_url: str) -> Work:
    """Those of the batch's users whom the synchronization covers now and who do not stand in the account yet."""
    sync = session.get(UserSync, task.sync_id) if task.sync_id else None
    wanted = sync is not None and sync.status != SyncStatus.DELETING
    people = _people(sync) if sync is not None and wanted else []
    return _add(session, task, sync, [*people, User.id.in_(_named(task))] if people else [], base_url=base_url)


def plan_delete(session: Session, task: Task, *, base_url: str) -> Work:
    """The users of the synchronization whom no other one wants in the account."""
    sync = session.get(UserSync, task.sync_id) if task.sync_id else None
    if sync is None:
        return Remove([], Leftovers(None, DeletionStrategy.KEEP, task.space_id), None)
    ids = select(User.id).where(*_people(sync))
    return _remove(session, task, SyncedUser.user_id.in_(ids), sync.deletion_strategy, ends_sync=sync.id)


def plan_user_removed(session: Session, task: Task, *, base_url: str) -> Work:
    """Those of the batch's users whom no synchronization wants in the account any more."""
    strategy = task.deletion_strategy or DeletionStrategy.KEEP
    return _remove(session, task, SyncedUser.user_id.in_(_named(task)), strategy)


def give_up_start(session: Session, task: Task, *, touched: bool) -> None:
    if task.sync_id:
        set_sync_status(session, task.sync_id, SyncStatus.FAILED)


def give_up_nothing(session: Session, task: Task, *, touched: bool) -> None:
    """What could not be done stays as it is, for the task to be run again."""


def _add(session: Session, task: Task, sync: UserSync | None, people: list[Any], *, base_url: str) -> Work:
    space = session.get_one(Space, task.space_id)
    users: list[Wanted] = []
    if people:
        check_member(session, task)
        stands = exists().where(SyncedUser.user_id == User.id, SyncedUser.account_uin == task.account_uin)
        users = [
            Wanted(user_id, name, user_remark(display or name))
            for user_id, name, display in session.execute(
                select(User.id, User.user_name, User.display_name)
                .where(User.space_id == task.space_id, ~stands, *people)
                .order_by(User.number)
            )
        ]
    if users:
        expect_provider(session, task)
    strategy = DuplicationStrategy(sync.duplication_strategy) if sync else DuplicationStrategy.KEEP_BOTH
    leftovers = _leftovers(session, task, sync.deletion_strategy if sync else DeletionStrategy.KEEP)
    provider = provider_of(session, space, base_url=base_url)
    return Add(provider, users, strategy, sync.id if sync else None, leftovers)


def _remove(session: Session, task: Task, which: Any, strategy: str, *, ends_sync: str | None = None) -> Work:
    wanted = exists().where(
        UserSync.account_uin == SyncedUser.account_uin,
        UserSync.status != SyncStatus.DELETING,
        or_(
            UserSync.user_id == SyncedUser.user_id,
            UserSync.group_id.in_(
                select(Membership.group_id).where(Membership.user_id == SyncedUser.user_id).correlate(SyncedUser)
            ),
        ),
    )
    users = [
        (user_id, name)
        for user_id, name in session.execute(
            select(SyncedUser.user_id, SyncedUser.cam_user_name)
            .where(SyncedUser.account_uin == task.account_uin, SyncedUser.space_id == task.space_id, which, ~wanted)
            .order_by(SyncedUser.cam_user_name)
        )
    ]
    last = is_last(session, task, users=frozenset(user_id for user_id, _ in users))
    space = session.get_one(Space, task.space_id)
    return Remove(users, _leftovers(session, task, strategy), space.provider_name if last else None, ends_sync)


def _leftovers(session: Session, task: Task, strategy: str) -> Leftovers:
    """Looked for only where a run broke off: this one's before, or one of a task of this account that failed, or was
    canceled after that."""
    here = (Task.account_uin == task.account_uin, Task.space_id == task.space_id, Task.type.in_(KINDS))
    failed = and_(Task.status == TaskStatus.FAILED, Task.attempts > 0)
    canceled = and_(Task.status == TaskStatus.CANCELED, Task.not_before > Task.created_at)
    broke_off = select(Task.id).where(*here, or_(failed, canceled)).limit(1)
    known = None
    if ran_before(task) or session.scalar(broke_off) is not None:
        mine = (SyncedUser.account_uin == task.account_uin, SyncedUser.space_id == task.space_id)
        standing = session.scalars(select(SyncedUser.cam_user_name).where(*mine)).all()
        known = frozenset(fold(name) for name in [*standing, *_awaited(session, task)])
    return Leftovers(known, DeletionStrategy(strategy), task.space_id)


def _awaited(session: Session, task: Task) -> list[str]:
    """Names in the account of users whom a synchronization brings once it runs (again).

    Taken out by the policy Save they would be the account's own by then, and doubled.
    """
    stands = exists().where(SyncedUser.user_id == User.id, SyncedUser.account_uin == task.account_uin)
    covered = exists().where(
        UserSync.account_uin == task.account_uin, UserSync.status != SyncStatus.DELETING, held_by(UserSync, User.id)
    )
    names = session.scalars(select(User.user_name).where(User.space_id == task.space_id, ~stands, covered)).all()
    return [in_account for name in names for in_account in (name, f"{name}_cic")]


def _people(sync: UserSync) -> list[Any]:
    """Conditions on User: whom the synchronization covers now."""
    if sync.user_id:
        return [User.id == sync.user_id]
    return [User.id.in_(select(Membership.user_id).where(Membership.group_id == sync.group_id))]


def _named(task: Task) -> Select[str]:
    return select(BatchUser.user_id).where(BatchUser.batch_id == task.batch_id)


KINDS = {
    TaskType.SYNC_START: Kind(plan_start, give_up_start),
    TaskType.SYNC_DELETE: Kind(plan_delete, give_up_nothing),
    TaskType.SYNC_USER_ADDED: Kind(plan_user_added, give_up_nothing),
    TaskType.SYNC_USER_REMOVED: Kind(plan_user_removed, give_up_nothing),
}
