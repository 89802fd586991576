"""Single logout (IC-16): sessions that the identity provider ends, and its answer when we asked it to end its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.directory.models import User
from portal.core.federation.models import PendingLogout, SignIn
from portal.core.federation.sign_ins import first_time
from portal.core.space.models import Space

_CLEANED_AT_ONCE = 100


def begin(
    session: Session, *, space: Space, request_id: str, relay_token: str, idp_entity_id: str, lifetime: timedelta
) -> None:
    """Remember a LogoutRequest until its answer comes; forgets some that nobody answered."""
    expired = (
        select(PendingLogout.request_id)
        .where(PendingLogout.expires_at <= clock.now())
        .limit(_CLEANED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    session.execute(
        delete(PendingLogout).where(PendingLogout.request_id.in_(expired)),
        execution_options={"synchronize_session": False},
    )
    session.add(
        PendingLogout(
            request_id=request_id,
            space_id=space.id,
            relay_token=relay_token,
            idp_entity_id=idp_entity_id,
            expires_at=clock.now() + lifetime,
        )
    )
    session.flush()


def take(session: Session, *, space: Space, relay_token: str) -> PendingLogout | None:
    """Take out what was asked; only the first answer finds it."""
    return session.scalars(
        delete(PendingLogout)
        .where(
            PendingLogout.space_id == space.id,
            PendingLogout.relay_token == relay_token,
            PendingLogout.expires_at > clock.now(),
        )
        .returning(PendingLogout)
    ).one_or_none()


def end_by_name(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    idp_entity_id: str,
    request_id: str,
    expires_at: datetime,
    name_id: str,
    session_indexes: Sequence[str] = (),
) -> int:
    """End what a verified LogoutRequest names: sessions of those indexes, or without any all of the name. How many.

    The same request again (until `expires_at`) ends nothing: the person may have signed in anew. A session whose index
    nobody knows counts as named.
    """
    if not first_time(session, space, request_id, expires_at):
        return 0
    statement = (
        select(SignIn, User)
        .join(User, User.id == SignIn.user_id)
        .where(
            User.space_id == space.id,
            SignIn.idp_entity_id == idp_entity_id,
            SignIn.name_id == name_id,
            SignIn.ended_at.is_(None),
            SignIn.expires_at > clock.now(),
        )
    )
    if session_indexes:
        statement = statement.where(or_(SignIn.session_index.in_(session_indexes), SignIn.session_index.is_(None)))
    ended = session.execute(statement).all()
    for sign_in, _user in ended:
        sign_in.ended_at = clock.now()
    session.flush()
    provider = replace(actor, kind="system", id="idp", name=idp_entity_id[:128])
    for user in {user.id: user for _sign_in, user in ended}.values():
        count = sum(sign_in.user_id == user.id for sign_in, _user in ended)
        audit.record(
            session,
            provider,
            "user.sign_out",
            target_type="user",
            target_id=user.id,
            target_name=user.user_name,
            details={"by": "identity provider", "sessions": count},
        )
    return len(ended)
