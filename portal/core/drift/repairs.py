"""Verbs on drift: look now, put right what differs, let that be done by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import audit, limits
from portal.core.access.models import Task, TaskStatus, TaskType
from portal.core.access.picking import chunks, pick_accounts
from portal.core.access.tasks import enqueue, new_batch, requeue
from portal.core.actor import Actor
from portal.core.drift import turns
from portal.core.organization.models import Account
from portal.core.space.models import Space

_UNDER_WAY = "A repair of this account is under way already."


def check_now(session: Session, actor: Actor, *, space: Space, accounts: Sequence[int]) -> int:
    """Let the pass look into these accounts next. Returns how many. Raises Invalid (none chosen), NotFound."""
    uins = sorted(set(accounts))
    pick_accounts(session, space, uins)
    turns.ask(session, space, uins)
    _record(session, actor, "account.check", space, {"accounts": len(uins)})
    return len(uins)


def repair(session: Session, actor: Actor, *, space: Space, accounts: Sequence[int]) -> str:
    """Put right what differs in these accounts when the task runs; one task each, returns the batch's id.

    An account that is being repaired already becomes a failed task. Raises Invalid (none chosen), NotFound,
    LimitReached.
    """
    wanted = list(dict.fromkeys(accounts))
    limits.check("triples_per_batch", len(wanted), what="accounts in one batch")
    names = pick_accounts(session, space, wanted)
    turns.ensure_rows(session, space, wanted)
    busy = _being_repaired(session, space, wanted)
    batch_id = new_batch()
    for number, (uin, name) in enumerate(names.items(), 1):
        enqueue(
            session,
            space_id=space.id,
            batch_id=batch_id,
            number=number,
            type=TaskType.REPAIR,
            status=TaskStatus.FAILED if uin in busy else TaskStatus.QUEUED,
            reason=_UNDER_WAY if uin in busy else "",
            account_uin=uin,
            account_name=name,
            actor_name=actor.name,
        )
    session.flush()
    audit.record(
        session,
        actor,
        "account.repair",
        target_type="batch",
        target_id=batch_id,
        details={"accounts": wanted[:20], "tasks": len(names)},
    )
    return batch_id


def queue_by_itself(session: Session, actor: Actor, *, space: Space, account: Account) -> None:
    """For the pass of a space that repairs drift: one repair, unless one is on its way.

    Where the last one failed, that one runs again: what cannot be put right shall not leave a failed task a day.
    """
    mine = (Task.account_uin == account.uin, Task.space_id == space.id, Task.type == TaskType.REPAIR)
    newest = select(Task).where(*mine).order_by(Task.created_at.desc(), Task.number.desc()).limit(1)
    last = session.scalar(newest)
    if last is not None and not _lock(session, last):
        return
    if last is not None and last.status in (TaskStatus.QUEUED, TaskStatus.RUNNING):
        return
    if last is not None and last.status == TaskStatus.FAILED:
        requeue(session, actor, last)
    else:
        last = enqueue(
            session,
            space_id=space.id,
            batch_id=new_batch(),
            number=1,
            type=TaskType.REPAIR,
            account_uin=account.uin,
            account_name=account.name,
            actor_name=actor.name,
        )
    session.flush()
    audit.record(
        session,
        actor,
        "account.repair",
        target_type="batch",
        target_id=last.batch_id,
        account_uin=account.uin,
        details={"accounts": [account.uin], "tasks": 1, "automatic": True},
    )


def set_repairs(session: Session, actor: Actor, *, space: Space, enabled: bool) -> None:
    """Whether the pass repairs by itself what it finds from now on."""
    if space.repairs_drift != enabled:
        space.repairs_drift = enabled
        session.flush()
        _record(session, actor, "drift.enable_repair" if enabled else "drift.disable_repair", space, {})


def _lock(session: Session, task: Task) -> bool:
    """Read anew; False when somebody has it: it is canceled, run again or worked on in this moment."""
    mine = select(Task).where(Task.id == task.id).with_for_update(skip_locked=True)
    return session.scalar(mine.execution_options(populate_existing=True)) is not None


def _being_repaired(session: Session, space: Space, uins: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for chunk in chunks(uins):
        repairs = select(Task.account_uin).where(
            Task.account_uin.in_(chunk),
            Task.space_id == space.id,
            Task.type == TaskType.REPAIR,
            Task.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING]),
        )
        found.update(session.scalars(repairs))
    return found


def _record(session: Session, actor: Actor, action: str, space: Space, details: dict[str, object]) -> None:
    audit.record(
        session, actor, action, target_type="space", target_id=space.id, target_name=space.name, details=details
    )
