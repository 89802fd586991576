"""SCIM credentials of a space and the switch of its SCIM door (IC-7).

At most two credentials (a setting), so that one can be exchanged while the other works; each lives between an hour and
99 years, a year by default. The secret is told once and stored hashed. It opens the door itself (bearer token), or is
exchanged for access tokens that do (client credentials, see tokens).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.errors import Forbidden, Invalid, NotFound
from portal.core.push.models import CredentialType, ScimAccessToken, ScimCredential
from portal.core.secrets import hash_token, new_token
from portal.core.space.models import Space, SpaceKey

SHORTEST = timedelta(hours=1)
LONGEST = timedelta(days=36_160)  # 99 years
USUAL = timedelta(days=365)
EXPIRY_WARNING = timedelta(days=90)
SHORTEST_TOKEN = 60
LONGEST_TOKEN = 360
_USE_IS_NOTED_EVERY = timedelta(minutes=1)
_credentials: Any = ScimCredential.__table__
_tokens: Any = ScimAccessToken.__table__
_spaces: Any = Space.__table__
_is_token = _tokens.c.token_hash == bindparam("hash")
_by_secret = select(_credentials.c.id).where(_credentials.c.secret_hash == bindparam("hash")).scalar_subquery()
_by_token = select(_tokens.c.credential_id).where(_is_token).scalar_subquery()
_BY_SECRET = (  # built once, and plain columns: it stands at the beginning of every SCIM request
    select(
        *(_credentials.c.id, _credentials.c.type, _credentials.c.strict, _credentials.c.enabled),
        *(_credentials.c.expires_at, _credentials.c.last_used_at, _spaces.c.scim_enabled),
        *(_spaces.c.id.label("space_id"), _spaces.c.organization_id),
        select(_tokens.c.expires_at).where(_is_token).scalar_subquery().label("token_ends_at"),
    )
    .join(_spaces, _spaces.c.id == _credentials.c.space_id)
    .where(_credentials.c.id == func.coalesce(_by_secret, _by_token))
)


class Opened(NamedTuple):
    """The door that a secret opens."""

    credential_id: str
    strict: bool
    last_used_at: datetime | None
    space: SpaceKey


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
    session: Session,
    actor: Actor,
    *,
    space: Space,
    lifetime: timedelta = USUAL,
    type: CredentialType = CredentialType.BEARER_TOKEN,
    token_minutes: int = SHORTEST_TOKEN,
    strict: bool = False,
) -> tuple[ScimCredential, str]:
    """The credential and its secret, which cannot be read again. Raises Invalid (its field), LimitReached.

    `token_minutes`: how long the access tokens of client credentials live.
    """
    if not SHORTEST <= lifetime <= LONGEST:
        raise Invalid("A SCIM credential lives between 1 hour and 99 years.", field="lifetime")
    if not SHORTEST_TOKEN <= token_minutes <= LONGEST_TOKEN:
        raise Invalid(f"An access token lives {SHORTEST_TOKEN} to {LONGEST_TOKEN} minutes.", field="token_minutes")
    session.execute(select(Space.id).where(Space.id == space.id).with_for_update())  # two at a time are counted
    count = session.scalar(select(func.count()).where(ScimCredential.space_id == space.id)) or 0
    limits.check("scim_credentials_per_space", count + 1, what="SCIM credentials")
    secret = new_token()
    now = clock.now()
    credential = ScimCredential(
        space_id=space.id,
        type=type,
        secret_hash=hash_token(secret),
        token_minutes=token_minutes,
        strict=strict,
        enabled=True,
        created_at=now,
        expires_at=now + lifetime,
    )
    session.add(credential)
    session.flush()
    details = {"type": type.value, "strict": strict, "expires_at": credential.expires_at.isoformat()}
    _record(session, actor, "scim_credential.create", credential, **details)
    return credential, secret


def set_credential_enabled(
    session: Session, actor: Actor, *, credential: ScimCredential, enabled: bool
) -> ScimCredential:
    """Disabling takes the access tokens away, so that enabling again does not bring back one that leaked."""
    if credential.enabled != enabled:
        credential.enabled = enabled
        if not enabled:
            session.execute(delete(ScimAccessToken).where(ScimAccessToken.credential_id == credential.id))
        _record(session, actor, "scim_credential.enable" if enabled else "scim_credential.disable", credential)
    return credential


def set_credential_strict(
    session: Session, actor: Actor, *, credential: ScimCredential, strict: bool
) -> ScimCredential:
    """Strict: what the RFCs and the interoperability profile do not allow is refused instead of guessed."""
    if credential.strict != strict:
        credential.strict = strict
        _record(session, actor, "scim_credential.update", credential, strict=strict)
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


def space_of_secret(connection: Connection, secret: str) -> Opened:
    """Whose door a secret or an access token opens. Raises Forbidden when it is unknown or has expired, when its
    credential is disabled or has expired, or SCIM is off; and for a client secret, which opens nothing by itself.
    """
    row: Any = connection.execute(_BY_SECRET, {"hash": hash_token(secret)}).one_or_none()
    if row is None:
        raise Forbidden("The SCIM credential is not known.")
    if row.type == CredentialType.CLIENT_CREDENTIALS and row.token_ends_at is None:
        raise Forbidden("This is a client secret: an access token is got with it at the token endpoint.")
    check_usable(enabled=row.enabled, expires_at=row.expires_at, scim_enabled=row.scim_enabled)
    if row.token_ends_at is not None and row.token_ends_at <= clock.now():
        raise Forbidden("The access token has expired.")
    return Opened(row.id, row.strict, row.last_used_at, SpaceKey(row.space_id, row.organization_id))


def check_usable(*, enabled: bool, expires_at: datetime, scim_enabled: bool) -> None:
    """Raises Forbidden with the reason why a credential opens nothing now."""
    if not enabled:
        raise Forbidden("The SCIM credential is disabled.")
    if expires_at <= clock.now():
        raise Forbidden("The SCIM credential has expired.")
    if not scim_enabled:
        raise Forbidden("SCIM is switched off in this space.")


def use_is_due(last_used_at: datetime | None) -> bool:
    """Whether `note_use` would write: the time of last use is kept to the minute."""
    return last_used_at is None or clock.now() - last_used_at >= _USE_IS_NOTED_EVERY


def note_use(session: Session, credential_id: str) -> None:
    now = clock.now()
    session.execute(update(ScimCredential).where(ScimCredential.id == credential_id).values(last_used_at=now))


def _record(session: Session, actor: Actor, action: str, credential: ScimCredential, **details: str | bool) -> None:
    audit.record(
        session, actor, action, target_type="scim_credential", target_id=credential.id, target_name=credential.id,
        details=details,
    )  # fmt: skip
