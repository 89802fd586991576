"""Sign-in sessions, and the enterprise IdP's way to one (IC-16).

SAML messages are judged above the heart; here is what must be remembered between and after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.directory.models import User
from portal.core.errors import Forbidden
from portal.core.federation import joining
from portal.core.federation.models import (
    NameCase,
    PendingSignIn,
    SeenAssertion,
    SignIn,
    SignInKind,
    SignInPurpose,
    UnknownUsers,
)
from portal.core.federation.saml_settings import Choices
from portal.core.secrets import hash_token, new_token
from portal.core.space.models import Space
from portal.core.text import fold

_CLEANED_AT_ONCE = 100
_NAMES = {
    "name_id": 256,
    "name_id_format": 256,
    "name_qualifier": 1024,
    "sp_name_qualifier": 1024,
    "session_index": 1024,
}
"""How an identity provider calls a person and session, and what the columns hold."""


class SignInRefused(Forbidden):
    """`reason` is a stable code for the audit trail; the person gets one neutral sentence for all of them."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__("The sign-in was refused.")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Vouched:
    """What a verified assertion says, in plain values. `expires_at`: until then it must not count again.

    From `name_id` on: how the identity provider calls this person and session, for single logout.
    """

    user_name: str
    assertion_id: str
    expires_at: datetime
    idp_entity_id: str
    name_id: str = ""
    name_id_format: str = ""
    name_qualifier: str | None = None
    sp_name_qualifier: str | None = None
    session_index: str | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, Any]:
        """The columns of SignIn. A session index that is too long is not kept: a logout by name still ends the session.
        Where another is too long none is kept, and the session ends here only."""
        names = {name: getattr(self, name) for name in _NAMES}
        if len(self.session_index or "") > _NAMES["session_index"]:
            names["session_index"] = None
        fits = all(len(names[name] or "") <= longest for name, longest in _NAMES.items())
        return {"idp_entity_id": self.idp_entity_id, **names} if fits and self.name_id else {}


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
    purpose: SignInPurpose = SignInPurpose.SIGN_IN,
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
        purpose=purpose,
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
    vouched: Vouched,
    choices: Choices,
    session_expires: datetime,
    replaces: str | None = None,
    user_agent: str = "",
    once: bool = True,
) -> tuple[SignIn, User, str]:
    """The session of the user whom a verified assertion names, and its token (shown to nobody but the browser).

    `replaces`: token hash of a session that ends with it. `once=False`: the caller has made sure (see `use_up`) that
    the assertion is new. SignInRefused: assertion seen before, no such user in this space, disabled, not created.
    """
    if once:
        use_up(session, space, vouched)
    user = _user(session, actor, space, vouched, choices)
    if not user.enabled:
        raise SignInRefused("disabled-user", f"login of {user.user_name} is disabled")
    if replaces:
        end(session, replaces)
    _forget_ended(session, user)
    sign_in, token = start(
        session,
        kind=SignInKind.EMPLOYEE,
        user_id=user.id,
        expires_at=session_expires,
        address=actor.address,
        user_agent=user_agent,
        **vouched.names,
    )
    _record(session, actor, "user.sign_in", user)
    return sign_in, user, token


def use_up(session: Session, space: Space, vouched: Vouched) -> None:
    """The assertion counts no more. SignInRefused when it counted before."""
    if not first_time(session, space, vouched.assertion_id, vouched.expires_at):
        raise SignInRefused("replayed", f"assertion {vouched.assertion_id}")


def first_time(session: Session, space: Space, message_id: str, expires_at: datetime) -> bool:
    """Whether a message comes for the first time. The unique key decides, so that of two at one moment one is late."""
    try:
        with session.begin_nested():
            session.add(SeenAssertion(space_id=space.id, assertion_id=message_id, expires_at=expires_at))
    except IntegrityError:
        return False
    return True


def was_used(session: Session, space: Space, assertion_id: str) -> bool:
    return session.get(SeenAssertion, (space.id, assertion_id)) is not None


def first_told(session: Session, space: Space, vouched: Vouched) -> bool:
    """Whether this is the first refusal of an assertion that answers nothing of ours, so that who holds one cannot
    fill the trail with it. Kept beside the assertions, under a name that none can have (an id has no blank)."""
    digest = sha256(vouched.assertion_id.encode()).hexdigest()
    return first_time(session, space, f"told {digest}", vouched.expires_at)


def _user(session: Session, actor: Actor, space: Space, vouched: Vouched, choices: Choices) -> User:
    """User names are ASCII; folding would let a look-alike through."""
    name = vouched.user_name
    if not name.isascii():
        raise SignInRefused("unknown-user", f"the name {name!a} is not ASCII")
    user = _find_user(session, space, name, choices)
    if user is None and choices.unknown_users == UnknownUsers.CREATE:
        try:
            joining.create(session, actor, space=space, user_name=name, attributes=vouched.attributes)
        except joining.NotCreated as error:
            user = _find_user(session, space, name, choices)  # the same person's other tab may have been quicker
            if user is None:
                raise SignInRefused("not-created", f"{name}: {error}") from error
        else:
            user = _find_user(session, space, name, choices)
    if user is None:
        raise SignInRefused("unknown-user", f"no user {name} in space {space.name}")
    return user


def _find_user(session: Session, space: Space, name: str, choices: Choices) -> User | None:
    user = session.scalars(
        select(User)
        .where(User.space_id == space.id, User.user_name_key == fold(name))
        .with_for_update(read=True)  # who disables the user meanwhile waits, and then ends this session too
    ).one_or_none()
    return None if user and choices.name_case == NameCase.EXACT and user.user_name != name else user


def start(
    session: Session,
    *,
    kind: SignInKind,
    user_id: str | None = None,
    cam_user_uin: int | None = None,
    expires_at: datetime,
    address: str = "",
    user_agent: str = "",
    **names: Any,
) -> tuple[SignIn, str]:
    """A session record and the token for its cookie. `names`: see Vouched."""
    token = new_token()
    sign_in = SignIn(
        token_hash=hash_token(token),
        kind=kind,
        user_id=user_id,
        cam_user_uin=cam_user_uin,
        address=address[:64],
        user_agent=user_agent[:256],
        expires_at=expires_at,
        **names,
    )
    session.add(sign_in)
    session.flush()
    return sign_in, token


def waiting(session: Session, space: Space, token: str) -> tuple[SignIn, User] | None:
    """The session of that token, if it belongs to a user of this space who may still enter."""
    row = session.execute(
        select(SignIn, User)
        .join(User, User.id == SignIn.user_id)
        .where(
            SignIn.token_hash == hash_token(token),
            SignIn.ended_at.is_(None),
            SignIn.expires_at > clock.now(),
            User.space_id == space.id,
            User.enabled,
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


def end(session: Session, token_hash: str) -> None:
    """End one session, whoever's it is; nothing happens when it has ended."""
    session.execute(
        update(SignIn).where(SignIn.token_hash == token_hash, SignIn.ended_at.is_(None)).values(ended_at=clock.now())
    )


def sign_out(session: Session, actor: Actor, *, sign_in: SignIn, user: User) -> None:
    """The employee ends this one session."""
    end(session, sign_in.token_hash)
    _record(session, actor, "user.sign_out", user)


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
