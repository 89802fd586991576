"""Sign-in sessions, and the enterprise IdP's way to one (IC-16).

SAML messages are judged above the heart; here is what must be remembered between and after them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.directory.models import User
from portal.core.errors import Forbidden
from portal.core.federation.models import PendingSignIn, SeenAssertion, SignIn, SignInKind
from portal.core.secrets import hash_token, new_token
from portal.core.space.models import Space
from portal.core.text import fold

_CLEANED_AT_ONCE = 100


class SignInRefused(Forbidden):
    """`reason` is a stable code for the audit trail; the person gets one neutral sentence for all of them."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__("The sign-in was refused.")
        self.reason = reason
        self.detail = detail


def begin_sign_in(
    session: Session,
    *,
    space: Space,
    request_id: str,
    relay_token: str,
    binding_token: str,
    idp_entity_id: str,
    target: str,
    lifetime: timedelta,
    replaces_token: str | None = None,
) -> PendingSignIn:
    """Remember an AuthnRequest until its answer comes, at most `lifetime`; forgets some that nobody answered.

    `binding_token` is what the asking browser holds in a cookie; `replaces_token` that of its session so far, which
    ends when the new one begins.
    """
    _forget_expired(session, space)
    pending = PendingSignIn(
        request_id=request_id,
        space_id=space.id,
        relay_token=relay_token,
        binding_hash=hash_token(binding_token),
        idp_entity_id=idp_entity_id,
        target=target,
        replaces=hash_token(replaces_token) if replaces_token else None,
        expires_at=clock.now() + lifetime,
    )
    session.add(pending)
    session.flush()
    return pending


def take_pending(session: Session, *, space: Space, request_id: str) -> PendingSignIn | None:
    """Take out what was asked; only the first answer finds it. Runs in a transaction that outlives a refusal."""
    return session.scalars(
        delete(PendingSignIn)
        .where(
            PendingSignIn.request_id == request_id,
            PendingSignIn.space_id == space.id,
            PendingSignIn.expires_at > clock.now(),
        )
        .returning(PendingSignIn)
    ).one_or_none()


def finish_sign_in(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    pending: PendingSignIn,
    name_id: str,
    assertion_id: str,
    assertion_expires: datetime,
    session_expires: datetime,
    user_agent: str = "",
) -> tuple[SignIn, str]:
    """The session of the user whom a verified assertion names, and its token (shown to nobody but the browser).

    User names compare without case. SignInRefused: assertion seen before, no such user in this space, disabled.
    """
    _see_once(session, space, assertion_id, assertion_expires)
    if not name_id.isascii():  # user names are ASCII; folding would let a look-alike through
        raise SignInRefused("unknown-user", f"the name {name_id!a} is not ASCII")
    user = session.scalars(
        select(User)
        .where(User.space_id == space.id, User.user_name_key == fold(name_id))
        .with_for_update(read=True)  # who disables the user meanwhile waits, and then ends this session too
    ).one_or_none()
    if user is None:
        raise SignInRefused("unknown-user", f"no user {name_id} in space {space.name}")
    if not user.enabled:
        raise SignInRefused("disabled-user", f"login of {user.user_name} is disabled")
    if pending.replaces:
        end(session, pending.replaces)
    _forget_ended(session, user)
    sign_in, token = start(
        session,
        kind=SignInKind.EMPLOYEE,
        user_id=user.id,
        expires_at=session_expires,
        address=actor.address,
        user_agent=user_agent,
    )
    _record(session, actor, "user.sign_in", user)
    return sign_in, token


def start(
    session: Session,
    *,
    kind: SignInKind,
    user_id: str | None = None,
    cam_user_uin: int | None = None,
    expires_at: datetime,
    address: str = "",
    user_agent: str = "",
) -> tuple[SignIn, str]:
    """A session record and the token for its cookie."""
    token = new_token()
    sign_in = SignIn(
        token_hash=hash_token(token),
        kind=kind,
        user_id=user_id,
        cam_user_uin=cam_user_uin,
        address=address[:64],
        user_agent=user_agent[:256],
        expires_at=expires_at,
    )
    session.add(sign_in)
    session.flush()
    return sign_in, token


def end(session: Session, token_hash: str) -> None:
    """End one session, whoever's it is; nothing happens when it has ended."""
    session.execute(
        update(SignIn).where(SignIn.token_hash == token_hash, SignIn.ended_at.is_(None)).values(ended_at=clock.now())
    )


def sign_out(session: Session, actor: Actor, *, sign_in: SignIn, user: User) -> None:
    """The employee ends this one session."""
    end(session, sign_in.token_hash)
    _record(session, actor, "user.sign_out", user)


def _see_once(session: Session, space: Space, assertion_id: str, expires_at: datetime) -> None:
    """The unique key decides, so that of two answers at the same moment one is refused."""
    try:
        with session.begin_nested():
            session.add(SeenAssertion(space_id=space.id, assertion_id=assertion_id, expires_at=expires_at))
    except IntegrityError:
        raise SignInRefused("replayed", f"assertion {assertion_id}") from None


def _forget_expired(session: Session, space: Space) -> None:
    """A bounded number at each sign-in, so that nothing piles up and no sign-in waits for cleaning."""
    now = clock.now()
    pending = (
        select(PendingSignIn.request_id)
        .where(PendingSignIn.space_id == space.id, PendingSignIn.expires_at <= now)
        .limit(_CLEANED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    seen = (
        select(SeenAssertion.assertion_id)
        .where(SeenAssertion.space_id == space.id, SeenAssertion.expires_at <= now)
        .limit(_CLEANED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    for statement in (
        delete(PendingSignIn).where(PendingSignIn.request_id.in_(pending)),
        delete(SeenAssertion).where(SeenAssertion.space_id == space.id, SeenAssertion.assertion_id.in_(seen)),
    ):
        session.execute(statement, execution_options={"synchronize_session": False})


def _forget_ended(session: Session, user: User) -> None:
    """Sessions that are over: the audit trail keeps their history."""
    session.execute(
        delete(SignIn).where(
            SignIn.user_id == user.id, or_(SignIn.ended_at.is_not(None), SignIn.expires_at <= clock.now())
        )
    )


def _record(session: Session, actor: Actor, action: str, user: User) -> None:
    person = replace(actor, kind="employee", id=user.id, name=user.user_name)
    audit.record(session, person, action, target_type="user", target_id=user.id, target_name=user.user_name)
