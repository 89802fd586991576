"""One look of the pass into an account, and what came of it.

take      due_at by compare-and-set, so that of many workers one looks; if that one dies, its turn ends by itself
settle    keep the differences, unless a task worked in the account meanwhile: then look again
fail      keep why nobody could look; what was found before stays
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.access.models import AccountClaim
from portal.core.access.picking import chunks
from portal.core.actor import SYSTEM, Actor
from portal.core.drift.comparing import Desired, Found, compare, named
from portal.core.drift.models import AccountCheck, Difference
from portal.core.drift.repairs import queue_by_itself
from portal.core.drift.state import AccountState
from portal.core.drift.turns import MEMBER
from portal.core.organization.models import Account
from portal.core.space.models import Space

TURN = timedelta(minutes=10)
WHILE_BUSY = timedelta(seconds=10)
FIRST_DELAY = timedelta(minutes=5)


@dataclass(frozen=True)
class Turn:
    """Somebody's turn to look. `until` is what due_at says as long as nobody else has it; `worked` is the claim of the
    task that was in the account last."""

    space: Space
    account: Account
    until: datetime
    worked: str


def take(session: Session, account_uin: int, space_id: str) -> Turn | None:
    """None when it is not due (any more), no member any more, somebody else was quicker, or a task is at work there."""
    row = session.get(AccountCheck, (account_uin, space_id), populate_existing=True)
    if row is None or row.due_at is None or row.due_at > clock.now():
        return None
    claim = _claim(session, account_uin)
    busy = claim is not None and claim.until > clock.now()
    until = clock.now() + (WHILE_BUSY if busy else TURN)
    statement = update(AccountCheck).where(
        AccountCheck.account_uin == account_uin,
        AccountCheck.space_id == space_id,
        AccountCheck.due_at == row.due_at,
        MEMBER,
    )
    taken: Any = session.execute(statement.values(due_at=until), execution_options={"synchronize_session": False})
    if not taken.rowcount or busy:
        return None
    account, space = session.get_one(Account, account_uin), session.get_one(Space, space_id)
    return Turn(space, account, until, claim.claim if claim else "")


def settle(session: Session, turn: Turn, *, wanted: Desired, state: AccountState, hours: int) -> list[Found] | None:
    """What differs; None when that is not known, because a task worked there meanwhile or the turn was over."""
    row = _held(session, turn)
    if row is None:
        return None
    claim = _claim(session, turn.account.uin)
    if claim is not None and (claim.claim != turn.worked or claim.until > clock.now()):
        row.due_at = clock.now() + WHILE_BUSY
        session.flush()
        return None
    found = compare(wanted, state)
    space = session.get_one(Space, turn.space.id, populate_existing=True)
    actor = replace(SYSTEM, organization_id=space.organization_id)
    keep(session, actor, space, row, found)
    row.asked, row.due_at = False, _next(hours)
    session.flush()
    if found and space.repairs_drift:
        queue_by_itself(session, actor, space=space, account=turn.account)
    return found


def fail(session: Session, turn: Turn, *, reason: str, hours: int) -> None:
    """Keep the reason and try again: in five minutes, then in twice that, at last as often as usual."""
    row = _held(session, turn)
    if row is None:
        return
    row.problem, row.failures, row.asked = reason, row.failures + 1, False
    usual = _next(hours)
    if usual is not None:
        longest = FIRST_DELAY * 2 ** min(row.failures - 1, 20)
        usual = min(usual, clock.now() + longest / 2 + longest / 2 * _chance())
    row.due_at = usual
    session.flush()


def keep(session: Session, actor: Actor, space: Space, row: AccountCheck, found: Sequence[Found]) -> None:
    """The differences of the account are these; audited when there are new ones, and when the last ones are gone.

    `row` is held by the caller.
    """
    mine = (Difference.space_id == space.id, Difference.account_uin == row.account_uin)
    known = {
        Found(one.kind, one.name, one.wanted, one.found): one.id
        for one in session.scalars(select(Difference).where(*mine))
    }
    new = [one for one in found if one not in known]
    for chunk in chunks(known[one] for one in known.keys() - set(found)):
        session.execute(delete(Difference).where(Difference.id.in_(chunk)))
    session.add_all(
        Difference(
            space_id=space.id,
            account_uin=row.account_uin,
            kind=one.kind,
            name=one.name[:128],
            wanted=one.wanted,
            found=one.found,
        )
        for one in new
    )
    row.checked_at, row.differences, row.problem, row.failures = clock.now(), len(found), "", 0
    session.flush()
    if new:
        details = {"new": len(new), "total": len(found), "differences": named(new)}
        _record(session, actor, "account.drift", row, details)
    elif known and not found:
        _record(session, actor, "account.drift_gone", row, {"differences": named(list(known))})


def held_row(session: Session, space_id: str, account_uin: int) -> AccountCheck | None:
    """Locked until the transaction ends; None for an account that left the organization."""
    return session.get(AccountCheck, (account_uin, space_id), with_for_update=True, populate_existing=True)


def _held(session: Session, turn: Turn) -> AccountCheck | None:
    row = held_row(session, turn.space.id, turn.account.uin)
    return row if row is not None and row.due_at == turn.until else None


def _claim(session: Session, account_uin: int) -> AccountClaim | None:
    return session.get(AccountClaim, account_uin, populate_existing=True)


def _next(hours: int) -> datetime | None:
    """A tenth of it is chance, so that what began together does not come back together for ever."""
    return clock.now() + timedelta(hours=hours) * (1 - _chance() / 10) if hours else None


def _chance() -> float:
    return secrets.randbelow(1000) / 1000


def _record(session: Session, actor: Actor, action: str, row: AccountCheck, details: dict[str, Any]) -> None:
    name = session.scalar(select(Account.name).where(Account.uin == row.account_uin)) or ""
    audit.record(
        session,
        actor,
        action,
        target_type="account",
        target_id=row.account_uin,
        target_name=name,
        account_uin=row.account_uin,
        details=details,
    )
