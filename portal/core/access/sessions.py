"""Sessions that people opened inside accounts from here: whoever may not use one any more is put out of it.

A log-in is written down; what takes access away queues one task per account where somebody concerned may be inside.
The task works out what each of them may still use when it runs, so that the order of tasks does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, or_, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.access.models import Authorization, OpenedSession, PrincipalType, TaskType
from portal.core.access.picking import Principal, chunks
from portal.core.access.syncs import queue_per_account
from portal.core.actor import Actor
from portal.core.directory.models import Group, Membership, User
from portal.core.errors import Forbidden
from portal.core.organization.models import Member

ANSWER_LIFETIME = timedelta(minutes=2)
"""How long an account may take a response that we signed."""

SETTLED_AFTER = timedelta(minutes=4)
"""By then no account takes it any more, whatever its clock says (within 90 seconds): nobody comes in late."""

_CLEANED_AT_ONCE = 100
_opened: Any = OpenedSession.__table__
_ANYBODY_INSIDE = (  # built once: asked whenever somebody leaves a group or is disabled, and mostly answered with no
    select(_opened.c.id)
    .where(_opened.c.user_id.in_(bindparam("user_ids", expanding=True)), _opened.c.ends_at > bindparam("now"))
    .limit(1)
)


def remember(
    session: Session, *, user: User, account_uin: int, configuration_id: str | None, lasting: timedelta
) -> OpenedSession:
    """A log-in to the account, as a role or (None) as the CAM user. The latest end of several counts.

    Waits for who disables or deletes the user in this moment. Raises Forbidden when they were quicker.
    """
    enabled = select(User.id).where(User.id == user.id, User.enabled).with_for_update(read=True)
    if session.scalar(enabled) is None:
        raise Forbidden("Login is disabled.")
    now = clock.now()
    _forget_some(session, now)
    ends_at = now + SETTLED_AFTER + lasting
    known = session.scalars(
        select(OpenedSession)
        .where(
            OpenedSession.user_id == user.id,
            OpenedSession.account_uin == account_uin,
            OpenedSession.configuration_id.is_not_distinct_from(configuration_id),
        )
        .order_by(OpenedSession.id)
    ).first()
    if known is None:
        known = OpenedSession(user_id=user.id, account_uin=account_uin, configuration_id=configuration_id)
        known.ends_at = ends_at
        session.add(known)
    known.opened_at, known.ends_at = now, max(known.ends_at, ends_at)
    session.flush()
    return known


def end_all(session: Session, actor: Actor, *, user: User) -> None:
    """The user was disabled or deleted."""
    if not _anybody_inside(session, [user.id]):
        return
    about = Principal(PrincipalType.USER, user.id, user.user_name)
    _queue(session, actor, user.space_id, about, OpenedSession.user_id == user.id)


def end_after_leaving(session: Session, actor: Actor, *, group: Group, user_ids: Sequence[str]) -> None:
    """Users left the group: what it opened to them may be theirs no longer."""
    opened = (
        select(Authorization.id)
        .where(
            Authorization.group_id == group.id,
            Authorization.account_uin == OpenedSession.account_uin,
            Authorization.configuration_id == OpenedSession.configuration_id,
        )
        .exists()
    )
    about = Principal(PrincipalType.GROUP, group.id, group.name)
    for chunk in chunks(user_ids):
        if not _anybody_inside(session, chunk):
            continue
        _queue(session, actor, group.space_id, about, OpenedSession.user_id.in_(chunk), opened)


def end_after_revoking(
    session: Session, actor: Actor, *, space_id: str, about: Principal | None, revoked: ColumnElement[bool]
) -> None:
    """The `revoked` authorizations go. To be called while they and the memberships of their groups are there.

    `about` is whose they are, None when they are several people's.
    """
    held = (
        select(Authorization.id)
        .where(
            revoked,
            Authorization.account_uin == OpenedSession.account_uin,
            Authorization.configuration_id == OpenedSession.configuration_id,
            held_by(Authorization, OpenedSession.user_id),
        )
        .exists()
    )
    _queue(session, actor, space_id, about, held)


def held_by(table: Any, user_id: Any) -> ColumnElement[bool]:
    """The authorization or synchronization is the user's, directly or by a group. `user_id` is a column outside."""
    joined = select(Membership.user_id).where(Membership.group_id == table.group_id, Membership.user_id == user_id)
    return or_(table.user_id == user_id, joined.exists())


def _anybody_inside(session: Session, user_ids: Sequence[str]) -> bool:
    session.flush()
    asked = {"user_ids": user_ids, "now": clock.now()}
    return session.connection().execute(_ANYBODY_INSIDE, asked).first() is not None


def _queue(
    session: Session, actor: Actor, space_id: str, about: Principal | None, *concerned: ColumnElement[bool]
) -> None:
    session.flush()
    rows = session.execute(
        select(OpenedSession.user_id, OpenedSession.account_uin, Member.name)
        .join(Member, Member.account_uin == OpenedSession.account_uin)
        .where(OpenedSession.ends_at > clock.now(), *concerned)
        .distinct()
    ).all()
    if rows:
        accounts: list[tuple[int, str, str | None, str | None]] = [
            (uin, name, None, None) for uin, name in sorted({(uin, name) for _user_id, uin, name in rows})
        ]
        user_ids = sorted({user_id for user_id, _uin, _name in rows})
        queue_per_account(
            session,
            actor,
            space_id=space_id,
            about=about,
            user_ids=user_ids,
            accounts=accounts,
            type=TaskType.END_SESSIONS,
        )


def _forget_some(session: Session, now: datetime) -> None:
    """A log-in takes a few rows along that ended, so that the table keeps its size."""
    over = select(OpenedSession.id).where(OpenedSession.ends_at <= now).order_by(OpenedSession.ends_at)
    some = over.limit(_CLEANED_AT_ONCE).with_for_update(skip_locked=True)
    session.execute(delete(OpenedSession).where(OpenedSession.id.in_(session.scalars(some).all())))
