"""What granting on a department would do in the accounts in it and below, said before it is submitted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from portal.core import limits
from portal.core.access import preview
from portal.core.access.models import Authorization, AuthorizationStatus, DepartmentAuthorization
from portal.core.access.queries.departments import below
from portal.core.access.rows import First
from portal.core.access.selection import Named, Selection
from portal.core.organization.models import Member
from portal.core.space.models import Space


@dataclass(frozen=True)
class Preview(preview.Preview):
    """`tasks` has one for each account and combination; those for what is `held` already end at once. `granted` are
    the combinations that the department grants already, whose tasks fail where somebody holds them."""

    places: int = 0
    tasks: int = 0
    held: int = 0
    granted: int = 0


def authorizations(session: Session, space: Space, department_id: int, picked: Selection) -> Preview:
    """Of `departments.grant_departments`. Room in the accounts does not refuse it: the tasks without any fail."""
    number = picked.principals * len(picked.configurations)
    if words := limits.refusal("triples_per_batch", number, what="authorizations of departments in one batch"):
        return Preview(First([words], 1))
    members = select(Member.account_uin, Member.name).where(
        Member.department_id.in_(select(below([department_id]).c.id))
    )
    accounts = [Named(str(uin), name) for uin, name in session.execute(members.order_by(Member.name_key))]
    held_here = and_(
        _of(picked, Authorization),
        Authorization.account_uin.in_(members.with_only_columns(Member.account_uin)),
        Authorization.status != AuthorizationStatus.REMOVING,
    )
    there = preview.per_account(session, Authorization, held_here)
    mine = and_(_of(picked, DepartmentAuthorization), DepartmentAuthorization.department_id == department_id)
    counted: dict[str, Any] = {
        "places": len(accounts),
        "tasks": len(accounts) * number,
        "held": sum(there.values()),
        "granted": session.scalar(select(func.count()).select_from(DepartmentAuthorization).where(mine)) or 0,
    }
    new = counted["tasks"] - counted["held"]
    if words := limits.refusal("triples_per_batch", new, what="authorizations in one batch"):
        return Preview(First([words], 1), **counted)
    everywhere = replace(picked, accounts=accounts)
    disabled = preview.disabled_of(session, picked)
    found = preview.of_roles(session, space, everywhere, number, there, disabled=disabled)
    return Preview(**{**vars(found), "refusals": First(), "failing": found.refusals, "existing": First(), **counted})


def _of(picked: Selection, model: type[Authorization] | type[DepartmentAuthorization]) -> ColumnElement[bool]:
    return and_(
        model.configuration_id.in_(picked.configuration_ids),
        or_(model.user_id.in_(picked.user_ids), model.group_id.in_(picked.group_ids)),
    )
