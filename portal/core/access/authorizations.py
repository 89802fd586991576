"""Verbs on authorizations (IC-12, IC-13): who may take which role in which account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.access import room, sessions
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    Deployment,
    DeploymentStatus,
    Task,
    TaskStatus,
    TaskType,
)
from portal.core.access.picking import (
    Principal,
    chunks,
    pick_accounts,
    pick_configurations,
    pick_principals,
)
from portal.core.access.queries.authorizations import authorization_rows
from portal.core.access.queries.departments import departments_of
from portal.core.access.queries.entries import open_roles
from portal.core.access.rows import AuthorizationRow
from portal.core.access.tasks import enqueue, new_batch
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.directory.models import User
from portal.core.errors import Conflict, Forbidden, Invalid, NotFound
from portal.core.organization.models import Account, Member
from portal.core.organization.organizations import lock_organization
from portal.core.space.models import Space


@dataclass(frozen=True)
class Entry:
    """The open door of one role: what a sign-on to the account needs (IC-17)."""

    account: Account
    configuration: Configuration
    deployment: Deployment


class _Held(NamedTuple):
    """An authorization that is there."""

    id: int
    status: str
    direct: bool


def grant(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    accounts: Sequence[int],
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    configurations: Sequence[str],
) -> str:
    """One task per identity x account x configuration (IC-12); returns the batch's id.

    A combination that exists already becomes a failed task with that reason, all others go on; what only a department
    granted is then granted directly, too. Raises NotFound for what is not of this space, Invalid for an empty
    selection, LimitReached.
    """
    sizes = [len(set(accounts)), len(set(users)) + len(set(groups)), len(set(configurations))]
    limits.check("triples_per_batch", sizes[0] * sizes[1] * sizes[2], what="authorizations in one batch")
    account_names = pick_accounts(session, space, accounts)
    configuration_names = pick_configurations(session, space, configurations)
    principals = pick_principals(session, space, users, groups)
    room.check_roles(session, account_names, configuration_names)
    existing = _existing(session, space, account_names, configuration_names)
    wanted = [
        (principal, uin, configuration_id)
        for uin in account_names
        for configuration_id in configuration_names
        for principal in principals
    ]
    for principal, uin, configuration_id in wanted:
        if (principal.id, uin, configuration_id) not in existing:
            session.add(
                Authorization(
                    space_id=space.id,
                    user_id=principal.user_id,
                    group_id=principal.group_id,
                    account_uin=uin,
                    configuration_id=configuration_id,
                )
            )
    flush_or(session, Conflict("Somebody else granted one of these at the same moment. Try again."))
    taken_over = _make_direct(session, [existing[key] for one, *rest in wanted if (key := (one.id, *rest)) in existing])
    batch_id, now, failed = new_batch(), clock.now(), 0
    for number, (principal, uin, configuration_id) in enumerate(wanted, 1):
        held = existing.get((principal.id, uin, configuration_id))
        status, reason = TaskStatus.QUEUED, ""
        if held is not None and held.id not in taken_over:
            name = configuration_names[configuration_id]
            status = TaskStatus.FAILED
            reason = why_not_granted(principal.name, name, held.status, direct=held.direct)
            failed += 1
        elif held is not None and held.status == AuthorizationStatus.ACTIVE:
            status, reason = TaskStatus.SUCCESS, "Held already by a department; now directly, too."
        enqueue(
            session,
            space_id=space.id,
            batch_id=batch_id,
            number=number,
            type=TaskType.GRANT,
            status=status,
            reason=reason,
            account_uin=uin,
            account_name=account_names[uin],
            principal_type=principal.type,
            principal_id=principal.id,
            principal_name=principal.name,
            configuration_id=configuration_id,
            configuration_name=configuration_names[configuration_id],
            actor_name=actor.name,
            created_at=now,
        )
    session.flush()
    _record(session, actor, "authorization.grant", batch_id, tasks=len(wanted), existing=failed)
    return batch_id


def revoke(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    authorizations: Sequence[int],
    undeploy_last: bool = False,
) -> str:
    """Access stops with this transaction; one task per authorization ends it; returns the batch's id.

    What a department grants stays open: one that was granted directly, too, is the department's only from now on, and
    the task of one that was not has failed. With `undeploy_last` a configuration that nobody uses any more in an
    account is undeployed there afterwards (DeprovisionForLastRoleAssignmentOnAccount). Raises NotFound, Invalid (none
    chosen), and Conflict when departments alone grant all of them.
    """
    wanted = list(dict.fromkeys(authorizations))
    if not wanted:
        raise Invalid("Choose at least one authorization.", field="authorizations")
    limits.check("triples_per_batch", len(wanted), what="authorizations in one batch")
    lock_organization(session, space.organization_id)
    rows = [row for chunk in chunks(wanted) for row in authorization_rows(session, space, chunk)]
    if len(rows) != len(wanted):
        raise NotFound("One of the authorizations is not there (any more). Reload the page.")
    granting = departments_of(session, (row.id for row in rows if row.status != AuthorizationStatus.REMOVING))
    kept = [replace(row, departments=granting[row.id]) for row in rows if row.id in granting]
    if len(kept) == len(rows) and not any(row.direct for row in kept):
        raise Conflict(_by_department(kept[0]))
    batch_id = new_batch()
    rows = [row for row in rows if row.id not in granting]
    number = queue_revocations(session, actor, space=space, batch_id=batch_id, rows=rows)
    number = _leave_to_departments(session, actor, space=space, batch_id=batch_id, rows=kept, after=number)
    if undeploy_last:
        used = {(row.account_uin, row.configuration_id) for row in rows}
        for deployment, configuration_name, account_name in _unused(session, space, sorted(used)):
            number += 1
            queue_undeployment(
                session,
                actor,
                deployment,
                batch_id=batch_id,
                number=number,
                configuration_name=configuration_name,
                account_name=account_name,
            )
    session.flush()
    _record(session, actor, "authorization.revoke", batch_id, tasks=number, undeploy_last=undeploy_last)
    return batch_id


def entry(session: Session, user: User, *, account_uin: int, configuration_id: str) -> Entry:
    """Checked at this moment (IC-17): held (also by a group), Active, deployed, the user enabled. Raises Forbidden."""
    found = session.execute(
        open_roles(user)
        .join(Account, Account.uin == Authorization.account_uin)
        .with_only_columns(Account, Configuration, Deployment, maintain_column_froms=True)
        .where(Authorization.account_uin == account_uin, Authorization.configuration_id == configuration_id)
        .limit(1)
    ).first()
    if found is None:
        raise Forbidden("This role is not open to you (any more).")
    return Entry(*found)


def queue_revocations(
    session: Session, actor: Actor, *, space: Space, batch_id: str, rows: Sequence[AuthorizationRow], after: int = 0
) -> int:
    """Mark the authorizations Removing and queue a task for each; returns the last task's number.

    Their tasks come after the one of number `after` in their batch.
    """
    for chunk in chunks(row.id for row in rows):
        held = session.scalars(select(Authorization).where(Authorization.id.in_(chunk)))
        for authorization in held:
            authorization.status = AuthorizationStatus.REMOVING
    now = clock.now()
    for number, row in enumerate(rows, after + 1):
        _enqueue_revocation(session, actor, space, batch_id=batch_id, number=number, row=row, created_at=now)
    holders = {Principal(row.principal_type, row.principal_id, row.principal_name) for row in rows}
    about = holders.pop() if len(holders) == 1 else None
    for chunk in chunks(row.id for row in rows):
        revoked = Authorization.id.in_(chunk)
        sessions.end_after_revoking(session, actor, space_id=space.id, about=about, revoked=revoked)
    return after + len(rows)


def _leave_to_departments(
    session: Session, actor: Actor, *, space: Space, batch_id: str, rows: Sequence[AuthorizationRow], after: int
) -> int:
    """What departments grant is not direct any more, and stays; returns the last task's number."""
    for chunk in chunks(row.id for row in rows):
        session.execute(
            update(Authorization).where(Authorization.id.in_(chunk)).values(direct=False),
            execution_options={"synchronize_session": False},
        )
    for number, row in enumerate(rows, after + 1):
        names = ", ".join(place.name for place in row.departments)
        status, reason = TaskStatus.SUCCESS, f"Stays open: department {names} grants it, too."
        if not row.direct:
            status, reason = TaskStatus.FAILED, _by_department(row)
        _enqueue_revocation(
            session, actor, space, batch_id=batch_id, number=number, row=row, status=status, reason=reason
        )
    return after + len(rows)


