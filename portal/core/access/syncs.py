"""Verbs on user synchronizations (IC-14): CAM users of the same names in an account.

The unit in an account is the user, whichever synchronizations ask for it (`SyncedUser`). It goes when none asks
any more, and stays a CAM user of the account's own or is removed, as the last one's deletion policy says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.access import room
from portal.core.access.models import (
    BatchUser,
    DeletionStrategy,
    DuplicationStrategy,
    PrincipalType,
    SyncedUser,
    SyncStatus,
    TaskStatus,
    TaskType,
    UserSync,
)
from portal.core.access.picking import Principal, chunks, pick_accounts, pick_principals
from portal.core.access.queries.entries import open_users
from portal.core.access.queries.syncs import sync_row
from portal.core.access.tasks import enqueue, new_batch
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.directory.models import Group, User
from portal.core.errors import Conflict, Forbidden, Invalid, NotFound
from portal.core.ids import new_id
from portal.core.organization.models import Account, Member
from portal.core.space.models import Space

_syncs: Any = UserSync.__table__
_accounts: Any = Member.__table__
_ACCOUNTS_OF_GROUP = (  # built once: asked whenever somebody joins or leaves a group
    select(_syncs.c.account_uin, _accounts.c.name, _syncs.c.id, _syncs.c.deletion_strategy)
    .join_from(_syncs, _accounts, _accounts.c.account_uin == _syncs.c.account_uin)
    .where(_syncs.c.group_id == bindparam("group_id"), _syncs.c.status != SyncStatus.DELETING)
    .order_by(_syncs.c.account_uin)
)


@dataclass(frozen=True)
class UserEntry:
    """The open door of one CAM user: what a sign-on to the account needs (IC-17)."""

    account: Account
    synced_user: SyncedUser


def get_sync(session: Session, space: Space, sync_id: str) -> UserSync:
    found = session.scalar(select(UserSync).where(UserSync.space_id == space.id, UserSync.id == sync_id))
    if found is None:
        raise NotFound("There is no such user synchronization in this space.")
    return found


def synchronize(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    accounts: Sequence[int],
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    description: str = "",
    duplication_strategy: str = DuplicationStrategy.KEEP_BOTH,
    deletion_strategy: str = DeletionStrategy.KEEP,
) -> str:
    """One task per identity x account; returns the batch's id.

    An existing combination becomes a failed task with that reason, all others go on. Raises Invalid (empty
    selection, unknown strategy), NotFound (not of this space), LimitReached.
    """
    pairs = len(set(accounts)) * (len(set(users)) + len(set(groups)))
    limits.check("triples_per_batch", pairs, what="user synchronizations in one batch")
    names = pick_accounts(session, space, accounts)
    principals = pick_principals(session, space, users, groups)
    text = _checked_description(description)
    duplication = _choice(DuplicationStrategy, duplication_strategy, "duplication_strategy")
    deletion = _choice(DeletionStrategy, deletion_strategy, "deletion_strategy")
    room.check_users(session, names, room.people_of(space.id, users, groups), duplication)
    existing = {
        (principal, uin)
        for chunk in chunks(names)
        for principal, uin in session.execute(
            select(func.coalesce(UserSync.user_id, UserSync.group_id), UserSync.account_uin).where(
                UserSync.space_id == space.id, UserSync.account_uin.in_(chunk)
            )
        )
    }
    batch_id, now, number, refused = new_batch(), clock.now(), 0, 0
    syncs: list[UserSync] = []
    for uin, account_name in names.items():
        for principal in principals:
            number += 1
            sync = None
            if (principal.id, uin) in existing:
                refused += 1
            else:
                sync = UserSync(
                    id=new_id("up-"),
                    space_id=space.id,
                    user_id=principal.user_id,
                    group_id=principal.group_id,
                    account_uin=uin,
                    description=text,
                    duplication_strategy=duplication,
                    deletion_strategy=deletion,
                )
                syncs.append(sync)
            enqueue(
                session,
                space_id=space.id,
                batch_id=batch_id,
                number=number,
                type=TaskType.SYNC_START,
                status=TaskStatus.QUEUED if sync else TaskStatus.FAILED,
                reason="" if sync else why_not_synchronized(principal.name, account_name),
                account_uin=uin,
                account_name=account_name,
                principal_type=principal.type,
                principal_id=principal.id,
                principal_name=principal.name,
                sync_id=sync.id if sync else None,
                actor_name=actor.name,
                created_at=now,
            )
    session.add_all(syncs)
    flush_or(session, Conflict("Somebody else configured one of these at the same moment. Try again."))
    details = {"tasks": number, "existing": refused, "duplication": duplication.value, "deletion": deletion.value}
    audit.record(session, actor, "user_sync.create", target_type="batch", target_id=batch_id, details=details)
    return batch_id


def why_not_synchronized(principal_name: str, account_name: str) -> str:
    """For a synchronization that is there already."""
    return f"The synchronization already exists: {principal_name} in {account_name}."


def update_sync(
    session: Session,
    actor: Actor,
    *,
    sync: UserSync,
    description: str | None = None,
    deletion_strategy: str | None = None,
) -> UserSync:
    """What is left out stays. Raises Invalid."""
    if description is not None:
        sync.description = _checked_description(description)
    if deletion_strategy is not None:
        sync.deletion_strategy = _choice(DeletionStrategy, deletion_strategy, "deletion_strategy")
    sync.updated_at = clock.now()
    session.flush()
    _record(session, actor, "user_sync.update", sync, deletion=sync.deletion_strategy)
    return sync


def delete_sync(session: Session, actor: Actor, *, sync: UserSync) -> str:
    """Sign-on through it stops with this transaction; a task ends it in the account. Returns the batch's id."""
    mine = select(UserSync).where(UserSync.id == sync.id).with_for_update()
    if session.scalar(mine.execution_options(populate_existing=True)) is None:
        raise NotFound("There is no such user synchronization in this space.")
    if sync.status == SyncStatus.DELETING:
        raise Conflict("This user synchronization is being deleted already; if its task failed, run that again.")
    space = session.get_one(Space, sync.space_id)
    row = sync_row(session, space, sync.id)
    sync.status = SyncStatus.DELETING
    sync.updated_at = clock.now()
    batch_id = new_batch()
    enqueue(
        session,
        space_id=sync.space_id,
        batch_id=batch_id,
        number=1,
        type=TaskType.SYNC_DELETE,
        account_uin=sync.account_uin,
        account_name=row.account_name if row else "",
        principal_type=PrincipalType.USER if sync.user_id else PrincipalType.GROUP,
        principal_id=sync.user_id or sync.group_id,
        principal_name=row.principal_name if row else "",
        sync_id=sync.id,
        actor_name=actor.name,
    )
    session.flush()
    _record(session, actor, "user_sync.delete", sync, batch=batch_id, deletion=sync.deletion_strategy)
    return batch_id


