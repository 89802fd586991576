"""Lists of user synchronizations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.orm import Session, aliased

from portal.core.access.models import (
    SyncedUser,
    SyncStatus,
    Task,
    TaskStatus,
    TaskType,
    UserSync,
)
from portal.core.access.queries.shared import (
    PRINCIPAL_KEY,
    count,
    find,
    held_by_user,
    principal,
)
from portal.core.access.queries.sync_events import is_failed_event
from portal.core.access.rows import (
    SyncedUserRow,
    SyncRow,
)
from portal.core.directory.models import Group, Membership, User
from portal.core.organization.models import Member
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space


def syncs_page(session: Session, space: Space, search: Search) -> Page[SyncRow]:
    """IC-14. Sorts: account, principal, created. Filters: `status`, `events` (`failed`: has failed events)."""
    return _syncs(session, space, true(), search)


def syncs_of_account(session: Session, space: Space, account_uin: int, search: Search) -> Page[SyncRow]:
    return _syncs(session, space, UserSync.account_uin == account_uin, search)


def syncs_of_user(session: Session, space: Space, user: User, search: Search) -> Page[SyncRow]:
    """Its own ones and those of its groups, which the row names."""
    return _syncs(session, space, UserSync.id.in_(held_by_user(UserSync, user.id)), search)


def syncs_of_group(session: Session, space: Space, group: Group, search: Search) -> Page[SyncRow]:
    return _syncs(session, space, UserSync.group_id == group.id, search)


def sync_row(session: Session, space: Space, sync_id: str) -> SyncRow | None:
    page = _syncs(session, space, UserSync.id == sync_id, Search())
    return page.rows[0] if page.rows else None


def _syncs(session: Session, space: Space, condition: ColumnElement[bool], search: Search) -> Page[SyncRow]:
    covered = or_(
        SyncedUser.user_id == UserSync.user_id,
        SyncedUser.user_id.in_(
            select(Membership.user_id).where(Membership.group_id == UserSync.group_id).correlate(UserSync)
        ),
    )
    failed = and_(Task.sync_id == UserSync.id, is_failed_event())
    statement: Any = (
        select(
            UserSync.id,
            UserSync.status,
            UserSync.description,
            UserSync.duplication_strategy,
            UserSync.deletion_strategy,
            UserSync.created_at,
            UserSync.updated_at,
            UserSync.account_uin,
            Member.name,
            *principal(UserSync.group_id, UserSync.user_id),
            count(SyncedUser, and_(SyncedUser.account_uin == UserSync.account_uin, covered)),
            count(Task, failed),
            failed_deletion(),
        )
        .join(Member, Member.account_uin == UserSync.account_uin)
        .outerjoin(User, User.id == UserSync.user_id)
        .outerjoin(Group, Group.id == UserSync.group_id)
        .where(UserSync.space_id == space.id, condition)
    )
    if search.filter("status"):
        statement = statement.where(UserSync.status == search.filter("status"))
    if search.filter("events") == "failed":
        statement = statement.where(select(Task.id).where(failed).exists())
    statement = find(statement, search, [Member.name_key, User.user_name_key, Group.name_key], UserSync.id)
    sorts = {"account": Member.name_key, "principal": PRINCIPAL_KEY, "created": UserSync.created_at}
    page = paginate(session, statement, search, sorts=sorts, key=UserSync.id)
    return Page([SyncRow(*row) for row in page.rows], page.total, page.search)


def failed_deletion() -> Any:
    """Of a UserSync: the task that should have deleted it and failed for good, as long as no other is to do it."""
    mine = (Task.sync_id == UserSync.id, Task.type == TaskType.SYNC_DELETE, UserSync.status == SyncStatus.DELETING)
    other = aliased(Task)
    waiting = select(other.id).where(
        other.sync_id == UserSync.id,
        other.type == TaskType.SYNC_DELETE,
        other.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING]),
    )
    failed = select(Task.id).where(*mine, Task.status == TaskStatus.FAILED, ~waiting.correlate(UserSync).exists())
    return failed.order_by(Task.created_at.desc(), Task.id).limit(1).correlate(UserSync).scalar_subquery()


def users_of_sync(session: Session, space: Space, sync: UserSync, search: Search) -> Page[SyncedUserRow]:
    """The CAM users that stand in the account because of it. Sorts: name, synced."""
    members = select(Membership.user_id).where(Membership.group_id == sync.group_id)
    statement: Any = (
        select(SyncedUser.user_id, User.user_name, SyncedUser.cam_user_name, SyncedUser.synced_at)
        .join(User, User.id == SyncedUser.user_id)
        .where(
            SyncedUser.space_id == space.id,
            SyncedUser.account_uin == sync.account_uin,
            or_(SyncedUser.user_id == sync.user_id, SyncedUser.user_id.in_(members)),
        )
    )
    statement = find(statement, search, [User.user_name_key, User.display_name_key])
    sorts = {"name": User.user_name_key, "synced": SyncedUser.synced_at}
    page = paginate(session, statement, search, sorts=sorts, key=SyncedUser.user_id)
    return Page([SyncedUserRow(*row) for row in page.rows], page.total, page.search)
