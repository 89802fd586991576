"""Departments as target: an authorization on a department holds for all accounts in it and below, now and later.

What is wanted are DepartmentAuthorization rows. The Authorization rows of the accounts follow them: missing ones are
made (not `direct`) and granted by tasks, those that no department grants any more are removed by tasks. Whoever changes
what departments grant, or where an account is, holds the organization (`lock_organization`) until the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.access.authorizations import queue_revocations
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    DepartmentAuthorization,
    PrincipalType,
    TaskStatus,
    TaskType,
)
from portal.core.access.picking import Principal, chunks, pick_accounts, pick_configurations, pick_principals
from portal.core.access.queries import departments as queries
from portal.core.access.queries.authorizations import authorization_rows
from portal.core.access.rows import Place, Wanted
from portal.core.access.tasks import enqueue, new_batch
from portal.core.actor import Actor
from portal.core.database import execute_or
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.organization.models import Department, Organization
from portal.core.organization.organizations import lock_organization
from portal.core.space.models import Space

_MOVED_ON = Conflict("Somebody else changed one of these at the same moment. Try again.")
_OF_A_DEPARTMENT = ("user_id", "group_id", "configuration_id", "department_id")


def grant_departments(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    departments: Sequence[int],
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    configurations: Sequence[str],
) -> str:
    """Returns the batch's id, "" when there is no account in or below the departments yet.

    A task for each account and combination: it grants what is missing or still being granted, has succeeded where
    somebody holds it already, and has failed where the department granted it before. Raises NotFound, Invalid (none
    chosen), LimitReached, and Conflict when the departments grant all of it already.
    """
    wanted = list(dict.fromkeys(departments))
    number = len(wanted) * (len(set(users)) + len(set(groups))) * len(set(configurations))
    limits.check("triples_per_batch", number, what="authorizations of departments in one batch")
    lock_organization(session, space.organization_id)
    places = _pick_departments(session, space, wanted)
    configuration_names = pick_configurations(session, space, configurations)
    principals = pick_principals(session, space, users, groups)
    new, old = _grants(session, space, wanted, list(configuration_names), principals)
    if new:
        execute_or(session, insert(DepartmentAuthorization), new, _MOVED_ON)
        _new, made_now = _grants(session, space, wanted, list(configuration_names), principals)
    else:
        made_now = old
    accounts = queries.accounts_below(session, wanted)
    absent = queries.missing(session, accounts, list(made_now))
    if not new and not absent:
        raise Conflict(f"{_names(places)} {'grants' if len(places) == 1 else 'grant'} all of this already.")
    batch = _Batch(session, actor, space)
    batch.grant(absent)
    before = {item.triple for item, _direct in queries.held(session, accounts, list(old))} if old else set()
    there = [one for one in queries.held(session, accounts, list(made_now)) if one[0].triple not in batch.made]
    others = queries.departments_of(session, (item.authorization_id or 0 for item, _direct in there))
    waiting = queries.granting(session, (item.authorization_id or 0 for item, _direct in there))
    for item, direct in there:
        by = [place for place in others.get(item.authorization_id or 0, ()) if place.id not in wanted]
        if item.triple in before:
            batch.add(TaskType.GRANT, item, TaskStatus.FAILED, _exists(item))
        elif item.authorization_id in waiting:
            batch.add(TaskType.GRANT, item, TaskStatus.QUEUED, "")
        else:
            batch.add(TaskType.GRANT, item, TaskStatus.SUCCESS, _held(direct, by))
    batch.record("department_authorization.grant", departments=[one.name for one in places], made=len(new))
    return batch.id


def revoke_departments(session: Session, actor: Actor, *, space: Space, authorizations: Sequence[int]) -> str:
    """Takes department authorizations (by their ids) away, and with them what stands for them in accounts.

    What was granted directly, too, or another department grants stays open; its task says so. Returns the batch's id,
    "" when no account had any of it. Raises NotFound, Invalid (none chosen), LimitReached.
    """
    wanted = list(dict.fromkeys(authorizations))
    if not wanted:
        raise Invalid("Choose at least one authorization.", field="authorizations")
    lock_organization(session, space.organization_id)
    rows = queries.department_authorization_rows(session, space, wanted)
    if len(rows) != len(wanted):
        raise NotFound("One of the authorizations is not there (any more). Reload the page.")
    places = {row.department_id: row.department_name for row in rows}
    accounts = queries.accounts_below(session, list(places))
    there = queries.held(session, accounts, wanted)
    for chunk in chunks(wanted):
        session.execute(delete(DepartmentAuthorization).where(DepartmentAuthorization.id.in_(chunk)))
    others = queries.departments_of(session, (item.authorization_id or 0 for item, _direct in there))
    over = set(queries.surplus(session, accounts))
    batch = _Batch(session, actor, space)
    batch.revoke([item.authorization_id for item, _direct in there if item.authorization_id in over])
    for item, direct in there:
        if item.authorization_id not in over:
            reason = _stays(direct, others.get(item.authorization_id or 0, ()))
            batch.add(TaskType.REVOKE, item, TaskStatus.SUCCESS, reason)
    batch.record("department_authorization.revoke", departments=list(places.values()), removed=len(rows))
    return batch.id


def follow_moves(session: Session, actor: Actor, *, organization: Organization, accounts: Iterable[int]) -> str:
    """Bring accounts to what the departments above them grant; returns the batch's id, "" when nothing was to be done.

    To be called in the transaction that put the accounts, or a department above them, somewhere else. Raises
    LimitReached for several accounts.
    """
    space = session.scalar(select(Space).where(Space.organization_id == organization.id))
    if space is None:
        return ""
    session.flush()
    lock_organization(session, organization.id)
    uins = sorted(set(accounts))
    absent = queries.missing(session, uins)
    over = queries.surplus(session, uins)
    if not absent and not over:
        return ""
    batch = _Batch(session, actor, space, limited=len(uins) > 1)
    batch.check(len(absent) + len(over))
    batch.grant(absent)
    batch.revoke(over)
    batch.record("authorization.follow", accounts=len(uins), granted=len(batch.made), revoked=len(over))
    return batch.id


def repair(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    department: Department | None = None,
    account_uin: int | None = None,
) -> str:
    """Grants what departments grant and is missing, because a task failed: in one account, or in all of a department
    and below it. Returns the batch's id. Raises Conflict when nothing is missing.
    """
    organization = session.get_one(Organization, space.organization_id)
    lock_organization(session, organization.id)
    accounts: Iterable[int]
    if department is not None:
        accounts = queries.accounts_below(session, [department.id])
    else:
        accounts = pick_accounts(session, space, [account_uin] if account_uin else [])
    batch_id = follow_moves(session, actor, organization=organization, accounts=accounts)
    if not batch_id:
        raise Conflict("Nothing is missing (any more).")
    return batch_id


class _Batch:
    """The tasks of one action. `made` are the triples that it grants; `id` is "" as long as there is no task."""

    def __init__(self, session: Session, actor: Actor, space: Space, *, limited: bool = True) -> None:
        self.session, self.actor, self.space, self.limited = session, actor, space, limited
        self._id, self.number = new_batch(), 0
        self.made: set[tuple[str, int, str]] = set()
        self.revoked = 0

    @property
    def id(self) -> str:
        return self._id if self.number else ""

    def check(self, number: int) -> None:
        if self.limited:
            limits.check("triples_per_batch", number, what="authorizations in one batch")

    def grant(self, absent: Sequence[Wanted]) -> None:
        self.check(len(absent))
        self.made = _make(self.session, self.space, absent)
        for item in absent:
            if item.triple in self.made:
                self.add(TaskType.GRANT, item, TaskStatus.QUEUED, "")

    def revoke(self, ids: Sequence[int | None]) -> None:
        self.check(len(ids))
        for chunk in chunks(one for one in ids if one is not None):
            rows = authorization_rows(self.session, self.space, chunk)
            self.revoked += len(rows)
            self.number = queue_revocations(
                self.session, self.actor, space=self.space, batch_id=self._id, rows=rows, after=self.number
            )

    def add(self, type: TaskType, item: Wanted, status: TaskStatus, reason: str) -> None:
        self.number += 1
        enqueue(
            self.session,
            space_id=self.space.id,
            batch_id=self._id,
            number=self.number,
            type=type,
            status=status,
            reason=reason,
            direct=False,
            account_uin=item.account_uin,
            account_name=item.account_name,
            principal_type=item.principal_type,
            principal_id=item.principal_id,
            principal_name=item.principal_name,
            configuration_id=item.configuration_id,
            configuration_name=item.configuration_name,
            actor_name=self.actor.name,
        )

    def record(self, action: str, **details: Any) -> None:
        self.session.flush()
        audit.record(
            self.session,
            self.actor,
            action,
            target_type="batch",
            target_id=self.id,
            details={"tasks": self.number, **details},
            organization_id=self.space.organization_id,
        )


def _pick_departments(session: Session, space: Space, ids: Sequence[int]) -> list[Place]:
    if not ids:
        raise Invalid("Choose at least one department.", field="departments")
    found = {
        key: Place(key, name)
        for chunk in chunks(ids)
        for key, name in session.execute(
            select(Department.id, Department.name).where(
                Department.organization_id == space.organization_id, Department.id.in_(chunk)
            )
        )
    }
    if len(found) != len(ids):
        raise NotFound("There is no such department.", field="departments")
    return [found[key] for key in ids]


def _grants(
    session: Session,
    space: Space,
    departments: Sequence[int],
    configurations: Sequence[str],
    principals: Sequence[Principal],
) -> tuple[list[dict[str, Any]], dict[int, tuple[Any, ...]]]:
    """The combinations that no department authorization says yet, as rows, and those that are there, by their ids."""
    there: dict[int, tuple[Any, ...]] = {}
    wanted = {
        (one.user_id, one.group_id, configuration, department): None
        for department in departments
        for configuration in configurations
        for one in principals
    }
    table = DepartmentAuthorization
    columns = [getattr(table, name) for name in _OF_A_DEPARTMENT]
    for ids in chunks(departments):
        for named in chunks(configurations):
            rows = session.execute(
                select(table.id, *columns).where(table.department_id.in_(ids), table.configuration_id.in_(named))
            )
            there.update((key, tuple(values)) for key, *values in rows if tuple(values) in wanted)
    present = set(there.values())
    new = [
        {"space_id": space.id, **dict(zip(_OF_A_DEPARTMENT, one, strict=True))} for one in wanted if one not in present
    ]
    return new, there


def _make(session: Session, space: Space, absent: Sequence[Wanted]) -> set[tuple[str, int, str]]:
    """The authorizations, not direct; returns what was made. What somebody else makes in this moment is not.

    New ones go before those that are taken out of their removal: who deletes a user holds it before its authorizations.
    """
    made = _insert(session, space, [item for item in absent if item.authorization_id is None])
    old = {item.authorization_id: item for item in absent if item.authorization_id is not None}
    for chunk in chunks(old):
        again = session.scalars(
            update(Authorization)
            .where(Authorization.id.in_(chunk), Authorization.status == AuthorizationStatus.REMOVING)
            .values(status=AuthorizationStatus.GRANTING, direct=False, created_at=clock.now())
            .returning(Authorization.id),
            execution_options={"synchronize_session": False},
        )
        made |= {old.pop(key).triple for key in again}
    return made | _insert(session, space, list(old.values()))


def _insert(session: Session, space: Space, items: Sequence[Wanted]) -> set[tuple[str, int, str]]:
    session.flush()
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    table: Any = Authorization.__table__
    columns = (table.c.user_id, table.c.group_id, table.c.account_uin, table.c.configuration_id)
    statement = dialect.insert(table).on_conflict_do_nothing().returning(*columns)
    made: set[tuple[str, int, str]] = set()
    try:
        with session.connection().begin_nested():
            for chunk in chunks(items):
                rows = session.connection().execute(statement, [_columns(space, item) for item in chunk])
                made |= {(user_id or group_id, uin, key) for user_id, group_id, uin, key in rows}
    except IntegrityError as error:  # a user, group or configuration was deleted in this moment
        raise _MOVED_ON from error
    return made


def _columns(space: Space, item: Wanted) -> dict[str, Any]:
    return {
        "space_id": space.id,
        "user_id": item.principal_id if item.principal_type == PrincipalType.USER else None,
        "group_id": item.principal_id if item.principal_type == PrincipalType.GROUP else None,
        "account_uin": item.account_uin,
        "configuration_id": item.configuration_id,
        "direct": False,
    }


def _names(places: Sequence[Place]) -> str:
    return ", ".join(place.name for place in places[:3]) + (", ..." if len(places) > 3 else "")


def _exists(item: Wanted) -> str:
    return f"The department grants {item.configuration_name} to {item.principal_name} already."


def _held(direct: bool, by: Sequence[Place]) -> str:
    return (
        "Held already: granted directly." if direct or not by else f"Held already: department {_names(by)} grants it."
    )


def _stays(direct: bool, by: Sequence[Place]) -> str:
    return (
        "Stays open: granted directly, too."
        if direct or not by
        else f"Stays open: department {_names(by)} grants it, too."
    )
