"""SCIM credentials of a space and the switch of its SCIM door (IC-7).

At most two credentials (a setting), so that one can be exchanged while the other works; each lives between an hour and
99 years, a year by default. The secret is told once and stored hashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.errors import Forbidden, Invalid, NotFound
from portal.core.federation.models import ScimCredential
from portal.core.secrets import hash_token, new_token
from portal.core.space.models import Space

SHORTEST = timedelta(hours=1)
LONGEST = timedelta(days=36_160)  # 99 years
USUAL = timedelta(days=365)
EXPIRY_WARNING = timedelta(days=90)
_USE_IS_NOTED_EVERY = timedelta(minutes=1)


def credentials_of_space(session: Session, space: Space) -> Sequence[ScimCredential]:
    """Oldest first."""
    statement = select(ScimCredential).where(ScimCredential.space_id == space.id)
    return session.scalars(statement.order_by(ScimCredential.created_at, ScimCredential.id)).all()


def get_credential(session: Session, space: Space, credential_id: str) -> ScimCredential:
    statement = select(ScimCredential).where(ScimCredential.space_id == space.id, ScimCredential.id == credential_id)
    credential = session.scalar(statement)
    if credential is None:
        raise NotFound("There is no such SCIM credential in this space.")
    return credential


def create_credential(
    session: Session, actor: Actor, *, space: Space, lifetime: timedelta = USUAL
) -> tuple[ScimCredential, str]:
    """The credential and its secret, which cannot be read again. Raises Invalid (lifetime), LimitReached."""
    if not SHORTEST <= lifetime <= LONGEST:
        raise Invalid("A SCIM credential lives between 1 hour and 99 years.", field="lifetime")
    session.execute(select(Space.id).where(Space.id == space.id).with_for_update())  # two at a time are counted
    count = session.scalar(select(func.count()).where(ScimCredential.space_id == space.id)) or 0
    limits.check("scim_credentials_per_space", count + 1, what="SCIM credentials")
    secret = new_token()
    now = clock.now()
    credential = ScimCredential(
        space_id=space.id, secret_hash=hash_token(secret), enabled=True, created_at=now, expires_at=now + lifetime
    )
    session.add(credential)
    session.flush()
    _record(session, actor, "scim_credential.create", credential, expires_at=credential.expires_at.isoformat())
    return credential, secret


def set_credential_enabled(
    session: Session, actor: Actor, *, credential: ScimCredential, enabled: bool
) -> ScimCredential:
    if credential.enabled != enabled:
        credential.enabled = enabled
        _record(session, actor, "scim_credential.enable" if enabled else "scim_credential.disable", credential)
    return credential


def delete_credential(session: Session, actor: Actor, *, credential: ScimCredential) -> None:
    _record(session, actor, "scim_credential.delete", credential)
    session.delete(credential)
    session.flush()


def set_scim_enabled(session: Session, actor: Actor, *, space: Space, enabled: bool) -> Space:
    """Off: every credential is refused until it is on again; what was pushed stays."""
    if space.scim_enabled != enabled:
        space.scim_enabled = enabled
        action = "scim.enable" if enabled else "scim.disable"
        audit.record(session, actor, action, target_type="space", target_id=space.id, target_name=space.name)
    return space


def space_of_secret(session: Session, secret: str) -> tuple[ScimCredential, Space]:
    """Whose door a secret opens. Raises Forbidden when it is unknown, disabled or expired, or SCIM is off."""
    row = session.execute(
        select(ScimCredential, Space)
        .join(Space, Space.id == ScimCredential.space_id)
        .where(ScimCredential.secret_hash == hash_token(secret))
    ).one_or_none()
    if row is None:
        raise Forbidden("The SCIM credential is not known.")
    credential, space = row
    if not credential.enabled:
        raise Forbidden("The SCIM credential is disabled.")
    if credential.expires_at <= clock.now():
        raise Forbidden("The SCIM credential has expired.")
    if not space.scim_enabled:
        raise Forbidden("SCIM is switched off in this space.")
    return credential, space


def use_is_due(credential: ScimCredential) -> bool:
    """Whether `note_use` would write: the time of last use is kept to the minute."""
    last = credential.last_used_at
    return last is None or clock.now() - last >= _USE_IS_NOTED_EVERY


def note_use(session: Session, credential_id: str) -> None:
    now = clock.now()
    session.execute(update(ScimCredential).where(ScimCredential.id == credential_id).values(last_used_at=now))


def _record(session: Session, actor: Actor, action: str, credential: ScimCredential, **details: str) -> None:
    audit.record(
        session, actor, action, target_type="scim_credential", target_id=credential.id, target_name=credential.id,
        details=details,
    )  # fmt: skip
