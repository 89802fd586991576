"""Our key as service provider (IC-6): signs our requests, opens what is encrypted for us.

A space has none until somebody asks for it. An identity provider that finds a key for encryption in our metadata
encrypts by default, without being told to: AD FS with AES-CBC and an unsigned Response around it, which is refused
(a padding oracle: see saml/encryption.py). Sign-in would fail at the first try for a key that nobody needed.

Each step takes `seen`, the standing that its page showed, and raises Stale when it is another by now: "Remove the new
key", asked for before somebody else switched to it, must not delete the old one.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from portal.core import audit
from portal.core.actor import Actor
from portal.core.errors import Conflict
from portal.core.federation import saml_keys, saml_settings
from portal.core.federation.models import KeyStage, KeyUse
from portal.core.federation.saml_settings import NEED_A_KEY
from portal.core.space.models import Space

USE = KeyUse.SERVICE_PROVIDER


def standing(session: Session, space: Space) -> str:
    """See saml_keys.standing."""
    return saml_keys.standing(session, space, USE)


def make(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    private_key: str,
    certificate: str,
    secret_key: str,
    seen: str | None = None,
) -> None:
    """The first key, in use at once: there is no other that an identity provider could know. Conflict if there is."""
    saml_keys.lock(session, space, USE, seen)
    if saml_keys.by_stage(session, space, USE):
        raise Conflict("There is a key already; publish a new one beside it.")
    saml_keys.introduce(
        session, actor, space=space, use=USE, private_key=private_key, certificate=certificate, secret_key=secret_key
    )
    saml_keys.switch(session, actor, space=space, use=USE)


def publish(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    private_key: str,
    certificate: str,
    secret_key: str,
    seen: str | None = None,
) -> None:
    """A new key beside the one in use. Conflict while another roll-over is under way."""
    saml_keys.lock(session, space, USE, seen)
    saml_keys.introduce(
        session, actor, space=space, use=USE, private_key=private_key, certificate=certificate, secret_key=secret_key
    )


def switch(session: Session, actor: Actor, *, space: Space, seen: str | None = None) -> None:
    """Sign with the new key. Conflict when there is none."""
    saml_keys.lock(session, space, USE, seen)
    saml_keys.switch(session, actor, space=space, use=USE)


def retire(session: Session, actor: Actor, *, space: Space, seen: str | None = None) -> None:
    """Remove the old key, or the new one that was never used. Conflict when there is neither."""
    saml_keys.lock(session, space, USE, seen)
    saml_keys.retire(session, actor, space=space, use=USE)


def needed_by(session: Session, space: Space) -> list[str]:
    """The names of the settings that are on and work by the key."""
    choices = saml_settings.of(session, space)
    return [name for name in NEED_A_KEY if getattr(choices, name)]


def remove(session: Session, actor: Actor, *, space: Space, seen: str | None = None) -> None:
    """Have no key any more. Conflict during a roll-over, and while a setting needs it."""
    saml_keys.lock(session, space, USE, seen)
    keys = saml_keys.by_stage(session, space, USE)
    if keys.keys() != {KeyStage.CURRENT}:
        raise Conflict("A roll-over is under way: end it first." if keys else "There is no key.")
    if needed_by(session, space):
        raise Conflict("A setting needs the key: switch that off first.")
    session.delete(keys[KeyStage.CURRENT])
    session.flush()
    audit.record(
        session,
        actor,
        "saml_key.remove",
        target_type="space",
        target_id=space.id,
        target_name=space.name,
        details={"use": USE, "key": keys[KeyStage.CURRENT].id},
    )
