"""What an employee sees in the user portal (IC-16): the accounts that are open to it now."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, union_all
from sqlalchemy.orm import Session

from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    Deployment,
    SyncedUser,
    SyncStatus,
    UserSync,
)
from portal.core.access.queries.shared import OPENS, find, in_groups_of
from portal.core.access.rows import AccountEntry, RoleEntry, UserEntryRow
from portal.core.directory.models import Membership, User
from portal.core.organization.models import Member
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space
from portal.core.text import contains


def open_roles(user: User) -> Any:
    """(Authorization, Deployment, Configuration, Member) of every role that the user may take at this moment.

    Active, held directly or by a group, deployed (a role that waits for its redeployment stays open), in an
    account of the organization, and the user enabled.
    """
    return (
        select(Authorization, Deployment, Configuration, Member)
        .join(
            Deployment,
            and_(
                Deployment.account_uin == Authorization.account_uin,
                Deployment.configuration_id == Authorization.configuration_id,
            ),
        )
        .join(Configuration, Configuration.id == Authorization.configuration_id)
        .join(Space, Space.id == Authorization.space_id)
        .join(
            Member,
            and_(
                Member.account_uin == Authorization.account_uin,
                Member.organization_id == Space.organization_id,
            ),
        )
        .where(
            Authorization.space_id == user.space_id,
            or_(Authorization.user_id == user.id, Authorization.group_id.in_(in_groups_of(user.id))),
            Authorization.status == AuthorizationStatus.ACTIVE,
            OPENS,
            _enabled(user),
        )
    )


def _reached(user: User) -> Any:
    """Account, configuration and duration of every role that the user may take, from what it holds outwards.

    The same rules as `open_roles`, whose `or` leads both databases to read all authorizations of the space.
    """
    columns = (Authorization.account_uin, Authorization.configuration_id)
    active = Authorization.status == AuthorizationStatus.ACTIVE
    held = union_all(
        select(*columns).where(Authorization.user_id == user.id, active),
        select(*columns)
        .join(Membership, Membership.group_id == Authorization.group_id)
        .where(Membership.user_id == user.id, active),
    ).subquery()
    deployed = and_(
        Deployment.account_uin == held.c.account_uin, Deployment.configuration_id == held.c.configuration_id
    )
    return (
        select(held.c.account_uin, held.c.configuration_id, Deployment.session_duration)
        .join(Deployment, deployed)
        .where(OPENS, _enabled(user))
    )


def open_users(user: User) -> Any:
    """(SyncedUser, Member) of every account where a CAM user stands for this user at this moment."""
    wanted = exists().where(
        UserSync.account_uin == SyncedUser.account_uin,
        UserSync.status != SyncStatus.DELETING,
        or_(UserSync.user_id == user.id, UserSync.group_id.in_(in_groups_of(user.id))),
    )
    return (
        select(SyncedUser, Member)
        .join(Space, Space.id == SyncedUser.space_id)
        .join(
            Member,
            and_(Member.account_uin == SyncedUser.account_uin, Member.organization_id == Space.organization_id),
        )
        .where(SyncedUser.space_id == user.space_id, SyncedUser.user_id == user.id, wanted, _enabled(user))
    )


def entries_of_user(session: Session, user: User, search: Search) -> Page[AccountEntry]:
    """Accounts with their roles, in three statements. Finds account name, number and role; sorts: name."""
    reached = _reached(user)
    reached_accounts = reached.with_only_columns(reached.selected_columns.account_uin)
    accounts: Any = (
        select(Member.account_uin, Member.name)
        .join(Space, Space.organization_id == Member.organization_id)
        .where(Space.id == user.space_id, Member.account_uin.in_(reached_accounts))
    )
    if search.text:
        by_name = find(select(Member.account_uin), search, [Member.name_key], Member.account_uin)
        by_role = reached_accounts.join(Configuration, Configuration.id == Deployment.configuration_id)
        by_role = by_role.where(Configuration.name_key.like(contains(search.text), escape="\\"))
        accounts = accounts.where(or_(Member.account_uin.in_(by_name), Member.account_uin.in_(by_role)))
    page = paginate(session, accounts, search, sorts={"name": Member.name_key}, key=Member.account_uin)
    roles = reached.subquery()
    found = session.execute(
        select(
            roles.c.account_uin,
            Configuration.id,
            Configuration.name,
            Configuration.description,
            roles.c.session_duration,
            Configuration.name_key,
        )
        .join(Configuration, Configuration.id == roles.c.configuration_id)
        .where(roles.c.account_uin.in_([row.account_uin for row in page.rows]))
        .distinct()
        .order_by(Configuration.name_key)
    )
    by_account: dict[int, list[RoleEntry]] = {}
    for uin, *role, _key in found:
        by_account.setdefault(uin, []).append(RoleEntry(*role))
    rows = [AccountEntry(uin, name, tuple(by_account.get(uin, ()))) for uin, name in page.rows]
    return Page(rows, page.total, page.search)


def user_entries_of_user(session: Session, user: User, search: Search) -> Page[UserEntryRow]:
    """Finds account name, number and CAM user name; sorts: name."""
    statement = find(open_users(user), search, [Member.name_key], Member.account_uin)
    statement = statement.with_only_columns(
        Member.account_uin, Member.name, SyncedUser.cam_user_name, maintain_column_froms=True
    )
    page = paginate(session, statement, search, sorts={"name": Member.name_key}, key=Member.account_uin)
    return Page([UserEntryRow(*row) for row in page.rows], page.total, page.search)


def _enabled(user: User) -> ColumnElement[bool]:
    return exists().where(User.id == user.id, User.enabled.is_(True))
