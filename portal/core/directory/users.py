"""Verbs on users (IC-3, IC-5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.access.models import OpenedSession
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.directory import counts, drafts
from portal.core.directory import values as kept
from portal.core.directory.drafts import Draft
from portal.core.directory.models import Group, Membership, Source, User, UserValue
from portal.core.directory.sources import check_source, of_other
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.federation.models import SignIn
from portal.core.space.models import Space, SpaceKey
from portal.core.text import fold

_USER_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
Value = dict[str, Any]
"""A row of `user_values` without the user: attribute, position, type, value, display and primary."""

_values: Any = UserValue.__table__
_VALUES = select(_values).where(_values.c.user_number == bindparam("of"))
_INSERT_VALUES = _values.insert()


def _putting(insert: Any) -> Any:
    statement = insert(_values)
    parts = {name: statement.excluded[name] for name in ("type", "value", "value_key", "display", "primary")}
    return statement.on_conflict_do_update(index_elements=list(_values.primary_key), set_=parts)


_PUT_VALUES = {"sqlite": _putting(sqlite.insert), "postgresql": _putting(postgresql.insert)}
_DELETE_VALUE = _values.delete().where(
    _values.c.user_number == bindparam("of"),
    _values.c.attribute == bindparam("called"),
    _values.c.position == bindparam("at"),
)
_sign_ins: Any = SignIn.__table__
_opened: Any = OpenedSession.__table__
_ANY_SESSION = select(  # built once: mostly answered with no
    exists().where(_sign_ins.c.user_id == bindparam("of"), _sign_ins.c.ended_at.is_(None)),
    exists().where(_opened.c.user_id == bindparam("of"), _opened.c.ends_at > bindparam("now")),
)
_END_SIGN_INS = (
    _sign_ins.update()
    .where(_sign_ins.c.user_id == bindparam("of"), _sign_ins.c.ended_at.is_(None))
    .values(ended_at=bindparam("now"))
)
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
    space: Space | SpaceKey,
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
    values: Sequence[Value] = (),
) -> User:
    """Raises Invalid (rule of a field), Conflict (name or e-mail taken, field names which), LimitReached."""
    check_user_name(user_name)
    now = clock.now()
    user = User(
        created_at=now,
        updated_at=now,
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
    total = counts.insert(session, user)
    if total is None:
        _check_not_taken(session, user, "user_name", user_name)
        _check_not_taken(session, user, "email", user.email or "")
        raise Conflict("A user of this name or e-mail exists already in this space.", field="user_name")
    limits.check("users_per_space", total, what="users")
    _insert_values(session, user, values)
    _record(session, actor, "user.create", user, source=source)
    return user


def update_user(
    session: Session, actor: Actor, *, user: User, values: Sequence[Value] | None = None, **changes: Any
) -> User:
    """Changes named fields (of a Manual user all but the user name, IC-3; the IdP may rename whom it pushed). `values`
    replaces all entries.

    Raises Forbidden when the actor may not touch a user of this source, Invalid, Conflict.
    """
    check_source(session, actor, user)
    before = {name: getattr(user, name) for name in changes}
    _apply(session, user, **changes)
    changed = sorted(name for name, value in before.items() if getattr(user, name) != value)
    if changed:
        _touch(user)
        _flush(session, user, unique=not {"user_name", "email"}.isdisjoint(changed))
        if actor.kind != "scim" and user.source == Source.SCIM:
            kept.follow_columns(session, user, email_before=before.get("email", user.email))
    if values is not None and _replace_values(session, user, values):
        if not changed:
            _touch(user)
            _flush(session, user, unique=False)
        changed.append("values")
    if changed:
        _record(session, actor, "user.update", user, changed=changed)
    return user


def set_enabled(session: Session, actor: Actor, *, user: User, enabled: bool) -> User:
    """Enable or disable login. Disabling ends the user's sessions at once, those inside accounts by tasks."""
    from portal.core.access import sessions

    check_source(session, actor, user)
    if user.enabled == enabled:
        return user
    user.enabled = enabled
    kept.show_active(user)
    _touch(user)
    _flush(session, user, unique=False)
    if not enabled:
        signed_in, inside = session.connection().execute(_ANY_SESSION, {"of": user.id, "now": clock.now()}).one()
        if signed_in:
            end_sessions(session, user)
        if inside:
            sessions.end_all(session, actor, user=user)
    _record(session, actor, "user.enable" if enabled else "user.disable", user)
    return user


def end_sessions(session: Session, user: User) -> None:
    session.flush()
    session.connection().execute(_END_SIGN_INS, {"of": user.id, "now": clock.now()})