def _by_department(row: AuthorizationRow) -> str:
    names = ", ".join(place.name for place in row.departments)
    return (
        f"{row.principal_name} has {row.configuration_name} in {row.account_name} by department {names}. "
        "Remove it from the department, or move the account."
    )


def _enqueue_revocation(session: Session, actor: Actor, space: Space, *, row: AuthorizationRow, **columns: Any) -> None:
    enqueue(
        session,
        space_id=space.id,
        type=TaskType.REVOKE,
        account_uin=row.account_uin,
        account_name=row.account_name,
        principal_type=row.principal_type,
        principal_id=row.principal_id,
        principal_name=row.principal_name,
        configuration_id=row.configuration_id,
        configuration_name=row.configuration_name,
        actor_name=actor.name,
        **columns,
    )


def queue_undeployment(
    session: Session,
    actor: Actor,
    deployment: Deployment,
    *,
    batch_id: str,
    number: int,
    configuration_name: str,
    account_name: str,
) -> Task:
    """Runs after the earlier tasks of its batch in the account, and fails when one of them did."""
    deployment.status = DeploymentStatus.UNDEPLOYING
    deployment.updated_at = clock.now()
    return enqueue(
        session,
        space_id=deployment.space_id,
        batch_id=batch_id,
        number=number,
        type=TaskType.UNDEPLOY,
        account_uin=deployment.account_uin,
        account_name=account_name,
        configuration_id=deployment.configuration_id,
        configuration_name=configuration_name,
        actor_name=actor.name,
    )


