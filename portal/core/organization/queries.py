"""What pages ask of an organization: its tree, its departments, its member accounts (ORG-2, MEM-1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, String, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from portal.core.errors import NotFound
from portal.core.organization.models import Department, Member, Organization
from portal.core.paging import Page, Search, paginate
from portal.core.text import contains


@dataclass
class Node:
    """A department in the tree; Root has depth 0. `member_count` counts the members right in it."""

    id: int
    name: str
    depth: int
    member_count: int
    children: list[Node] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Members in it and in all departments below."""
        return self.member_count + sum(child.total for child in self.children)


@dataclass(frozen=True)
class MemberRow:
    uin: int
    name: str
    department_id: int
    department_name: str
    joined_by: str
    payment_mode: str
    may_quit: bool
    joined_at: datetime


@dataclass(frozen=True)
class AccountPath:
    """Where an account stands: (id, name) of its department, of the one above, ... up to Root."""

    account_name: str
    departments: tuple[tuple[int, str], ...]


def tree(session: Session, organization: Organization) -> Node:
    """Root with everything below it, siblings by name; two statements, whatever its size."""
    counted = session.execute(
        select(Member.department_id, func.count())
        .where(Member.organization_id == organization.id)
        .group_by(Member.department_id)
    )
    members = dict(counted.all())
    rows = session.execute(
        select(Department.id, Department.parent_id, Department.name)
        .where(Department.organization_id == organization.id)
        .order_by(Department.name_key)
    ).all()
    below: dict[int | None, list[tuple[int, str]]] = {}
    for row in rows:
        below.setdefault(row.parent_id, []).append((row.id, row.name))

    def grow(department_id: int, name: str, depth: int) -> Node:
        children = [grow(child, child_name, depth + 1) for child, child_name in below.get(department_id, [])]
        return Node(department_id, name, depth, members.get(department_id, 0), children)

    return grow(*below[None][0], depth=0)


def counts(session: Session, organization: Organization) -> dict[str, int]:
    """For the overview: `members` and `departments` below Root."""
    members, departments = session.execute(
        select(
            select(func.count()).where(Member.organization_id == organization.id).scalar_subquery(),
            select(func.count())
            .where(Department.organization_id == organization.id, Department.parent_id.is_not(None))
            .scalar_subquery(),
        )
    ).one()
    return {"members": members, "departments": departments}


def flat(node: Node) -> list[Node]:
    """The tree from top to bottom, for lists to choose from."""
    return [node, *(below for child in node.children for below in flat(child))]


def department(session: Session, organization: Organization, department_id: int) -> Department:
    found = session.scalar(
        select(Department).where(Department.id == department_id, Department.organization_id == organization.id)
    )
    if found is None:
        raise NotFound("There is no such department.")
    return found


def root(session: Session, organization: Organization) -> Department:
    return session.execute(
        select(Department).where(Department.organization_id == organization.id, Department.parent_id.is_(None))
    ).scalar_one()


def path(session: Session, organization: Organization, department_id: int) -> list[Department]:
    """From Root down to the department itself. Raises NotFound."""
    chain = (
        select(Department.id, Department.parent_id)
        .where(Department.id == department_id, Department.organization_id == organization.id)
        .cte(recursive=True)
    )
    chain = chain.union_all(select(Department.id, Department.parent_id).join(chain, Department.id == chain.c.parent_id))
    found = {row.id: row for row in session.scalars(select(Department).join(chain, chain.c.id == Department.id))}
    if department_id not in found:
        raise NotFound("There is no such department.")
    steps = [found[department_id]]
    while (parent := steps[-1].parent_id) is not None:
        steps.append(found[parent])
    return steps[::-1]


