"""Ending what people opened inside accounts and may not use any more (reference: SCIM deactivation within minutes).

Like the users of a synchronization, worked out when the task runs: who got the same role again meanwhile stays in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, delete, func, select
from sqlalchemy.orm import Session

from portal.clouds import Connector
from portal.core import clock
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    BatchUser,
    Deployment,
    OpenedSession,
    SyncStatus,
    Task,
    TaskType,
    UserSync,
)
from portal.core.access.sessions import SETTLED_AFTER, held_by
from portal.core.access.tasks import enqueue
from portal.core.directory.models import User
from portal.worker.kinds import Keep, Kind, Work, record
from portal.worker.users import give_up_nothing


@dataclass(frozen=True)
class Closed:
    """Rows of one user that are to go. `roles` is None when nothing in the account is open to the user any more."""

    user_id: str
    user_name: str
    roles: tuple[str, ...] | None
    rows: tuple[tuple[int, datetime], ...]


@dataclass(frozen=True)
class EndSessions:
    closed: Sequence[Closed]
    space_id: str

    @property
    def calls(self) -> bool:
        return bool(self.closed)

    def perform(self, connector: Connector, keep: Keep) -> None:
        for one in self.closed:
            for role_name in (None,) if one.roles is None else one.roles:
                keep()
                connector.end_sessions(source_identity=one.user_id, role_name=role_name, managed_by=self.space_id)

    def record(self, session: Session, task: Task) -> str:
        """Rows of a log-in so fresh that its response may still be on the way stay, for one more look after that."""
        late: list[datetime] = []
        for one in self.closed:
            details = {"roles": "all" if one.roles is None else list(one.roles)}
            record(session, task, "sessions.ended", target=("user", one.user_id, one.user_name), details=details)
            for row_id, opened_at in one.rows:
                if opened_at + SETTLED_AFTER > clock.now():
                    late.append(opened_at + SETTLED_AFTER)
                else:
                    same = (OpenedSession.id == row_id, OpenedSession.opened_at == opened_at)
                    session.execute(delete(OpenedSession).where(*same))
        if late:
            _look_again(session, task, max(late))
        return ""


def plan_end_sessions(session: Session, task: Task, *, base_url: str) -> Work:
    named = select(BatchUser.user_id).where(BatchUser.batch_id == task.batch_id)
    granted = select(Authorization.id).where(
        Authorization.account_uin == OpenedSession.account_uin,
        Authorization.configuration_id == OpenedSession.configuration_id,
        Authorization.status != AuthorizationStatus.REMOVING,
        held_by(Authorization, OpenedSession.user_id),
    )
    synchronized = select(UserSync.id).where(
        UserSync.account_uin == OpenedSession.account_uin,
        UserSync.space_id == task.space_id,
        UserSync.status != SyncStatus.DELETING,
        held_by(UserSync, OpenedSession.user_id),
    )
    held = case((OpenedSession.configuration_id.is_(None), synchronized.exists()), else_=granted.exists())
    found = session.execute(
        select(OpenedSession, Deployment.role_name, func.coalesce(User.enabled, False) & held, User.user_name)
        .outerjoin(User, User.id == OpenedSession.user_id)
        .outerjoin(
            Deployment,
            (Deployment.account_uin == OpenedSession.account_uin)
            & (Deployment.configuration_id == OpenedSession.configuration_id),
        )
        .where(OpenedSession.account_uin == task.account_uin, OpenedSession.user_id.in_(named))
        .order_by(OpenedSession.user_id, OpenedSession.id)
    ).all()
    closed = []
    for user_id in dict.fromkeys(row.user_id for row, *_rest in found):
        mine = [one for one in found if one[0].user_id == user_id]
        ends = [(row, role) for row, role, is_open, _name in mine if not is_open]
        if ends:
            # among open roles a CAM user is left to its synchronization, whose own task removes or releases it
            roles = tuple(role for _row, role in ends if role) if len(ends) < len(mine) else None
            closed.append(
                Closed(user_id, mine[0].user_name or "", roles, tuple((row.id, row.opened_at) for row, _role in ends))
            )
    return EndSessions(closed, task.space_id)


def _look_again(session: Session, task: Task, at: datetime) -> None:
    enqueue(
        session,
        space_id=task.space_id,
        batch_id=task.batch_id,
        number=task.number,
        type=TaskType.END_SESSIONS,
        account_uin=task.account_uin,
        account_name=task.account_name,
        principal_type=task.principal_type,
        principal_id=task.principal_id,
        principal_name=task.principal_name,
        actor_name=task.actor_name,
        not_before=at,
    )


KINDS = {TaskType.END_SESSIONS: Kind(plan_end_sessions, give_up_nothing)}
