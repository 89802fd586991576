"""What differs, by account: for pages and metrics, searched, sorted and paged in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session

from portal.core.access.models import Task, TaskStatus, TaskType
from portal.core.access.queries.shared import find, sum_if
from portal.core.drift.models import AccountCheck, Difference, DifferenceKind
from portal.core.errors import NotFound
from portal.core.organization.models import Member
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space
from portal.core.text import contains

_DIFFERS = func.coalesce(AccountCheck.differences, 0) > 0
_PROBLEM = func.coalesce(AccountCheck.problem, "") != ""
_CHECKED = AccountCheck.checked_at.is_not(None)
_STATES: Mapping[str, ColumnElement[bool]] = {
    "Differs": _DIFFERS,
    "Problem": _PROBLEM,
    "Never": AccountCheck.checked_at.is_(None),
    "InOrder": and_(_CHECKED, ~_DIFFERS, ~_PROBLEM),
}


@dataclass(frozen=True)
class Totals:
    """Accounts of the organization. The two moments are of the check that is longest ago and of the latest one."""

    accounts: int
    checked: int
    differing: int
    problems: int
    differences: int
    oldest: datetime | None
    latest: datetime | None


@dataclass(frozen=True)
class DriftRow:
    """`kinds`: how many differences of which kind. `asked`: somebody waits for the next check."""

    account_uin: int
    account_name: str
    checked_at: datetime | None
    differences: int
    problem: str
    asked: bool
    repairing: bool
    kinds: Sequence[tuple[DifferenceKind, int]] = ()

    @property
    def settled(self) -> bool:
        return not self.asked and not self.repairing


@dataclass(frozen=True)
class Measured:
    """Of all spaces."""

    differing: int
    problems: int
    differences: int


def totals(session: Session, space: Space) -> Totals:
    """In one statement."""
    counted = (
        func.count(),
        sum_if(_CHECKED),
        sum_if(_DIFFERS),
        sum_if(_PROBLEM),
        func.coalesce(func.sum(AccountCheck.differences), 0),
        func.min(AccountCheck.checked_at),
        func.max(AccountCheck.checked_at),
    )
    return Totals(*session.execute(_from_members(space, *counted)).one())


def measured(session: Session) -> Measured:
    """For the metrics, in one statement."""
    row = session.execute(
        select(sum_if(_DIFFERS), sum_if(_PROBLEM), func.coalesce(func.sum(AccountCheck.differences), 0))
    ).one()
    return Measured(*row)


def accounts_page(session: Session, space: Space, search: Search) -> Page[DriftRow]:
    """Every account, those that differ first. Sorts: state, name, checked. Filters: `state`, `kind`."""
    statement = find(_rows(space), search, [Member.name_key], Member.account_uin)
    if search.filter("state") in _STATES:
        statement = statement.where(_STATES[search.filter("state")])
    if search.filter("kind"):
        mine = (Difference.account_uin == Member.account_uin, Difference.space_id == space.id)
        statement = statement.where(exists().where(*mine, Difference.kind == search.filter("kind")))
    urgent = case((_DIFFERS, 0), (_PROBLEM, 1), (AccountCheck.checked_at.is_(None), 2), else_=3)
    sorts = {"state": urgent, "name": Member.name_key, "checked": AccountCheck.checked_at}
    page = paginate(session, statement, search, sorts=sorts, key=Member.name_key)
    kinds = _kinds(session, space, [row[0] for row in page.rows])
    return Page([replace(DriftRow(*row), kinds=kinds.get(row[0], ())) for row in page.rows], page.total, page.search)


def account_row(session: Session, space: Space, account_uin: int) -> DriftRow:
    """Raises NotFound for an account that is none of the organization's."""
    row = session.execute(_rows(space).where(Member.account_uin == account_uin)).one_or_none()
    if row is None:
        raise NotFound("There is no such member account in this organization.")
    return DriftRow(*row)


def differences_page(session: Session, space: Space, account_uin: int, search: Search) -> Page[Difference]:
    """Sorts: kind, name, found. Filter: `kind`."""
    statement = select(Difference).where(Difference.space_id == space.id, Difference.account_uin == account_uin)
    if search.text:
        columns = (Difference.name, Difference.wanted, Difference.found)
        pattern = contains(search.text)
        statement = statement.where(or_(*(func.lower(column).like(pattern, escape="\\") for column in columns)))
    if search.filter("kind"):
        statement = statement.where(Difference.kind == search.filter("kind"))
    sorts = {"kind": Difference.kind, "name": Difference.name, "found": Difference.found_at}
    return paginate(session, statement, search, sorts=sorts, key=Difference.id, scalars=True)


def last_repair(session: Session, space: Space, account_uin: int) -> Task | None:
    mine = (Task.account_uin == account_uin, Task.space_id == space.id, Task.type == TaskType.REPAIR)
    return session.scalar(select(Task).where(*mine).order_by(Task.created_at.desc(), Task.id).limit(1))


def differing(session: Session, space: Space) -> list[int]:
    """The numbers of the accounts that differ, by name."""
    return list(session.scalars(_from_members(space, Member.account_uin).where(_DIFFERS).order_by(Member.name_key)))


def all_accounts(session: Session, space: Space) -> list[int]:
    return list(session.scalars(_from_members(space, Member.account_uin).order_by(Member.name_key)))


def _rows(space: Space) -> Select[Any]:
    repairing = exists().where(
        Task.account_uin == Member.account_uin,
        Task.space_id == space.id,
        Task.type == TaskType.REPAIR,
        Task.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING]),
    )
    return _from_members(
        space,
        Member.account_uin,
        Member.name,
        AccountCheck.checked_at,
        func.coalesce(AccountCheck.differences, 0),
        func.coalesce(AccountCheck.problem, ""),
        func.coalesce(AccountCheck.asked, False),
        repairing,
    )


def _from_members(space: Space, *columns: Any) -> Select[Any]:
    mine = and_(AccountCheck.account_uin == Member.account_uin, AccountCheck.space_id == space.id)
    statement: Any = select(*columns).select_from(Member).outerjoin(AccountCheck, mine)
    return statement.where(Member.organization_id == space.organization_id)  # type: ignore[no-any-return]


def _kinds(session: Session, space: Space, uins: Sequence[int]) -> dict[int, list[tuple[DifferenceKind, int]]]:
    found: dict[int, list[tuple[DifferenceKind, int]]] = {}
    counted = (
        select(Difference.account_uin, Difference.kind, func.count())
        .where(Difference.space_id == space.id, Difference.account_uin.in_(uins))
        .group_by(Difference.account_uin, Difference.kind)
        .order_by(Difference.kind)
    )
    for uin, kind, count in session.execute(counted) if uins else ():
        found.setdefault(uin, []).append((kind, count))
    return found
