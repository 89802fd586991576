"""Holds back a push that would take away too many users at once (IC-7): a fault at the IdP, such as a filter that
suddenly matches nobody, otherwise deletes everybody's access within a minute.

    watching   deletions and deactivations of enabled users of SCIM are counted, in windows of a day from the first one
       | the next one would be more than max(5, percent of the users at the start of the window)
    paused     every further one is refused; the IdP tries again later, all else goes on
       | an administrator: let it through -> open for a day, nothing is counted, then watching
       | an administrator: keep them      -> watching, with a new window
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.audit import AuditEvent
from portal.core.directory.models import Source, User
from portal.core.errors import Conflict, Invalid, Unavailable
from portal.core.push.models import ScimGuard
from portal.core.space.models import Space, SpaceKey

LEAST = 5
"""So many are always allowed in a window: a percentage says little about a small directory."""
TRIAL = timedelta(hours=1)
"""Who came within the last hour goes uncounted: a trial of a connection makes users and deletes them again."""
WINDOW = timedelta(hours=24)
OPEN = timedelta(hours=24)
RETRY_AFTER = timedelta(minutes=10)
_NAMES = 10
_guards: Any = ScimGuard.__table__.c
_COUNT = (  # one more in the window, in one statement: all but the first and the last go by here
    update(ScimGuard.__table__)  # type: ignore[arg-type]
    .where(_guards.space_id == bindparam("of"), _guards.percent > 0, _guards.paused_at.is_(None))
    .where(_guards.window_started_at > bindparam("began"))
    .where(or_(_guards.open_until.is_(None), _guards.open_until <= bindparam("now")))
    .where(or_(_guards.taken < LEAST, _guards.taken < _guards.users_at_start * _guards.percent // 100))
    .values(taken=_guards.taken + 1)
)
_LOOKED_THROUGH = 200


class HeldBack(Unavailable):
    """503, because that is what IdPs try again: nothing gets lost while a person decides."""


@dataclass(frozen=True)
class Pause:
    """`allowed` went through of `users` before; `held_back` counts attempts; `names` are the latest concerned."""

    since: datetime
    allowed: int
    users: int
    held_back: int
    names: Sequence[str]


def allowed(percent: int, users: int) -> int:
    """How many may go within a window that began with `users`."""
    return max(LEAST, users * percent // 100)


def lock(session: Session, space: Space | SpaceKey) -> ScimGuard | None:
    """The guard of the space, to the end of the transaction nobody else's; None when it is off.

    It goes before the rows of users: two requests then wait for each other, and none is killed.
    """
    statement = select(ScimGuard).where(ScimGuard.space_id == space.id, ScimGuard.percent > 0).with_for_update()
    statement = statement.execution_options(populate_existing=True)
    guard = session.scalar(statement)
    if guard is None and session.get(ScimGuard, space.id) is None:
        with suppress(IntegrityError), session.begin_nested():  # somebody else was quicker
            session.add(ScimGuard(space_id=space.id))
        guard = session.scalar(statement)
    return guard


def take(session: Session, *, space: Space | SpaceKey, user: User) -> None:
    """To be called by a push before it deletes or deactivates a user. Raises HeldBack."""
    now = clock.now()
    if not user.enabled or user.source != Source.SCIM or now - user.created_at < TRIAL:
        return
    session.flush()
    if session.connection().execute(_COUNT, {"of": space.id, "now": now, "began": now - WINDOW}).rowcount:
        return
    guard = lock(session, space)
    if guard is None or _is_open(guard, now):
        return
    if guard.paused_at is None and (guard.window_started_at is None or now - guard.window_started_at >= WINDOW):
        guard.window_started_at, guard.taken = now, 0
        guard.users_at_start = _enabled_users(session, space)
    if guard.paused_at is not None or _is_used_up(session, space, guard):
        raise HeldBack(_reason(guard))
    guard.taken += 1
    session.flush()


def hold(session: Session, actor: Actor, *, space_id: str, user_id: str, user_name: str, reason: str) -> None:
    """Write down that HeldBack was raised, in another transaction than the one that it undid. The first one pauses.

    Looked at once more: an administrator may have decided in this moment.
    """
    space = session.get_one(Space, space_id)
    guard = lock(session, space)
    if (
        guard is not None
        and guard.paused_at is None
        and not _is_open(guard, clock.now())
        and _is_used_up(session, space, guard)
    ):
        guard.paused_at, guard.held_back = clock.now(), 0
        _record(session, actor, "guard.pause", space, allowed=guard.taken, users=guard.users_at_start)
    if guard is not None and guard.paused_at is not None:
        guard.held_back += 1
    audit.record(
        session, actor, "guard.hold", target_type="user", target_id=user_id, target_name=user_name,
        result=audit.Result.REFUSED, reason=reason,
    )  # fmt: skip


def open_guard(session: Session, actor: Actor, *, space: Space) -> datetime:
    """Let it through: for a day nothing is held back. Raises Conflict when nothing is paused (any more)."""
    guard = _paused(session, space)
    held_back = guard.held_back
    _forget(guard)
    guard.open_until = clock.now() + OPEN
    _record(session, actor, "guard.open", space, until=guard.open_until.isoformat(), held_back=held_back)
    return guard.open_until


def reset_guard(session: Session, actor: Actor, *, space: Space) -> None:
    """Keep the users: counting begins anew, for when the fault at the IdP is mended. Ends a day of letting through too.

    Raises Conflict when there is nothing to end.
    """
    guard = lock(session, space)
    if guard is None or (guard.paused_at is None and not _is_open(guard, clock.now())):
        raise Conflict("The push is not paused any more.")
    held_back = guard.held_back
    _forget(guard)
    _record(session, actor, "guard.reset", space, held_back=held_back)


def update_guard(session: Session, actor: Actor, *, space: Space, percent: int) -> None:
    """0 switches the guard off and ends a pause. A pause outlasts any other percentage: a person shall decide.

    Raises Invalid.
    """
    if not 0 <= percent <= 100:
        raise Invalid("The share is a whole number of percent from 0 to 100.", field="percent")
    lock(session, space)
    guard = session.get_one(ScimGuard, space.id)
    before, guard.percent = guard.percent, percent
    if not percent:
        _forget(guard)
    if before != percent:
        _record(session, actor, "guard.update", space, percent=percent, before=before)


def state(session: Session, space: Space) -> ScimGuard:
    """As it is, or as it will begin."""
    return session.get(ScimGuard, space.id) or ScimGuard(space_id=space.id, percent=20)


def open_until(guard: ScimGuard) -> datetime | None:
    return guard.open_until if _is_open(guard, clock.now()) else None


def pause_of(session: Session, space: Space) -> Pause | None:
    guard = session.get(ScimGuard, space.id)
    if guard is None or guard.paused_at is None:
        return None
    statement = select(AuditEvent.target_name).where(
        AuditEvent.organization_id == space.organization_id,
        AuditEvent.action == "guard.hold",
        AuditEvent.at >= guard.paused_at,
    )
    latest = session.scalars(statement.order_by(AuditEvent.id.desc()).limit(_LOOKED_THROUGH))
    names = list(dict.fromkeys(latest))[:_NAMES]
    return Pause(guard.paused_at, guard.taken, guard.users_at_start, guard.held_back, names)


def _paused(session: Session, space: Space) -> ScimGuard:
    guard = lock(session, space)
    if guard is None or guard.paused_at is None:
        raise Conflict("The push is not paused any more.")
    return guard


def _forget(guard: ScimGuard) -> None:
    guard.paused_at = guard.window_started_at = guard.open_until = None
    guard.taken = guard.held_back = guard.users_at_start = 0


def _is_open(guard: ScimGuard, now: datetime) -> bool:
    return guard.open_until is not None and now < guard.open_until


def _is_used_up(session: Session, space: Space | SpaceKey, guard: ScimGuard) -> bool:
    """Before anybody is held back, who came since the window began is counted too: a trial with a few users is often
    followed by everybody.
    """
    if guard.taken < allowed(guard.percent, guard.users_at_start):
        return False
    guard.users_at_start = max(guard.users_at_start, guard.taken + _enabled_users(session, space))
    return guard.taken >= allowed(guard.percent, guard.users_at_start)


def _enabled_users(session: Session, space: Space | SpaceKey) -> int:
    pushed = (User.space_id == space.id) & (User.source == Source.SCIM) & User.enabled
    return session.scalar(select(func.count()).select_from(User).where(pushed)) or 0


def _reason(guard: ScimGuard) -> str:
    return (
        f"Deleting and deactivating users is paused: {guard.taken} of {guard.users_at_start} went within 24 hours, and "
        f"at most {guard.percent} % of them (but always {LEAST}) may. An administrator can let it through under "
        "People > SCIM in the console; until then send it again from time to time."
    )


def _record(session: Session, actor: Actor, action: str, space: Space, **details: object) -> None:
    audit.record(
        session, actor, action, target_type="space", target_id=space.id, target_name=space.name, details=details
    )
