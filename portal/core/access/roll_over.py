"""Exchanging the key that signs what accounts believe (IC-17): each of them has the certificate before it is used.

introduce   a task puts the new certificate beside the old one into the identity provider of every account
switch      the new key signs, once every account has its certificate or is left behind by name
retire      a task takes the old certificate out of every account; so does giving up what was introduced

What an account holds stands in DeployedProvider. A task brings it to what is published when it runs, so any number of
them in any order does no harm, and an account that gets the identity provider meanwhile has everything at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.access.models import DeployedProvider, Task, TaskStatus, TaskType
from portal.core.access.picking import chunks
from portal.core.access.queries import roll_over as queries
from portal.core.access.rows import ProviderRow
from portal.core.access.tasks import enqueue, new_batch, requeue
from portal.core.actor import Actor
from portal.core.errors import Conflict, NotFound
from portal.core.federation import saml_keys
from portal.core.federation.models import KeyStage, KeyUse
from portal.core.space.models import Space

MOST_LEFT_BEHIND = 100
SETTLED_AFTER = timedelta(minutes=5)
"""As long as a response is valid (saml.issuing)."""
_USE = KeyUse.ISSUING


def standing(session: Session, space: Space) -> str:
    """See saml_keys.standing."""
    return saml_keys.standing(session, space, _USE)


def wanted(session: Session, space: Space) -> str:
    """What accounts shall hold now, as DeployedProvider keeps it."""
    return saml_keys.fingerprints(saml_keys.certificates(session, space, _USE))


def introduce(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    private_key: str,
    certificate: str,
    secret_key: str,
    seen: str | None = None,
) -> int:
    """Publish a new pair (PEM) and put its certificate into every account. Returns how many accounts that takes.

    Raises Conflict while a roll-over is under way, Stale.
    """
    _lock(session, space, seen)
    saml_keys.introduce(
        session,
        actor,
        space=space,
        use=_USE,
        private_key=private_key,
        certificate=certificate,
        secret_key=secret_key,
    )
    return _queue(session, actor, space, queries.behind(space, wanted(session, space)))


def switch(
    session: Session, actor: Actor, *, space: Space, without: Sequence[int] = (), seen: str | None = None
) -> None:
    """Sign with the new key. Nobody can log in to the accounts in `without` until their task succeeds.

    Raises Conflict while the certificate is on its way to an account, and where it failed in one that `without` does
    not name; Stale.
    """
    _lock(session, space, seen)
    there_is_one = KeyStage.NEXT in saml_keys.by_stage(session, space, _USE)
    left = _check_spread(session, space, without) if there_is_one else []
    saml_keys.switch(session, actor, space=space, use=_USE)
    if left:
        audit.record(
            session,
            actor,
            "saml_key.leave_behind",
            target_type="space",
            target_id=space.id,
            target_name=space.name,
            details={"accounts": left},
        )


def settles_at(session: Session, space: Space) -> datetime | None:
    """Until then accounts may be shown what the old key signed; None when that is over, or nothing was switched."""
    keys = saml_keys.by_stage(session, space, _USE)
    if KeyStage.PREVIOUS not in keys:
        return None
    settled = keys[KeyStage.PREVIOUS].staged_at + SETTLED_AFTER
    return settled if settled > clock.now() else None


def retire(session: Session, actor: Actor, *, space: Space, at_once: bool = False, seen: str | None = None) -> int:
    """Take the old certificate out of every account. Raises Conflict when there is no old one, and shortly after the
    switch unless it must go `at_once`; Stale."""
    _lock(session, space, seen)
    if not at_once and settles_at(session, space):
        raise Conflict(
            "The old key signed until a few minutes ago, and accounts would refuse what it signed. Wait five minutes "
            "after the switch, or say that the old key is compromised."
        )
    return _withdraw(session, actor, space, KeyStage.PREVIOUS, "There is no old certificate to take out.", seen)


def give_up(session: Session, actor: Actor, *, space: Space, seen: str | None = None) -> int:
    """Take the new certificate out of every account again, unused. Raises Conflict when there is none, Stale."""
    return _withdraw(session, actor, space, KeyStage.NEXT, "There is no new certificate to take back.", seen)


def repeat(session: Session, actor: Actor, *, space: Space, account_uin: int | None = None) -> int:
    """Try again where an account does not have what is published and no task is on its way; of one account, or of all.

    Returns how many tasks that made. Raises NotFound for an account without our identity provider.
    """
    _lock(session, space, None)
    if account_uin is not None and session.get(DeployedProvider, (account_uin, space.id)) is None:
        raise NotFound("There is no identity provider of this space in that account.")
    queued = _queue(session, actor, space, queries.to_repeat(space, wanted(session, space), account_uin=account_uin))
    audit.record(
        session,
        actor,
        "saml_key.repeat",
        target_type="space",
        target_id=space.id,
        target_name=space.name,
        account_uin=account_uin,
        details={"tasks": queued},
    )
    return queued


def left_behind(session: Session, space: Space) -> list[ProviderRow]:
    """The accounts in which the certificate failed, by name, as far as they can be named at all."""
    return queries.failed(session, space, wanted(session, space), most=MOST_LEFT_BEHIND)


def _lock(session: Session, space: Space, seen: str | None) -> None:
    """One step of one roll-over at a time, and no plan of a task in between (kinds.provider_of)."""
    saml_keys.lock(session, space, _USE, seen)


def _check_spread(session: Session, space: Space, without: Sequence[int]) -> list[int]:
    """The accounts that do not know the certificate, all of them named in `without`."""
    spread = queries.spread(session, space, wanted(session, space))
    if spread.waiting:
        raise Conflict(f"The new certificate is still on its way to {spread.waiting} of {spread.total} accounts.")
    if spread.failed > MOST_LEFT_BEHIND:
        raise Conflict(f"The new certificate did not get into {spread.failed} accounts: too many to leave behind.")
    left = left_behind(session, space) if spread.failed else []
    unnamed = [row.account_name for row in left if row.account_uin not in set(without)]
    if unnamed:
        names = ", ".join(unnamed[:5]) + (", ..." if len(unnamed) > 5 else "")
        raise Conflict(f"The new certificate did not get into {len(unnamed)} accounts ({names}).")
    return [row.account_uin for row in left]


def _withdraw(session: Session, actor: Actor, space: Space, stage: KeyStage, otherwise: str, seen: str | None) -> int:
    _lock(session, space, seen)
    if stage not in saml_keys.by_stage(session, space, _USE):
        raise Conflict(otherwise)
    saml_keys.retire(session, actor, space=space, use=_USE)
    return _queue(session, actor, space, queries.behind(space, wanted(session, space)))


def _queue(session: Session, actor: Actor, space: Space, accounts: Select[Any]) -> int:
    """A task for each of the accounts: the one that failed there, or a new one."""
    session.flush()
    rows = session.execute(accounts).all()
    failed_ids = [row.failed_task for row in rows if row.failed_task]
    failed = [
        task
        for chunk in chunks(failed_ids)
        for task in session.scalars(select(Task).where(Task.id.in_(chunk), Task.status == TaskStatus.FAILED))
    ]
    for task in failed:
        requeue(session, actor, task)
    batch_id, again = new_batch(), {task.account_uin for task in failed}
    for number, row in enumerate((row for row in rows if row.account_uin not in again), 1):
        enqueue(
            session,
            space_id=space.id,
            batch_id=batch_id,
            number=number,
            type=TaskType.UPDATE_PROVIDER,
            account_uin=row.account_uin,
            account_name=row.name,
            actor_name=actor.name,
        )
    session.flush()
    return len(rows)
