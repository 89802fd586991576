"""Each member account has a turn to be looked into: given out by the pass, asked for by people, or none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, and_, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.access.picking import chunks
from portal.core.drift.models import AccountCheck
from portal.core.organization.models import Member
from portal.core.space.models import Space

AT_ONCE = 100
_ENROLLED_AT_ONCE = 500
MEMBER = exists().where(
    Member.account_uin == AccountCheck.account_uin,
    Member.organization_id == Space.organization_id,
    Space.id == AccountCheck.space_id,
)
"""The account did not leave the organization since it got its turn."""


def due(session: Session, *, scheduled: bool) -> list[tuple[int, str]]:
    """Accounts (with the space) to look into now, those first that somebody asked for; `scheduled`: not only those."""
    statement = select(AccountCheck.account_uin, AccountCheck.space_id).where(
        AccountCheck.due_at <= clock.now(), MEMBER
    )
    if not scheduled:
        statement = statement.where(AccountCheck.asked)
    statement = statement.order_by(AccountCheck.asked.desc(), AccountCheck.due_at).limit(AT_ONCE)
    return [(uin, space_id) for uin, space_id in session.execute(statement)]


def any_without(session: Session) -> bool:
    """Whether a member account of an active Identity Center has no turn."""
    return session.execute(_without().limit(1)).first() is not None


def enroll(session: Session) -> int:
    """Give accounts without a turn one, a second apart. How many got one: 0 when somebody else does it right now."""
    rows = session.execute(_without().limit(_ENROLLED_AT_ONCE)).all()
    now = clock.now()
    times = {(uin, space_id): now + timedelta(seconds=place) for place, (uin, space_id, _row) in enumerate(rows)}
    for uin, space_id, row in rows:
        if row is not None:
            mine = (AccountCheck.account_uin == uin, AccountCheck.space_id == space_id, AccountCheck.due_at.is_(None))
            session.execute(update(AccountCheck).where(*mine).values(due_at=times[uin, space_id]))
    new = [
        {"account_uin": uin, "space_id": space_id, "due_at": times[uin, space_id]}
        for uin, space_id, row in rows
        if row is None
    ]
    return len(rows) if _insert(session, new) else 0


def ensure_rows(session: Session, space: Space, uins: Sequence[int]) -> None:
    """So that there is something to keep what is found in. The caller holds the members."""
    there: set[int] = set()
    for chunk in chunks(uins):
        found = select(AccountCheck.account_uin).where(AccountCheck.space_id == space.id)
        there.update(session.scalars(found.where(AccountCheck.account_uin.in_(chunk))))
    for chunk in chunks(uin for uin in uins if uin not in there):
        rows = [{"account_uin": uin, "space_id": space.id} for uin in chunk]
        if not _insert(session, rows):  # the pass gave out turns in this moment
            for row in rows:
                _insert(session, [row])


def ask(session: Session, space: Space, uins: Sequence[int]) -> None:
    """It is their turn now."""
    ensure_rows(session, space, uins)
    for chunk in chunks(uins):
        mine = (AccountCheck.space_id == space.id, AccountCheck.account_uin.in_(chunk))
        asked = update(AccountCheck).where(*mine).values(due_at=clock.now(), asked=True)
        session.execute(asked, execution_options={"synchronize_session": False})


def _without() -> Select[Any]:
    mine = and_(AccountCheck.account_uin == Member.account_uin, AccountCheck.space_id == Space.id)
    statement: Any = (
        select(Member.account_uin, Space.id, AccountCheck.space_id)
        .join(Space, Space.organization_id == Member.organization_id)
        .outerjoin(AccountCheck, mine)
        .where(AccountCheck.due_at.is_(None))
    )
    return statement  # type: ignore[no-any-return]


def _insert(session: Session, rows: Sequence[dict[str, Any]]) -> bool:
    """False when one of them was made by somebody else in this moment."""
    if not rows:
        return True
    try:
        with session.begin_nested():
            session.execute(insert(AccountCheck), rows)
    except IntegrityError:
        return False
    return True