def members_joined(session: Session, actor: Actor, *, group: Group, user_ids: Sequence[str]) -> None:
    """Users came into a group: a task in every account that the group is synchronized to (IC-14)."""
    _follow(session, actor, group, user_ids, TaskType.SYNC_USER_ADDED)


def members_left(session: Session, actor: Actor, *, group: Group, user_ids: Sequence[str]) -> None:
    """Users went out of a group: their CAM users go where no other synchronization asks for them."""
    _follow(session, actor, group, user_ids, TaskType.SYNC_USER_REMOVED)


def user_entry(session: Session, user: User, *, account_uin: int) -> UserEntry:
    """Checked at this moment (IC-17): a CAM user stands for it there, wanted, the user enabled. Raises Forbidden."""
    found = session.execute(
        open_users(user)
        .join(Account, Account.uin == SyncedUser.account_uin)
        .with_only_columns(Account, SyncedUser, maintain_column_froms=True)
        .where(SyncedUser.account_uin == account_uin)
    ).first()
    if found is None:
        raise Forbidden("This account is not open to you as a CAM user (any more).")
    return UserEntry(*found)


def queue_per_account(
    session: Session,
    actor: Actor,
    *,
    space_id: str,
    about: Principal | None,
    user_ids: Sequence[str],
    accounts: Sequence[tuple[int, str, str | None, str | None]],
    type: TaskType = TaskType.SYNC_USER_REMOVED,
) -> None:
    """A batch with a task of `type` per account (number, name, synchronization, deletion policy), for all the users.

    Its rows are accounts plus users, not accounts times users: a push of the IdP may name a thousand of them.
    """
    batch_id, now = new_batch(), clock.now()
    session.execute(insert(BatchUser), [{"batch_id": batch_id, "user_id": user_id} for user_id in user_ids])
    for number, (uin, account_name, sync_id, deletion) in enumerate(accounts, 1):
        enqueue(
            session,
            space_id=space_id,
            batch_id=batch_id,
            number=number,
            type=type,
            account_uin=uin,
            account_name=account_name,
            principal_type=about.type if about else None,
            principal_id=about.id if about else None,
            principal_name=about.name if about else "",
            sync_id=sync_id,
            deletion_strategy=deletion,
            actor_name=actor.name,
            created_at=now,
        )
    session.flush()


def user_remark(name: str) -> str:
    """What the CAM user says of itself in an account."""
    return f"Identity Center user {name}"[:1024]


def _follow(session: Session, actor: Actor, group: Group, user_ids: Sequence[str], type: TaskType) -> None:
    session.flush()
    accounts: Any = session.connection().execute(_ACCOUNTS_OF_GROUP, {"group_id": group.id}).all()
    if not accounts or not user_ids:
        return
    about = Principal(PrincipalType.GROUP, group.id, group.name)
    if len(user_ids) == 1:
        user_name = session.scalar(select(User.user_name).where(User.id == user_ids[0]))
        about = Principal(PrincipalType.USER, user_ids[0], user_name or "")
    queue_per_account(
        session, actor, space_id=group.space_id, about=about, user_ids=user_ids, accounts=accounts, type=type
    )


def _choice(kind: Any, value: str, field: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise Invalid(f"Choose one of {', '.join(kind)}.", field=field) from None


def _checked_description(description: str) -> str:
    text = description.strip()
    if len(text) > 1024:
        raise Invalid("At most 1024 characters are allowed.", field="description")
    return text


def _record(session: Session, actor: Actor, action: str, sync: UserSync, **details: object) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="user_sync",
        target_id=sync.id,
        target_name=sync.description[:100],
        account_uin=sync.account_uin,
        details=dict(details),
    )
