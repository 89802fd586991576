"""What departments grant to the accounts in and below them, and how far that is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, and_, case, distinct, exists, func, literal, or_, select, true
from sqlalchemy.orm import Session

from portal.core.access.models import Authorization, AuthorizationStatus, Configuration, DepartmentAuthorization
from portal.core.access.picking import chunks
from portal.core.access.queries.shared import PRINCIPAL_KEY, find, principal, sum_if
from portal.core.access.rows import Change, DepartmentAuthorizationRow, Effect, Place, Wanted
from portal.core.directory.models import Group, User
from portal.core.organization.models import Department, Member
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space

_HOLDER = func.coalesce(Authorization.user_id, Authorization.group_id)
_GRANTED_TO = func.coalesce(DepartmentAuthorization.user_id, DepartmentAuthorization.group_id)
_SAME = and_(Authorization.configuration_id == DepartmentAuthorization.configuration_id, _HOLDER == _GRANTED_TO)
_LIVE = Authorization.status != AuthorizationStatus.REMOVING
_NAMES = (*principal(DepartmentAuthorization.group_id, DepartmentAuthorization.user_id), Configuration.id)


def accounts_below(session: Session, department_ids: Sequence[int]) -> dict[int, str]:
    """Names by number of the accounts in these departments and in all below.

    They stay members until the transaction ends, as with picking.pick_accounts.
    """
    members = select(Member.account_uin, Member.name).where(
        Member.department_id.in_(select(below(department_ids).c.id))
    )
    locked = members.order_by(Member.account_uin).with_for_update(read=True, key_share=True, of=Member)
    rows: Any = session.execute(locked)
    return dict(rows.all())


def below(department_ids: Sequence[int]) -> CTE:
    """The ids of the departments and of all below them."""
    ids = select(Department.id).where(Department.id.in_(department_ids)).cte(recursive=True)
    return ids.union(select(Department.id).join(ids, Department.parent_id == ids.c.id))


def above(accounts: Any, *, into: int | None = None) -> CTE:
    """(uin, id) of each account and each department from its own up to Root; or as if it were in the department `into`.

    `accounts`: numbers, or a select of them.
    """
    place: Any = Member.department_id if into is None else literal(into)
    start = (
        select(Member.account_uin.label("uin"), Department.id, Department.parent_id)
        .join(Department, Department.id == place)
        .where(Member.account_uin.in_(accounts))
        .cte(recursive=True)
    )
    up = select(start.c.uin, Department.id, Department.parent_id).join(Department, Department.id == start.c.parent_id)
    return start.union_all(up)


def missing(session: Session, uins: Iterable[int], grants: Sequence[int] | None = None) -> list[Wanted]:
    """What departments grant the accounts and these do not have, each once; of the department authorizations `grants`
    only, when they are named."""
    found: dict[tuple[str, int, str], Wanted] = {}
    for accounts in chunks(uins):
        for condition in _among(grants):
            rows = session.execute(_missing(above(accounts)).where(condition).order_by(*_ORDER)).all()
            for row in rows:
                wanted = Wanted(*row)
                found.setdefault(wanted.triple, wanted)
    return list(found.values())


def held(session: Session, uins: Iterable[int], grants: Sequence[int]) -> list[tuple[Wanted, bool]]:
    """What the department authorizations `grants` want in the accounts and is there, each with whether it is direct."""
    found: dict[tuple[str, int, str], tuple[Wanted, bool]] = {}
    for accounts in chunks(uins):
        for condition in _among(grants):
            chain = above(accounts)
            there = _wanted(chain).join(Authorization, and_(Authorization.account_uin == chain.c.uin, _SAME))
            there = there.add_columns(Authorization.id, Authorization.direct).where(condition, _LIVE)
            for *row, direct in session.execute(there.order_by(*_ORDER)).all():
                wanted = Wanted(*row)
                found.setdefault(wanted.triple, (wanted, direct))
    return list(found.values())


def granting(session: Session, authorization_ids: Iterable[int]) -> set[int]:
    """Those that are not granted yet; locked, so that whose task fails in this moment finds a task made for them."""
    waiting = select(Authorization.id).where(Authorization.status == AuthorizationStatus.GRANTING)
    return {
        one
        for ids in chunks(authorization_ids)
        for one in session.scalars(
            waiting.where(Authorization.id.in_(ids)).order_by(Authorization.id).with_for_update()
        )
    }


def surplus(session: Session, uins: Iterable[int]) -> list[int]:
    """Authorizations in the accounts that stood for a department's and no department grants any more; locked."""
    return [
        one
        for accounts in chunks(uins)
        for one in session.scalars(_surplus(above(accounts), accounts).order_by(Authorization.id).with_for_update())
    ]


