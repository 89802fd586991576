"""Verbs on users (IC-3, IC-5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.directory.models import Group, Membership, Source, User, UserValue
from portal.core.errors import Conflict, Forbidden, Invalid, NotFound
from portal.core.federation.models import SignIn
from portal.core.space.models import Space
from portal.core.text import fold

_USER_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
_LENGTHS = {"display_name": 256, "given_name": 64, "family_name": 64, "email": 128, "remarks": 1024, "external_id": 256}


def get_user(session: Session, space: Space, user_id: str) -> User:
    user = session.scalar(select(User).where(User.space_id == space.id, User.id == user_id))
    if user is None:
        raise NotFound("There is no such user in this space.")
    return user


def create_user(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    user_name: str,
    display_name: str = "",
    given_name: str = "",
    family_name: str = "",
    email: str | None = None,
    remarks: str = "",
    enabled: bool = True,
    source: Source = Source.MANUAL,
    external_id: str | None = None,
    attributes: dict[str, Any] | None = None,
    values: Sequence[UserValue] = (),
) -> User:
    """Raises Invalid (rule of a field), Conflict (name or e-mail taken, field names which), LimitReached."""
    _check_user_name(session, space.id, user_name)
    count = session.scalar(select(func.count()).select_from(User).where(User.space_id == space.id)) or 0
    limits.check("users_per_space", count + 1, what="users")
    user = User(
        space_id=space.id,
        user_name=user_name,
        user_name_key=fold(user_name),
        source=source,
        enabled=enabled,
        attributes=attributes or {},
        version=1,
    )
    _apply(
        session,
        user,
        display_name=display_name,
        given_name=given_name,
        family_name=family_name,
        email=email,
        remarks=remarks,
        external_id=external_id,
    )
    session.add(user)
    _flush(session)
    _replace_values(session, user, values)
    _record(session, actor, "user.create", user, source=source)
    return user


def update_user(
    session: Session, actor: Actor, *, user: User, values: Sequence[UserValue] | None = None, **changes: Any
) -> User:
    """Changes named fields (of a Manual user all but the user name, IC-3; the IdP may rename whom it pushed). `values`
    replaces all entries.

    Raises Forbidden when the actor may not touch a user of this source, Invalid, Conflict.
    """
    check_source(actor, user)
    before = {name: getattr(user, name) for name in changes}
    _apply(session, user, **changes)
    changed = sorted(name for name, value in before.items() if getattr(user, name) != value)
    if changed:
        _touch(user)
        _flush(session)
    if values is not None and _replace_values(session, user, values):
        if not changed:
            _touch(user)
        changed.append("values")
    if changed:
        _record(session, actor, "user.update", user, changed=changed)
    return user


def set_enabled(session: Session, actor: Actor, *, user: User, enabled: bool) -> User:
    """Enable or disable login. Disabling ends the user's sessions at once, those inside accounts by tasks."""
    from portal.core.access import sessions

    check_source(actor, user)
    if user.enabled == enabled:
        return user
    user.enabled = enabled
    _touch(user)
    if not enabled:
        end_sessions(session, user)
        sessions.end_all(session, actor, user=user)
    _record(session, actor, "user.enable" if enabled else "user.disable", user)
    return user


def end_sessions(session: Session, user: User) -> None:
    session.execute(
        update(SignIn).where(SignIn.user_id == user.id, SignIn.ended_at.is_(None)).values(ended_at=clock.now())
    )


def delete_user(session: Session, actor: Actor, *, user: User) -> None:
    """A Manual user is refused while something hangs on it.

    Deleting a SCIM user (by SCIM) takes everything away first.
    """
    from portal.core.access import principals, sessions

    check_source(actor, user)
    joined = select(Membership.group_id).where(Membership.user_id == user.id)
    session.execute(  # groups go before what hangs on them, in one order: two requests then wait, none is killed
        select(Group.id).where(Group.id.in_(joined)).order_by(Group.id).with_for_update(key_share=True)
    )
    session.execute(select(User.id).where(User.id == user.id).with_for_update())  # nothing new hangs on it from here
    if actor.kind == "scim":
        principals.withdraw_user(session, actor, user=user)
    else:
        groups = session.scalar(select(func.count()).select_from(Membership).where(Membership.user_id == user.id)) or 0
        uses = [f"{groups} user group{'s' if groups > 1 else ''}"] if groups else []
        uses += principals.uses_of_user(session, user)
        if uses:
            raise Conflict(f"{user.user_name} is still in use: {', '.join(uses)}. Remove these first.")
    sessions.end_all(session, actor, user=user)
    _record(session, actor, "user.delete", user)
    session.execute(update(Group).where(Group.id.in_(joined)).values(version=Group.version + 1, updated_at=clock.now()))
    session.execute(delete(Membership).where(Membership.user_id == user.id))
    session.delete(user)
    session.flush()


