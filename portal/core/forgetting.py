"""Rows that are kept for some time and then forgotten: lines of logs, with a number `id` and a moment `at`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.core.federation.models import SignInAttempt
from portal.core.push.models import ScimRequest

Forgotten = type[ScimRequest] | type[SignInAttempt]


def any_before(session: Session, table: Forgotten, moment: datetime) -> bool:
    return session.scalar(select(table.id).where(table.at < moment).limit(1)) is not None


def delete_before(session: Session, table: Forgotten, moment: datetime, *, most: int) -> int:
    """Forget the oldest `most` rows from before `moment`; how many it were. Several may do it at the same time."""
    oldest = select(table.id).where(table.at < moment).order_by(table.at).limit(most)
    ids = session.scalars(oldest.with_for_update(skip_locked=True)).all()
    if ids:
        session.execute(delete(table).where(table.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)
