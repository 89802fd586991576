"""Our keys for what is issued to accounts, as the console and the command line show and exchange them (IC-17)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.access import queries, roll_over
from portal.core.actor import Actor
from portal.core.federation import saml_keys
from portal.core.federation.models import KeyStage, KeyUse
from portal.core.space.models import Space
from saml.keys import make_key_pair, read_certificate


@dataclass(frozen=True)
class SigningKey:
    """A key that is published, without what is secret. `since` when it is in its stage."""

    stage: KeyStage
    fingerprint: str
    since: datetime
    not_after: datetime


def keys(session: Session, space: Space) -> list[SigningKey]:
    """The one that signs first."""
    found = saml_keys.by_stage(session, space, KeyUse.ISSUING)
    return [_read(key.certificate, stage, key.staged_at) for stage, key in found.items()]


def introduce(session: Session, actor: Actor, *, space: Space, secret_key: str, seen: str | None = None) -> int:
    """Begin a roll-over with a new pair. Raises what `roll_over.introduce` raises."""
    private_key, certificate = make_key_pair(f"Identity Center {space.name}", now=clock.now())
    return roll_over.introduce(
        session,
        actor,
        space=space,
        private_key=private_key,
        certificate=certificate,
        secret_key=secret_key,
        seen=seen,
    )


def report(session: Session, space: Space) -> list[str]:
    """Keys and accounts in lines, for the command line; of the accounts that failed, each with its reason."""
    spread = queries.spread(session, space, roll_over.wanted(session, space))
    return [
        *(f"{key.stage}: {key.fingerprint}, valid until {key.not_after:%Y-%m-%d}" for key in keys(session, space)),
        f"accounts: {spread.done} up to date, {spread.waiting} waiting, {spread.failed} failed",
        *(
            f"failed: {row.account_uin} {row.account_name}: {row.reason or 'no task is under way'}"
            for row in roll_over.left_behind(session, space)
        ),
    ]


def _read(pem: str, stage: KeyStage, since: datetime) -> SigningKey:
    certificate = read_certificate(pem)
    return SigningKey(stage, certificate.fingerprint, since, certificate.not_after)
