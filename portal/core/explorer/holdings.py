"""Who may take which role in which account, and by what: the list behind the pages of the explorer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, tuple_, union_all
from sqlalchemy.orm import Session

from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    DepartmentAuthorization,
    Deployment,
)
from portal.core.access.picking import chunks
from portal.core.access.queries.shared import OPENS, find
from portal.core.directory.models import Group, Membership, User
from portal.core.organization import queries as organization
from portal.core.organization.models import Member
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space

Door = Literal["open", "disabled", "granting", "removing", "not deployed"]
_PIECE = 500


@dataclass(frozen=True, slots=True)
class Way:
    """By what somebody holds a role: alone or by a group; for the account itself or for a department above it."""

    group_id: str | None = None
    group_name: str = ""
    department_id: int | None = None
    department_name: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """`door` says whether the user can log in with the role now, otherwise what is in the way."""

    user_id: str
    user_name: str
    display_name: str
    account_uin: int
    account_name: str
    configuration_id: str
    configuration_name: str
    door: Door
    ways: tuple[Way, ...]


def holdings(
    session: Session,
    space: Space,
    search: Search,
    *,
    user_id: str | None = None,
    account_uin: int | None = None,
    configurations: Sequence[str] | None = None,
) -> Page[Holding]:
    """Of one user, in one account, of some configurations. Sorts: account, user, configuration.

    Filter: `door` (open, closed). Five statements, however many rows.
    """
    statement, door = _holdings(space, user_id, account_uin, configurations)
    if search.filter("door"):
        statement = statement.where(door == "open" if search.filter("door") == "open" else door != "open")
    keys = [Member.name_key, Configuration.name_key, User.user_name_key, User.display_name_key]
    statement = find(statement, search, keys, Member.account_uin)
    sorts: dict[str, Any] = {
        "account": Member.name_key,
        "user": User.user_name_key,
        "configuration": Configuration.name_key,
    }
    if account_uin is not None:
        sorts = {"user": sorts.pop("user"), **sorts}
    page = paginate(session, statement, search, sorts=sorts, key=Configuration.name_key)
    return Page(_with_ways(session, space, page.rows), page.total, page.search)


def all_holdings(
    session: Session,
    space: Space,
    *,
    user_id: str | None = None,
    account_uin: int | None = None,
    configurations: Sequence[str] | None = None,
) -> Iterator[Holding]:
    """The whole list for an export, read in pieces."""
    statement, _door = _holdings(space, user_id, account_uin, configurations)
    place = (Member.name_key, User.user_name_key, Configuration.name_key)
    ordered = statement.add_columns(*(key.label(f"place{n}") for n, key in enumerate(place))).order_by(*place)
    rows = session.execute(ordered.limit(_PIECE)).all()
    while rows:
        yield from _with_ways(session, space, [row[:-3] for row in rows])
        last = tuple_(*rows[-1][-3:])
        rows = session.execute(ordered.where(tuple_(*place) > last).limit(_PIECE)).all()


def holders(session: Session, space: Space, configuration_id: str, uins: Sequence[int]) -> dict[str, str]:
    """Names by id of all who hold the role in one of the accounts."""
    held = _held(space, None, None, [configuration_id]).subquery()
    return {
        user_id: name
        for chunk in chunks(uins)
        for user_id, name in session.execute(
            select(User.id, User.user_name)
            .where(User.id.in_(select(held.c.user_id).where(held.c.account_uin.in_(chunk))))
            .order_by(User.user_name_key)
        )
    }


def _holdings(
    space: Space, user_id: str | None, account_uin: int | None, configurations: Sequence[str] | None
) -> tuple[Select[Any], ColumnElement[str]]:
    held = _held(space, user_id, account_uin, configurations).subquery()
    mine = (held.c.user_id, held.c.account_uin, held.c.configuration_id)
    grouped = (
        select(*mine, *(func.max(case((held.c.status == status, 1), else_=0)).label(status) for status in _COUNTED))
        .group_by(*mine)
        .subquery()
    )
    deployed = and_(
        Deployment.account_uin == grouped.c.account_uin,
        Deployment.configuration_id == grouped.c.configuration_id,
        OPENS,
    )
    door: ColumnElement[str] = case(
        (User.enabled.is_(False), "disabled"),
        (and_(grouped.c[AuthorizationStatus.ACTIVE] == 1, Deployment.id.is_not(None)), "open"),
        (grouped.c[AuthorizationStatus.ACTIVE] == 1, "not deployed"),
        (grouped.c[AuthorizationStatus.GRANTING] == 1, "granting"),
        else_="removing",
    )
    statement: Any = (
        select(
            User.id,
            User.user_name,
            User.display_name,
            Member.account_uin,
            Member.name,
            Configuration.id.label("configuration_id"),
            Configuration.name.label("configuration_name"),
            door.label("door"),
        )
        .select_from(grouped)
        .join(User, User.id == grouped.c.user_id)
        .join(Member, Member.account_uin == grouped.c.account_uin)
        .join(Configuration, Configuration.id == grouped.c.configuration_id)
        .outerjoin(Deployment, deployed)
        .where(Member.organization_id == space.organization_id, User.space_id == space.id)
    )
    return statement, door


_COUNTED = (AuthorizationStatus.ACTIVE, AuthorizationStatus.GRANTING)


def _held(space: Space, user_id: str | None, account_uin: int | None, configurations: Sequence[str] | None) -> Any:
    """A row per user and authorization, own ones and those by a group, each read by its own index.

    Of one user they are of the space as the user is, which the caller asks.
    """
    common = [Authorization.space_id == space.id] if user_id is None else []
    if account_uin is not None:
        common.append(Authorization.account_uin == account_uin)
    if configurations is not None:
        common.append(Authorization.configuration_id.in_(configurations))
    columns = (
        Authorization.account_uin,
        Authorization.configuration_id,
        Authorization.status,
        Authorization.direct,
        Authorization.group_id,
    )
    own = select(Authorization.user_id, *columns).where(Authorization.user_id.is_not(None), *common)
    by_group = select(Membership.user_id, *columns).join(Membership, Membership.group_id == Authorization.group_id)
    by_group = by_group.where(*common)
    if user_id is not None:
        own, by_group = own.where(Authorization.user_id == user_id), by_group.where(Membership.user_id == user_id)
    return union_all(own, by_group)


def _with_ways(session: Session, space: Space, rows: Sequence[Any]) -> list[Holding]:
    if not rows:
        return []
    users, uins, configurations = (sorted({row[place] for row in rows}) for place in (0, 3, 5))
    held = _held(space, None, None, configurations).subquery()
    found = session.execute(
        select(held, Group.name)
        .outerjoin(Group, Group.id == held.c.group_id)
        .where(held.c.account_uin.in_(uins), held.c.user_id.in_(users))
        .order_by(Group.name_key)
    ).all()
    above = _above(session, space, uins, found)
    ways: defaultdict[tuple[str, int, str], dict[Way, None]] = defaultdict(dict)
    for user_id, uin, configuration_id, _status, direct, group_id, group_name in found:
        mine = ways[user_id, uin, configuration_id]
        if direct:
            mine[Way(group_id, group_name or "")] = None
        for department_id, name in above.get((group_id or user_id, uin, configuration_id), ()):
            mine[Way(group_id, group_name or "", department_id, name)] = None
    return [Holding(*values) for values in ((*row, tuple(ways[row[0], row[3], row[5]])) for row in rows)]


def _above(
    session: Session, space: Space, uins: Sequence[int], held: Sequence[Any]
) -> dict[tuple[str, int, str], list[tuple[int, str]]]:
    """Departments that grant it, too, by holder, account and configuration: for the rows that were held."""
    paths = organization.paths(session, uins)
    departments = {number for path in paths.values() for number, _name in path.departments}
    users = {row.user_id for row in held if row.group_id is None}
    groups = {row.group_id for row in held if row.group_id is not None}
    granted = session.execute(
        select(
            func.coalesce(DepartmentAuthorization.user_id, DepartmentAuthorization.group_id),
            DepartmentAuthorization.department_id,
            DepartmentAuthorization.configuration_id,
        ).where(
            DepartmentAuthorization.space_id == space.id,
            DepartmentAuthorization.department_id.in_(departments),
            or_(DepartmentAuthorization.user_id.in_(users), DepartmentAuthorization.group_id.in_(groups)),
        )
    ).all()
    found: defaultdict[tuple[str, int, str], list[tuple[int, str]]] = defaultdict(list)
    for uin, path in paths.items():
        names = dict(path.departments)
        for holder, department_id, configuration_id in granted:
            if department_id in names:
                found[holder, uin, configuration_id].append((department_id, names[department_id]))
    return found