def paths(session: Session, uins: Sequence[int], *conditions: ColumnElement[bool]) -> dict[int, AccountPath]:
    """By account, in one statement; `conditions` on Member and Organization leave accounts out."""
    start = (
        select(Member.account_uin, Member.name.label("account_name"), Member.department_id, literal(0).label("height"))
        .join(Organization, Organization.id == Member.organization_id)
        .where(Member.account_uin.in_(uins), *conditions)
        .cte("path", recursive=True)
    )
    above = (
        select(start.c.account_uin, start.c.account_name, Department.parent_id, start.c.height + 1)
        .join(Department, Department.id == start.c.department_id)
        .where(Department.parent_id.is_not(None))
    )
    path = start.union_all(above)
    found: dict[int, AccountPath] = {}
    for uin, account_name, department_id, name in session.execute(
        select(path.c.account_uin, path.c.account_name, Department.id, Department.name)
        .join(Department, Department.id == path.c.department_id)
        .order_by(path.c.account_uin, path.c.height)
    ):
        below = found[uin].departments if uin in found else ()
        found[uin] = AccountPath(account_name, (*below, (department_id, name)))
    return found


def accounts_below(
    session: Session, organization_id: int, departments: Sequence[int], accounts: Sequence[int] = ()
) -> list[tuple[int, str]]:
    """(number, name) of the members in one of the departments or below, and of `accounts`, by name."""
    start = select(Department.id).where(Department.id.in_(departments), Department.organization_id == organization_id)
    below = start.cte(recursive=True)
    below = below.union(select(Department.id).join(below, Department.parent_id == below.c.id))
    wanted = or_(Member.department_id.in_(select(below.c.id)), Member.account_uin.in_(accounts))
    members = select(Member.account_uin, Member.name).where(Member.organization_id == organization_id, wanted)
    return [(uin, name) for uin, name in session.execute(members.order_by(Member.name_key))]


def members_page(
    session: Session,
    organization: Organization,
    search: Search,
    department_id: int | None = None,
    with_below: bool = False,
) -> Page[MemberRow]:
    """Finds by name or account id. Sorts: name, uin, department, joined. Filter: `joined_by`.

    Only those of `department_id` when it is given, with `with_below` also those of the departments below it.
    """
    statement = _rows(organization)
    if department_id is not None and with_below:
        statement = statement.where(Member.department_id.in_(select(_below(organization, department_id).c.id)))
    elif department_id is not None:
        statement = statement.where(Member.department_id == department_id)
    if search.text:
        pattern = contains(search.text)
        statement = statement.where(
            or_(
                Member.name_key.like(pattern, escape="\\"),
                cast(Member.account_uin, String).like(pattern, escape="\\"),
            )
        )
    if search.filter("joined_by"):
        statement = statement.where(Member.joined_by == search.filter("joined_by"))
    sorts = {
        "name": Member.name_key,
        "uin": Member.account_uin,
        "department": Department.name_key,
        "joined": Member.joined_at,
    }
    page = paginate(session, statement, search, sorts=sorts, key=Member.account_uin)
    return Page([MemberRow(*row) for row in page.rows], page.total, page.search)


def members_of(session: Session, organization: Organization, uins: Sequence[int]) -> list[MemberRow]:
    """The named members, by name. Raises NotFound when one of them is none of this organization."""
    statement = _rows(organization).where(Member.account_uin.in_(uins)).order_by(Member.name_key)
    found = [MemberRow(*row) for row in session.execute(statement)]
    if len(found) != len(set(uins)):
        raise NotFound("There is no such member account in this organization.")
    return found


def member(session: Session, organization: Organization, uin: int) -> MemberRow:
    """Raises NotFound."""
    return members_of(session, organization, [uin])[0]


def _rows(organization: Organization) -> Select[Any]:
    statement: Any = (
        select(
            Member.account_uin,
            Member.name,
            Member.department_id,
            Department.name,
            Member.joined_by,
            Member.payment_mode,
            Member.may_quit,
            Member.joined_at,
        )
        .join(Department, Department.id == Member.department_id)
        .where(Member.organization_id == organization.id)
    )
    return statement  # type: ignore[no-any-return]


def _below(organization: Organization, department_id: int) -> CTE:
    """The ids of a department and of all below it."""
    ids = (
        select(Department.id)
        .where(Department.id == department_id, Department.organization_id == organization.id)
        .cte(recursive=True)
    )
    return ids.union_all(select(Department.id).join(ids, Department.parent_id == ids.c.id))