def _existing(
    session: Session, space: Space, accounts: dict[int, str], configurations: dict[str, str]
) -> dict[tuple[str, int, str], _Held]:
    """By (principal, account, configuration)."""
    found: dict[tuple[str, int, str], _Held] = {}
    for uins in chunks(accounts):
        for ids in chunks(configurations):
            rows = session.execute(
                select(
                    func.coalesce(Authorization.user_id, Authorization.group_id),
                    Authorization.account_uin,
                    Authorization.configuration_id,
                    Authorization.id,
                    Authorization.status,
                    Authorization.direct,
                ).where(
                    Authorization.space_id == space.id,
                    Authorization.account_uin.in_(uins),
                    Authorization.configuration_id.in_(ids),
                )
            )
            found.update({(row[0], row[1], row[2]): _Held(*row[3:]) for row in rows})
    return found


def _make_direct(session: Session, held: Sequence[_Held]) -> set[int]:
    """The ids of those that only a department granted until now."""
    made: set[int] = set()
    for chunk in chunks(one.id for one in held if not one.direct):
        statement = (
            update(Authorization)
            .where(
                Authorization.id.in_(chunk),
                Authorization.direct.is_(False),
                Authorization.status != AuthorizationStatus.REMOVING,
            )
            .values(direct=True)
            .returning(Authorization.id)
        )
        made.update(session.scalars(statement, execution_options={"synchronize_session": False}))
    return made


def why_not_granted(principal_name: str, configuration_name: str, status: str, *, direct: bool) -> str:
    """For an authorization that is there already; one that only a department granted may be taken over meanwhile."""
    if status == AuthorizationStatus.REMOVING or not direct:
        return f"The authorization of {principal_name} for {configuration_name} is being removed. Try again after that."
    return f"The authorization already exists: {principal_name} has {configuration_name} in this account."


def _unused(session: Session, space: Space, pairs: Sequence[tuple[int, str]]) -> list[tuple[Deployment, str, str]]:
    """Deployments among the (account, configuration) `pairs` that no authorization needs any more."""
    needed = (
        select(Authorization.id)
        .where(
            Authorization.account_uin == Deployment.account_uin,
            Authorization.configuration_id == Deployment.configuration_id,
            Authorization.status != AuthorizationStatus.REMOVING,
        )
        .exists()
    )
    found: list[tuple[Deployment, str, str]] = []
    for uins in chunks(sorted({uin for uin, _ in pairs})):
        rows = session.execute(
            select(Deployment, Configuration.name, Member.name)
            .join(Configuration, Configuration.id == Deployment.configuration_id)
            .join(Member, Member.account_uin == Deployment.account_uin)
            .where(
                Deployment.space_id == space.id,
                Deployment.account_uin.in_(uins),
                Deployment.status != DeploymentStatus.UNDEPLOYING,
                ~needed,
            )
            .order_by(Deployment.id)
        )
        wanted = set(pairs)
        found += [(d, c, a) for d, c, a in rows if (d.account_uin, d.configuration_id) in wanted]
    return found


def _record(session: Session, actor: Actor, action: str, batch_id: str, **details: object) -> None:
    audit.record(session, actor, action, target_type="batch", target_id=batch_id, details=dict(details))
