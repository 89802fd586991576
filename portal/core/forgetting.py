"""Rows that are forgotten some time after a moment: lines of logs, and what counted until then."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, tuple_
from sqlalchemy.orm import Session

from portal.core.federation.models import PendingLogout, PendingSignIn, SeenAssertion, SignInAttempt
from portal.core.push.models import ScimRequest

Forgotten = type[ScimRequest | SignInAttempt | PendingSignIn | PendingLogout | SeenAssertion]


def any_before(session: Session, table: Forgotten, moment: datetime) -> bool:
    at = _moment(table)
    return session.scalar(select(at).where(at < moment).limit(1)) is not None


def delete_before(session: Session, table: Forgotten, moment: datetime, *, most: int) -> int:
    """Forget the oldest `most` rows from before `moment`; how many it were. Several may do it at the same time."""
    at, key = _moment(table), list(table.__table__.primary_key)
    oldest = select(*key).where(at < moment).order_by(at).limit(most)
    found = [tuple(row) for row in session.execute(oldest.with_for_update(skip_locked=True))]
    if found:
        named = tuple_(*key).in_(found) if len(key) > 1 else key[0].in_([number for (number,) in found])
        session.execute(delete(table).where(named).execution_options(synchronize_session=False))
    return len(found)


def _moment(table: Forgotten) -> ColumnElement[datetime]:
    columns = table.__table__.columns
    return columns["at"] if "at" in columns else columns["expires_at"]