def delete_user(session: Session, actor: Actor, *, user: User) -> None:
    """Refused while something hangs on it; SCIM, deleting one of its own, takes everything away first."""
    from portal.core.access import principals, sessions

    check_source(session, actor, user)
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
    put_in = Group.id.in_(joined.where(Membership.direct))  # the others do not name the user among their members
    session.execute(update(Group).where(put_in).values(version=Group.version + 1, updated_at=clock.now()))
    session.execute(delete(Membership).where(Membership.user_id == user.id))
    session.delete(user)
    session.flush()
    counts.note(session, user, -1)


def _apply(session: Session, user: User, **changes: Any) -> None:
    """What has a unique index is looked up for a user that is there; a new one meets it when it is inserted."""
    for name, value in changes.items():
        if name in _LENGTHS:
            value = (value or "").strip()
            if len(value) > _LENGTHS[name]:
                raise Invalid(f"At most {_LENGTHS[name]} characters are allowed.", field=name)
            if name in ("email", "external_id"):
                value = value or None
        if name == "email":
            _set_email(session, user, value)
        elif name == "user_name":
            _rename(session, user, value)
        elif name == "attributes" or getattr(user, name) != value:
            setattr(user, name, value)
        if name == "display_name":
            user.display_name_key = fold(value)


def _rename(session: Session, user: User, name: str) -> None:
    if name == user.user_name:
        return
    if user.source != Source.SCIM:
        raise Invalid("A username cannot be changed.", field="user_name")
    check_user_name(name)
    if fold(name) != user.user_name_key:
        with session.no_autoflush:
            _check_not_taken(session, user, "user_name", name)
    user.user_name, user.user_name_key = name, fold(name)


def _set_email(session: Session, user: User, email: str | None) -> None:
    key = fold(email) if email else None
    if email:
        local, _, domain = email.rpartition("@")
        if not local or not domain or any(char.isspace() for char in email):
            raise Invalid("This is not an e-mail address.", field="email")
        if user.number is not None and key != user.email_key:
            with session.no_autoflush:
                _check_not_taken(session, user, "email", email)
    user.email, user.email_key = email, key


def check_user_name(name: str) -> None:
    """Raises Invalid for what cannot be the name of a user."""
    if not _USER_NAME.fullmatch(name or ""):
        raise Invalid("A username has 1 to 64 letters, digits and the characters + = , . @ - _", field="user_name")


def _check_not_taken(session: Session, user: User, field: str, value: str) -> None:
    column = User.user_name_key if field == "user_name" else User.email_key
    other = session.scalar(select(User).where(User.space_id == user.space_id, column == fold(value)))
    if other is not None:
        what = "A user named" if field == "user_name" else "A user with the e-mail"
        raise Conflict(f"{what} {value} exists already in this space{of_other(other, user.source)}", field=field)


def _replace_values(session: Session, user: User, values: Sequence[Value]) -> bool:
    """Write the entries of the multi-valued attributes; True when something changed. Those that stay are left alone."""
    old = {(row.attribute, row.position): row for row in session.connection().execute(_VALUES, {"of": user.number})}
    new = {(value["attribute"], value["position"]): value for value in values}
    changed = [value for key, value in new.items() if key not in old or not _same(old[key], value)]
    gone = [key for key in old if key not in new]
    if gone:
        keys = [{"of": user.number, "called": attribute, "at": position} for attribute, position in gone]
        session.connection().execute(_DELETE_VALUE, keys)
    _insert_values(session, user, changed, _PUT_VALUES[session.get_bind().dialect.name])
    return bool(changed or gone)


def _insert_values(session: Session, user: User, values: Sequence[Value], insert: Any = _INSERT_VALUES) -> None:
    if values:
        rows = [
            {**value, "user_number": user.number, "value_key": None if value["value"] is None else fold(value["value"])}
            for value in values
        ]
        session.connection().execute(insert, rows)


def _same(row: Any, value: Value) -> bool:
    return all(getattr(row, name) == value[name] for name in ("type", "value", "display", "primary"))


def _touch(user: User) -> None:
    user.version += 1
    user.updated_at = clock.now()


def _flush(session: Session, user: User, *, unique: bool) -> None:
    """Two requests at the same time: the unique index decides, and the loser is refused as if it had come later."""
    taken = Conflict("A user of this name or e-mail exists already in this space.", field="user_name")
    try:
        if isinstance(user, Draft):
            drafts.write(session, user)
        elif unique:
            flush_or(session, taken)
        else:
            session.flush()
    except (Conflict, IntegrityError) as error:
        cause = taken.__cause__ or error
        if "email_key" in str(getattr(cause, "orig", "")):
            taken.field = "email"
        raise taken from cause


def _record(session: Session, actor: Actor, action: str, user: User, **details: Any) -> None:
    audit.record(
        session, actor, action, target_type="user", target_id=user.id, target_name=user.user_name, details=details
    )
