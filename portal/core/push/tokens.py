"""Access tokens, given for client credentials (RFC 6749 section 4.4): random, short-lived, stored hashed.

A token works as long as its credential does and never outlives it. Those that have expired go when the next is issued.
"""

from __future__ import annotations

import hmac
import re
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.push.credentials import check_usable
from portal.core.push.models import CredentialType, ScimAccessToken, ScimCredential
from portal.core.secrets import hash_token, new_token
from portal.core.space.models import Space

MOST = 100
_CLIENT_ID = re.compile(r"scimcred-[a-z0-9]{12}")


def find_client(session: Session, client_id: str) -> tuple[ScimCredential, Space] | None:
    """The client credentials whose id is the client id, with their space."""
    if not _CLIENT_ID.fullmatch(client_id):
        return None
    row = session.execute(
        select(ScimCredential, Space)
        .join(Space, Space.id == ScimCredential.space_id)
        .where(ScimCredential.id == client_id, ScimCredential.type == CredentialType.CLIENT_CREDENTIALS)
    ).one_or_none()
    return (row[0], row[1]) if row else None


def is_secret_of(credential: ScimCredential, secret: str) -> bool:
    return hmac.compare_digest(credential.secret_hash, hash_token(secret))


def issue_token(session: Session, actor: Actor, *, credential: ScimCredential, space: Space) -> tuple[str, timedelta]:
    """A new token and how long it lives. Of more than a hundred live ones the oldest go.

    Raises Forbidden when the credential is disabled or expired, or SCIM is off.
    """
    check_usable(enabled=credential.enabled, expires_at=credential.expires_at, scim_enabled=space.scim_enabled)
    now = clock.now()
    expires_at = min(now + timedelta(minutes=credential.token_minutes), credential.expires_at)
    of_credential = ScimAccessToken.credential_id == credential.id
    session.execute(delete(ScimAccessToken).where(of_credential, ScimAccessToken.expires_at <= now))
    newest = select(ScimAccessToken.token_hash).where(of_credential).order_by(ScimAccessToken.expires_at.desc())
    beyond = session.scalars(newest.offset(MOST - 1)).all()
    if beyond:
        session.execute(delete(ScimAccessToken).where(ScimAccessToken.token_hash.in_(beyond)))
    token = new_token()
    session.add(ScimAccessToken(token_hash=hash_token(token), credential_id=credential.id, expires_at=expires_at))
    audit.record(
        session, actor, "scim_token.issue", target_type="scim_credential", target_id=credential.id,
        target_name=credential.id, details={"expires_at": expires_at.isoformat()},
    )  # fmt: skip
    return token, expires_at - now
