"""SCIM credentials of a space and the switch of its SCIM door (IC-7).

At most two credentials (a setting), so that one can be exchanged while the other works; each lives between an hour and
99 years, a year by default. The secret is told once and stored hashed. It opens the door itself (bearer token), or is
exchanged for access tokens that do (client credentials, see tokens).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.errors import Forbidden, Invalid, NotFound
from portal.core.push.models import CredentialType, ScimAccessToken, ScimCredential
from portal.core.secrets import hash_token, new_token
from portal.core.space.models import Space

SHORTEST = timedelta(hours=1)
LONGEST = timedelta(days=36_160)  # 99 years
USUAL = timedelta(days=365)
EXPIRY_WARNING = timedelta(days=90)
SHORTEST_TOKEN = 60
LONGEST_TOKEN = 360
_USE_IS_NOTED_EVERY = timedelta(minutes=1)
_is_token = ScimAccessToken.token_hash == bindparam("hash")
_by_secret = select(ScimCredential.id).where(ScimCredential.secret_hash == bindparam("hash")).scalar_subquery()
_by_token = select(ScimAccessToken.credential_id).where(_is_token).scalar_subquery()
_BY_SECRET = (  # built once: it stands at the beginning of every SCIM request
    select(ScimCredential, Space, select(ScimAccessToken.expires_at).where(_is_token).scalar_subquery())
    .join(Space, Space.id == ScimCredential.space_id)
    .where(ScimCredential.id == func.coalesce(_by_secret, _by_token))
)


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


def space_of_secret(session: Session, secret: str) -> tuple[ScimCredential, Space]:
    """Whose door a secret or an access token opens. Raises Forbidden when it is unknown or has expired, when its
    credential is disabled or has expired, or SCIM is off; and for a client secret, which opens nothing by itself.
    """
    row = session.execute(_BY_SECRET, {"hash": hash_token(secret)}).one_or_none()
    if row is None:
        raise Forbidden("The SCIM credential is not known.")
    credential, space, token_ends_at = row
    if credential.type == CredentialType.CLIENT_CREDENTIALS and token_ends_at is None:
        raise Forbidden("This is a client secret: an access token is got with it at the token endpoint.")
    check_usable(credential, space)
    if token_ends_at is not None and token_ends_at <= clock.now():
        raise Forbidden("The access token has expired.")
    return credential, space


def check_usable(credential: ScimCredential, space: Space) -> None:
    """Raises Forbidden with the reason why the credential opens nothing now."""
    if not credential.enabled:
        raise Forbidden("The SCIM credential is disabled.")
    if credential.expires_at <= clock.now():
        raise Forbidden("The SCIM credential has expired.")
    if not space.scim_enabled:
        raise Forbidden("SCIM is switched off in this space.")


def use_is_due(credential: ScimCredential) -> bool:
    """Whether `note_use` would write: the time of last use is kept to the minute."""
    last = credential.last_used_at
    return last is None or clock.now() - last >= _USE_IS_NOTED_EVERY


def note_use(session: Session, credential_id: str) -> None:
    now = clock.now()
    session.execute(update(ScimCredential).where(ScimCredential.id == credential_id).values(last_used_at=now))


def _record(session: Session, actor: Actor, action: str, credential: ScimCredential, **details: str | bool) -> None:
    audit.record(
        session, actor, action, target_type="scim_credential", target_id=credential.id, target_name=credential.id,
        details=details,
    )  # fmt: skip
