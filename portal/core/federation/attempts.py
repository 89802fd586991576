"""Recent sign-ins (IC-6): what an identity provider answered and how it was judged, kept for some days."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from portal.core import clock
from portal.core.errors import NotFound
from portal.core.federation.models import SignInAttempt, SignInPurpose
from portal.core.space.models import Space
from portal.core.text import storable

_LENGTHS = {
    "reason": 64, "detail": 1024, "reference": 64, "user_name": 256, "idp_entity_id": 1024, "address": 64,
    "user_agent": 256,
}  # fmt: skip
_LIGHT = (defer(SignInAttempt.checks, raiseload=True), defer(SignInAttempt.response, raiseload=True))


STRANGERS_PER_HOUR = 200
"""Refusals kept for a space in each hour that anybody could have caused: more tell an administrator nothing more."""
_OF_STRANGERS = 2048
_CUT = "[cut, because no trusted signature stands for it]"
_DETAIL_OF_STRANGERS = 256


class CheckRow(NamedTuple):
    """`verdict`: passed, failed or not-reached."""

    code: str
    verdict: str
    detail: str


@dataclass(frozen=True)
class AttemptPage:
    """Newest first. `newer` and `older`: numbers to go on from, None where the list ends."""

    rows: Sequence[SignInAttempt]
    newer: int | None
    older: int | None


def record(
    session: Session,
    *,
    space: Space,
    accepted: bool,
    purpose: SignInPurpose = SignInPurpose.SIGN_IN,
    checks: Iterable[tuple[str, str, str]] = (),
    response: str = "",
    genuine: bool = True,
    **words: str,
) -> SignInAttempt:
    """Keep one. `checks`: code, verdict and detail of each; `response`: to look at, without what could sign in.

    `genuine`: a signature that is trusted here stands for it, or an administrator sent it; otherwise little is kept.

    `words`: reason, detail, reference, user_name, idp_entity_id, address, user_agent; what is too long is cut.
    """
    rows = [CheckRow(*check) for check in checks]
    if not genuine:
        rows = [row._replace(detail=row.detail[:_DETAIL_OF_STRANGERS]) for row in rows]
        response = response if len(response) <= _OF_STRANGERS else f"{response[:_OF_STRANGERS]}\n{_CUT}"
    attempt = SignInAttempt(
        space_id=space.id,
        accepted=accepted,
        purpose=purpose,
        genuine=genuine,
        checks=json.dumps(rows),
        response=storable(response),
        **{name: storable(text)[: _LENGTHS[name]] for name, text in words.items()},
    )
    session.add(attempt)
    session.flush()
    return attempt


def of_strangers(session: Session, space: Space) -> int:
    """How many are kept of this hour that are not genuine; counts no further than is asked about."""
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    kept = (
        select(SignInAttempt.id)
        .where(SignInAttempt.space_id == space.id, SignInAttempt.genuine.is_(False), SignInAttempt.at >= hour)
        .limit(STRANGERS_PER_HOUR + 1)
    )
    return session.scalar(select(func.count()).select_from(kept.subquery())) or 0


def checks_of(attempt: SignInAttempt) -> list[CheckRow]:
    return [CheckRow(*check) for check in json.loads(attempt.checks)]


def attempts_of_space(
    session: Session,
    space: Space,
    *,
    accepted: bool | None = None,
    reference: str = "",
    before: int | None = None,
    after: int | None = None,
    size: int = 50,
) -> AttemptPage:
    """One statement. `before`: older than that number; `after`: newer; neither: the newest."""
    statement = select(SignInAttempt).where(SignInAttempt.space_id == space.id).options(*_LIGHT).limit(size + 1)
    if accepted is not None:
        statement = statement.where(SignInAttempt.accepted.is_(accepted))
    if reference:
        statement = statement.where(SignInAttempt.reference == reference)
    if after is not None:
        statement = statement.where(SignInAttempt.id > after).order_by(SignInAttempt.id)
    else:
        statement = statement.order_by(SignInAttempt.id.desc())
        if before is not None:
            statement = statement.where(SignInAttempt.id < before)
    found = list(session.scalars(statement))
    rows, more = found[:size], len(found) > size
    if after is not None:
        rows.reverse()
    newer = rows[0].id if rows and (more if after is not None else before is not None) else None
    older = rows[-1].id if rows and (after is not None or more) else None
    return AttemptPage(rows, newer, older)


def get_attempt(session: Session, space: Space, number: int) -> SignInAttempt:
    found = session.scalar(select(SignInAttempt).where(SignInAttempt.space_id == space.id, SignInAttempt.id == number))
    if found is None:
        raise NotFound("There is no such sign-in in this space; old ones are deleted.")
    return found


def last_test(session: Session, space: Space, *, since: datetime) -> SignInAttempt | None:
    """The newest test sign-in since then; by the index of purposes, so that it costs the same among any number."""
    newest = session.scalar(
        select(SignInAttempt)
        .where(SignInAttempt.space_id == space.id, SignInAttempt.purpose == SignInPurpose.TEST)
        .order_by(SignInAttempt.id.desc())
        .limit(1)
        .options(*_LIGHT)
    )
    return newest if newest is not None and newest.at >= since else None