def change_by_moving(session: Session, uins: Sequence[int], department_id: int) -> Change:
    """What the accounts gain and lose altogether in another department."""
    gains = loses = 0
    for accounts in chunks(uins):
        chain = above(accounts, into=department_id)
        new = _missing(chain).with_only_columns(chain.c.uin, _GRANTED_TO, Configuration.id, maintain_column_froms=True)
        gains += session.scalar(select(func.count()).select_from(new.distinct().subquery())) or 0
        loses += session.scalar(select(func.count()).select_from(_surplus(chain, accounts).subquery())) or 0
    return Change(gains, loses)


def effect_of_revoking(session: Session, department_id: int, grants: Sequence[int]) -> Effect:
    """What taking these authorizations of the department away removes from accounts, and what stays open there."""
    accounts = select(Member.account_uin).where(Member.department_id.in_(select(below([department_id]).c.id)))
    chain = above(accounts)
    covered = _covered(chain, DepartmentAuthorization.id.not_in(grants))
    goes = and_(Authorization.direct.is_(False), ~covered)
    row: Any = session.execute(
        select(func.count(distinct(case((goes, Authorization.account_uin)))), sum_if(goes), sum_if(~goes)).where(
            Authorization.account_uin.in_(accounts),
            _LIVE,
            exists().where(DepartmentAuthorization.id.in_(grants), _SAME),
        )
    ).one()
    return Effect(*row)


def granted_in(session: Session, department_id: int, *, most: int = 20) -> tuple[int, list[str]]:
    """How many authorizations an account has by the department and those above it, and the first of them in words."""
    chain = select(Department.id, Department.parent_id).where(Department.id == department_id).cte(recursive=True)
    chain = chain.union_all(select(Department.id, Department.parent_id).join(chain, Department.id == chain.c.parent_id))
    rows = _named(select(*_NAMES, Configuration.name).select_from(DepartmentAuthorization))
    rows = rows.where(DepartmentAuthorization.department_id.in_(select(chain.c.id))).distinct().subquery()
    total = session.scalar(select(func.count()).select_from(rows)) or 0
    names = session.execute(select(rows.c[2], rows.c[4]).order_by(rows.c[2], rows.c[4]).limit(most)) if total else ()
    return total, [f"{name}: {configuration}" for name, configuration in names]


def departments_of(session: Session, authorization_ids: Iterable[int]) -> dict[int, tuple[Place, ...]]:
    """By authorization the departments that grant the same; one that none does is not in it."""
    found: dict[int, tuple[Place, ...]] = {}
    for ids in chunks(authorization_ids):
        chain = above(select(Authorization.account_uin).where(Authorization.id.in_(ids)))
        rows = session.execute(
            select(Authorization.id, Department.id, Department.name)
            .select_from(Authorization)
            .join(chain, chain.c.uin == Authorization.account_uin)
            .join(DepartmentAuthorization, and_(DepartmentAuthorization.department_id == chain.c.id, _SAME))
            .join(Department, Department.id == chain.c.id)
            .where(Authorization.id.in_(ids))
            .order_by(Department.name_key)
        )
        for key, department_id, name in rows:
            found[key] = (*found.get(key, ()), Place(department_id, name))
    return found


def granting_departments(
    session: Session, uin: int, *, configuration_id: str | None, principal_id: str | None = None
) -> list[Place]:
    """The departments that grant the configuration in the account, to anybody or to one user or group."""
    chain = above([uin])
    wanted = DepartmentAuthorization.configuration_id == configuration_id
    to = true() if principal_id is None else _granted_to(principal_id)
    rows = session.execute(
        select(Department.id, Department.name, Department.name_key)
        .join(chain, chain.c.id == Department.id)
        .join(DepartmentAuthorization, DepartmentAuthorization.department_id == Department.id)
        .where(wanted, to)
        .distinct()
        .order_by(Department.name_key)
    )
    return [Place(key, name) for key, name, _sorted in rows]


