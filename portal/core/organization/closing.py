"""An organization ends (ORG-3). The cloud accounts that it held stay, with what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.access.models import BatchUser, OpenedSession, Task, TaskStatus
from portal.core.access.queries.removal import Removal, Scope, removal
from portal.core.access.rows import MOST, First
from portal.core.actor import Actor
from portal.core.audit import AuditEvent
from portal.core.cam.models import CamUser
from portal.core.database import Base
from portal.core.directory.models import User
from portal.core.errors import Conflict
from portal.core.federation.models import SignIn
from portal.core.organization.models import Member, Organization
from portal.core.organization.organizations import lock
from portal.core.space.models import Space


@dataclass(frozen=True)
class Obstacles:
    """Members besides the admin account; what the Identity Center has in the admin account; tasks under way."""

    members: First[str]
    held: Removal | None
    tasks: int

    @property
    def reasons(self) -> list[str]:
        found = [(self.members.total, "other member account"), (self.tasks, "open task")]
        if self.held is not None:
            found += [
                (self.held.authorizations.total, "authorization"),
                (self.held.syncs.total, "user synchronization"),
                (self.held.strays.total, "synchronized user"),
                (self.held.deployments.total, "deployed configuration"),
            ]
        return [f"{number} {what}{'' if number == 1 else 's'}" for number, what in found if number]


def obstacles(session: Session, organization: Organization) -> Obstacles:
    others = (Member.organization_id == organization.id, Member.account_uin != organization.admin_uin)
    total = session.scalar(select(func.count()).select_from(Member).where(*others)) or 0
    names = session.scalars(select(Member.name).where(*others).order_by(Member.name_key).limit(MOST)).all()
    space = session.scalar(select(Space).where(Space.organization_id == organization.id))
    if space is None:
        return Obstacles(First(names, total), None, 0)
    under_way = Task.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING])
    tasks = session.scalar(select(func.count()).select_from(Task).where(Task.space_id == space.id, under_way)) or 0
    held = removal(session, Scope(space, accounts=[organization.admin_uin]))
    return Obstacles(First(names, total), held, tasks)


def close_organization(session: Session, actor: Actor, *, organization: Organization) -> str:
    """Deletes the organization, its space and everything of these, and signs its administrators out; returns its name.

    Raises Conflict while a member account besides the admin account is left, something stands in the admin account, or
    tasks are under way. Audit events stay: under the negative number of the organization, because SQLite gives a number
    again.
    """
    lock(session, organization)
    members = select(Member.account_uin).where(Member.organization_id == organization.id)
    session.execute(members.order_by(Member.account_uin).with_for_update())  # before spaces, as a worker does
    spaces = session.scalars(select(Space).where(Space.organization_id == organization.id).with_for_update()).all()
    if reasons := obstacles(session, organization).reasons:
        raise Conflict(f"{organization.name} still has {', '.join(reasons)}. Remove these first.")
    audit.record(
        session,
        actor,
        "organization.close",
        target_type="organization",
        target_id=organization.id,
        target_name=organization.name,
        account_uin=organization.admin_uin,
        organization_id=organization.id,
        details={"spaces": [space.name for space in spaces]},
    )
    number, admin_uin, name = organization.id, organization.admin_uin, organization.name
    for space in spaces:
        _delete_space(session, space)
    _delete_rows(session, "organization_id", number, but=(AuditEvent, Space))
    administrators = select(CamUser.uin).where(CamUser.account_uin == admin_uin)
    signed_in = (SignIn.cam_user_uin.in_(administrators), SignIn.ended_at.is_(None))
    session.execute(update(SignIn).where(*signed_in).values(ended_at=clock.now()))
    session.execute(update(AuditEvent).where(AuditEvent.organization_id == number).values(organization_id=-number))
    session.execute(delete(Organization).where(Organization.id == number))
    return name


def _delete_space(session: Session, space: Space) -> None:
    batches = select(Task.batch_id).where(Task.space_id == space.id)
    session.execute(delete(BatchUser).where(BatchUser.batch_id.in_(batches)))
    people = select(User.id).where(User.space_id == space.id)
    session.execute(delete(OpenedSession).where(OpenedSession.user_id.in_(people)))
    _delete_rows(session, "space_id", space.id)
    session.execute(delete(Space).where(Space.id == space.id))


def _delete_rows(session: Session, column: str, value: object, *, but: Sequence[Any] = ()) -> None:
    """Of every table with such a column, so that a new one is not forgotten; what hangs on the rows goes by cascade."""
    kept = {one.__table__ for one in but}
    for table in reversed(Base.metadata.sorted_tables):
        if column in table.c and table not in kept:
            session.execute(delete(table).where(table.c[column] == value))