def check_source(actor: Actor, found: User | Group) -> None:
    """SCIM may not touch Manual objects, nobody else may touch SCIM objects (IC-5)."""
    what = "user" if isinstance(found, User) else "user group"
    if actor.kind == "scim" and found.source != Source.SCIM:
        raise Forbidden(f"This {what} was made by hand in the console; SCIM may not change it.")
    if actor.kind != "scim" and found.source == Source.SCIM:
        raise Forbidden(f"This {what} comes from SCIM and is read-only here. Change it at the identity provider.")


def _apply(session: Session, user: User, **changes: Any) -> None:
    for name, value in changes.items():
        if name in _LENGTHS:
            value = (value or "").strip()
            if len(value) > _LENGTHS[name]:
                raise Invalid(f"At most {_LENGTHS[name]} characters are allowed.", field=name)
            if name in ("email", "external_id"):
                value = value or None
        if name == "email" and value:
            _check_email(session, user, value)
        if name == "user_name" and value != user.user_name:
            if user.source != Source.SCIM:
                raise Invalid("A username cannot be changed.", field="user_name")
            _check_user_name(session, user.space_id, value, user)
            user.user_name_key = fold(value)
        setattr(user, name, value)
    user.display_name_key = fold(user.display_name or "")
    user.email_key = fold(user.email) if user.email else None


def _check_user_name(session: Session, space_id: str, name: str, user: User | None = None) -> None:
    if not _USER_NAME.fullmatch(name or ""):
        raise Invalid("A username has 1 to 64 letters, digits and the characters + = , . @ - _", field="user_name")
    if user is None or fold(name) != user.user_name_key:
        with session.no_autoflush:
            _check_not_taken(session, space_id, User.user_name_key, fold(name), "user_name", f"A user named {name}")


def _check_email(session: Session, user: User, email: str) -> None:
    local, _, domain = email.rpartition("@")
    if not local or not domain or any(char.isspace() for char in email):
        raise Invalid("This is not an e-mail address.", field="email")
    if fold(email) == user.email_key:
        return
    with session.no_autoflush:
        _check_not_taken(
            session, user.space_id, User.email_key, fold(email), "email", f"A user with the e-mail {email}"
        )


def _check_not_taken(session: Session, space_id: str, column: Any, key: str, field: str, what: str) -> None:
    other = session.scalar(select(User).where(User.space_id == space_id, column == key))
    if other is not None:
        raise Conflict(f"{what} exists already in this space ({other.id}, source {other.source}).", field=field)


def _replace_values(session: Session, user: User, values: Sequence[UserValue]) -> bool:
    """Write the entries of the multi-valued attributes; True when something changed."""
    columns = ("attribute", "position", "type", "value", "display", "primary")
    old = session.scalars(select(UserValue).where(UserValue.user_number == user.number)).all()
    if sorted(map(repr, ([getattr(row, c) for c in columns] for row in old))) == sorted(
        map(repr, ([getattr(row, c) for c in columns] for row in values))
    ):
        return False
    for row in old:
        session.delete(row)
    session.flush()
    for row in values:
        row.user_number = user.number
        row.value_key = fold(row.value) if row.value is not None else None
        session.add(row)
    session.flush()
    return True


def _touch(user: User) -> None:
    user.version += 1
    user.updated_at = clock.now()


def _flush(session: Session) -> None:
    """Two requests at the same time: the unique index decides, and the loser is refused as if it had come later."""
    taken = Conflict("A user of this name or e-mail exists already in this space.", field="user_name")
    try:
        flush_or(session, taken)
    except Conflict:
        if "email_key" in str(getattr(taken.__cause__, "orig", "")):
            taken.field = "email"
        raise


def _record(session: Session, actor: Actor, action: str, user: User, **details: Any) -> None:
    audit.record(
        session, actor, action, target_type="user", target_id=user.id, target_name=user.user_name, details=details
    )