def department_authorizations(
    session: Session, space: Space, department_id: int, path: Sequence[int], search: Search
) -> Page[DepartmentAuthorizationRow]:
    """Those of the department itself and of those above it (`path`, with itself). Three statements.

    Sorts: principal, configuration, department, created.
    """
    statement: Any = _rows(space).where(DepartmentAuthorization.department_id.in_(path))
    statement = find(statement, search, [User.user_name_key, Group.name_key, Configuration.name_key])
    sorts = {
        "principal": PRINCIPAL_KEY,
        "configuration": Configuration.name_key,
        "department": Department.name_key,
        "created": DepartmentAuthorization.created_at,
    }
    page = paginate(session, statement, search, sorts=sorts, key=DepartmentAuthorization.id)
    counted = _counted(session, department_id, [row[0] for row in page.rows])
    rows = [DepartmentAuthorizationRow(*(*row, *counted[row[0]])) for row in page.rows]
    return Page(rows, page.total, page.search)


def department_authorization_rows(
    session: Session, space: Space, ids: Sequence[int]
) -> list[DepartmentAuthorizationRow]:
    """The chosen ones, for a confirmation page."""
    order = (Department.name_key, PRINCIPAL_KEY, Configuration.name_key)
    return [
        DepartmentAuthorizationRow(*row)
        for chunk in chunks(ids)
        for row in session.execute(_rows(space).where(DepartmentAuthorization.id.in_(chunk)).order_by(*order))
    ]


_ORDER = (Member.name_key, Member.account_uin, Configuration.name_key, PRINCIPAL_KEY)


def _granted_to(principal_id: str) -> ColumnElement[bool]:
    return or_(DepartmentAuthorization.user_id == principal_id, DepartmentAuthorization.group_id == principal_id)


def _among(grants: Sequence[int] | None) -> Iterable[ColumnElement[bool]]:
    return [true()] if grants is None else [DepartmentAuthorization.id.in_(chunk) for chunk in chunks(grants)]


def _named(statement: Any) -> Any:
    return (
        statement.join(Configuration, Configuration.id == DepartmentAuthorization.configuration_id)
        .outerjoin(User, User.id == DepartmentAuthorization.user_id)
        .outerjoin(Group, Group.id == DepartmentAuthorization.group_id)
    )


def _wanted(chain: CTE) -> Any:
    """What departments grant the accounts of the `chain`, one row for each of the departments."""
    return _named(
        select(chain.c.uin, Member.name, *_NAMES, Configuration.name)
        .select_from(chain)
        .join(Member, Member.account_uin == chain.c.uin)
        .join(DepartmentAuthorization, DepartmentAuthorization.department_id == chain.c.id)
    )


def _missing(chain: CTE) -> Any:
    there = and_(Authorization.account_uin == chain.c.uin, _SAME)
    absent = or_(Authorization.id.is_(None), Authorization.status == AuthorizationStatus.REMOVING)
    return _wanted(chain).outerjoin(Authorization, there).add_columns(Authorization.id).where(absent)


def _surplus(chain: CTE, accounts: Sequence[int]) -> Select[Any]:
    return select(Authorization.id).where(
        Authorization.account_uin.in_(accounts), Authorization.direct.is_(False), _LIVE, ~_covered(chain)
    )


def _covered(chain: CTE, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return (
        exists()
        .select_from(chain.join(DepartmentAuthorization, DepartmentAuthorization.department_id == chain.c.id))
        .where(chain.c.uin == Authorization.account_uin, _SAME, *conditions)
    )


def _rows(space: Space) -> Any:
    return _named(
        select(
            DepartmentAuthorization.id,
            DepartmentAuthorization.created_at,
            Department.id,
            Department.name,
            Configuration.id,
            Configuration.name,
            *_NAMES[:3],
        ).join(Department, Department.id == DepartmentAuthorization.department_id)
    ).where(DepartmentAuthorization.space_id == space.id)


def _counted(session: Session, department_id: int, ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """By department authorization: accounts in and below the department where it is active, being granted, missing."""
    if not ids:
        return {}
    states = [sum_if(Authorization.status == state) for state in (AuthorizationStatus.ACTIVE, "Granting")]
    members = Member.department_id.in_(select(below([department_id]).c.id))
    rows: Any = session.execute(
        select(DepartmentAuthorization.id, *states, func.count(Member.account_uin))
        .select_from(DepartmentAuthorization)
        .outerjoin(Member, members)
        .outerjoin(Authorization, and_(Authorization.account_uin == Member.account_uin, _SAME))
        .where(DepartmentAuthorization.id.in_(ids))
        .group_by(DepartmentAuthorization.id)
    )
    return {key: (active, granting, total - active - granting) for key, active, granting, total in rows}
