"""Lists of authorizations: who holds what, in which account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, select
from sqlalchemy.orm import Session

from portal.core.access.models import (
    Authorization,
    Configuration,
    Deployment,
    PrincipalType,
)
from portal.core.access.queries.departments import departments_of
from portal.core.access.queries.shared import (
    PRINCIPAL_KEY,
    find,
    held_by_user,
    principal,
)
from portal.core.access.rows import (
    AuthorizationRow,
    Authorized,
    PrincipalRow,
)
from portal.core.directory.models import Group, User
from portal.core.organization.models import Member
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space

_PRINCIPAL_TYPE, _PRINCIPAL_ID, _PRINCIPAL_NAME = principal(Authorization.group_id, Authorization.user_id)


def authorizations_of_account(session: Session, space: Space, account_uin: int, search: Search) -> Page[PrincipalRow]:
    """IC-13: a row per user or group, each with all it holds there. Sorts: name. Four statements."""
    held = (Authorization.space_id == space.id, Authorization.account_uin == account_uin)
    holders = (
        select(
            _PRINCIPAL_TYPE.label("type"),
            _PRINCIPAL_ID.label("id"),
            _PRINCIPAL_NAME,
            PRINCIPAL_KEY.label("key"),
        )
        .outerjoin(User, User.id == Authorization.user_id)
        .outerjoin(Group, Group.id == Authorization.group_id)
        .where(*held)
        .distinct()
    )
    holders = find(holders, search, [User.user_name_key, User.display_name_key, Group.name_key])
    found = holders.subquery()
    page = paginate(session, select(found), search, sorts={"name": found.c.key}, key=found.c.id)
    rights = session.execute(
        select(
            _PRINCIPAL_ID,
            Authorization.id,
            Configuration.id,
            Configuration.name,
            Authorization.status,
            Authorization.direct,
        )
        .join(Configuration, Configuration.id == Authorization.configuration_id)
        .where(*held, _PRINCIPAL_ID.in_([row.id for row in page.rows]))
        .order_by(Configuration.name_key)
    ).all()
    by_holder: dict[str, list[Authorized]] = {}
    granting = departments_of(session, [row[1] for row in rights])
    for holder, *right in rights:
        by_holder.setdefault(holder, []).append(Authorized(*(*right, granting.get(right[0], ()))))
    rows = [
        PrincipalRow(PrincipalType(kind), holder, name, tuple(by_holder.get(holder, ())))
        for kind, holder, name, _key in page.rows
    ]
    return Page(rows, page.total, page.search)


def authorizations_of_user(session: Session, space: Space, user: User, search: Search) -> Page[AuthorizationRow]:
    """Direct ones and those by a group, which the row names. Sorts: account, configuration, created.

    Of the space when the user is: asked of each row, it leads SQLite to read all authorizations of the space.
    """
    held = Authorization.id.in_(held_by_user(Authorization, user.id))
    return _authorizations(session, held if user.space_id == space.id else false(), search)


def authorizations_of_group(session: Session, space: Space, group: Group, search: Search) -> Page[AuthorizationRow]:
    """Sorts: account, configuration, created."""
    return _authorizations(session, and_(_of(space), Authorization.group_id == group.id), search)


def authorizations_of_deployment(
    session: Session, space: Space, deployment: Deployment, search: Search
) -> Page[AuthorizationRow]:
    """Who uses it: what an undeployment removes first (IC-11)."""
    return _authorizations(session, and_(_of(space), _uses(deployment)), search)


def rows_of_deployment(session: Session, space: Space, deployment: Deployment) -> list[AuthorizationRow]:
    """All who use it, for the batch that removes them."""
    statement = _authorization_columns().where(_of(space), _uses(deployment)).order_by(Authorization.id)
    return [AuthorizationRow(*row) for row in session.execute(statement)]


def authorization_rows(session: Session, space: Space, ids: Sequence[int]) -> list[AuthorizationRow]:
    """The chosen ones, for a confirmation page."""
    statement = _authorization_columns().where(_of(space), Authorization.id.in_(ids))
    statement = statement.order_by(Member.name_key, Authorization.id)
    return [AuthorizationRow(*row) for row in session.execute(statement)]


def _authorizations(session: Session, condition: ColumnElement[bool], search: Search) -> Page[AuthorizationRow]:
    statement = find(
        _authorization_columns().where(condition),
        search,
        [Member.name_key, Configuration.name_key, User.user_name_key, Group.name_key],
        Authorization.account_uin,
    )
    sorts = {
        "account": Member.name_key,
        "configuration": Configuration.name_key,
        "principal": PRINCIPAL_KEY,
        "created": Authorization.created_at,
    }
    bare = None if search.text else select(Authorization.id).where(condition)
    page = paginate(session, statement, search, sorts=sorts, key=Authorization.id, counted=bare)
    granting = departments_of(session, [row[0] for row in page.rows])
    rows = [AuthorizationRow(*(*row, granting.get(row[0], ()))) for row in page.rows]
    return Page(rows, page.total, page.search)


def _authorization_columns() -> Select[Any]:
    return (
        select(
            Authorization.id,
            Authorization.status,
            Authorization.created_at,
            Authorization.account_uin,
            Member.name,
            Configuration.id,
            Configuration.name,
            _PRINCIPAL_TYPE,
            _PRINCIPAL_ID,
            _PRINCIPAL_NAME,
            Authorization.direct,
        )
        .join(Configuration, Configuration.id == Authorization.configuration_id)
        .join(Member, Member.account_uin == Authorization.account_uin)
        .outerjoin(User, User.id == Authorization.user_id)
        .outerjoin(Group, Group.id == Authorization.group_id)
    )


def _of(space: Space) -> ColumnElement[bool]:
    return Authorization.space_id == space.id


def _uses(deployment: Deployment) -> ColumnElement[bool]:
    return and_(
        Authorization.account_uin == deployment.account_uin,
        Authorization.configuration_id == deployment.configuration_id,
    )
