"""Our key pairs: for what is issued to accounts (IC-17), and as service provider. Private parts are encrypted at rest.

introduce   a new pair is published beside the one in use      next
switch      the new pair is used, the old stays published      next -> current -> previous
retire      the old pair is published no more                  previous
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Select, case, select
from sqlalchemy.orm import Session

from portal.core import audit, clock, secrets
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.errors import Conflict, Stale, Unavailable
from portal.core.federation.models import KeyStage, KeyUse, SamlKey
from portal.core.space.models import Space

_PUBLISHED_FIRST = case({KeyStage.CURRENT: 0, KeyStage.NEXT: 1, KeyStage.PREVIOUS: 2}, value=SamlKey.stage, else_=3)


@dataclass(frozen=True)
class OpenKey:
    """A pair that can be used, both parts PEM."""

    private_key: str = field(repr=False)
    certificate: str


def create_key(
    session: Session,
    *,
    space: Space,
    private_key: str,
    certificate: str,
    secret_key: str,
    use: KeyUse = KeyUse.ISSUING,
    stage: KeyStage = KeyStage.CURRENT,
) -> SamlKey:
    """Keep a key pair (PEM) for `space`, the private part sealed with PORTAL_SECRET_KEY. Conflict if there is one."""
    key = SamlKey(
        space_id=space.id,
        use=use,
        stage=stage,
        sealed_private_key=secrets.encrypt(private_key, secret_key=secret_key),
        certificate=certificate,
    )
    session.add(key)
    flush_or(session, Conflict("There is such a key already."))
    return key


def introduce(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    use: KeyUse,
    private_key: str,
    certificate: str,
    secret_key: str,
) -> SamlKey:
    """Publish a new pair beside the one in use. Conflict while another roll-over is under way."""
    if under_way(session, space, use):
        raise Conflict("A roll-over is under way: end it first.")
    key = create_key(
        session,
        space=space,
        private_key=private_key,
        certificate=certificate,
        secret_key=secret_key,
        use=use,
        stage=KeyStage.NEXT,
    )
    _record(session, actor, space, use, "saml_key.introduce")
    return key


def switch(session: Session, actor: Actor, *, space: Space, use: KeyUse) -> None:
    """Use the new pair from now on; the old one stays published. Conflict when there is no new one."""
    keys = by_stage(session, space, use)
    if KeyStage.NEXT not in keys:
        raise Conflict("There is no new key to switch to.")
    for stage, after in ((KeyStage.CURRENT, KeyStage.PREVIOUS), (KeyStage.NEXT, KeyStage.CURRENT)):
        if stage in keys:
            keys[stage].stage, keys[stage].staged_at = after, clock.now()
            session.flush()
    _record(session, actor, space, use, "saml_key.switch")


def retire(session: Session, actor: Actor, *, space: Space, use: KeyUse) -> None:
    """Publish the old pair no more, or the new one that was never used. Conflict when there is neither."""
    keys = by_stage(session, space, use)
    gone = keys.get(KeyStage.PREVIOUS) or keys.get(KeyStage.NEXT)
    if gone is None:
        raise Conflict("There is no key beside the one in use.")
    session.delete(gone)
    session.flush()
    _record(session, actor, space, use, "saml_key.retire")


def by_stage(session: Session, space: Space, use: KeyUse) -> dict[KeyStage, SamlKey]:
    return {key.stage: key for key in session.scalars(_keys(space, use))}


def standing(session: Session, space: Space, use: KeyUse) -> str:
    """Which key is in which stage, in short: a step that was asked for on sight of another standing is not done."""
    keys = by_stage(session, space, use)
    return ",".join(f"{stage}:{fingerprint(keys[stage].certificate)[:16]}" for stage in sorted(keys)) or "none"


def lock(session: Session, space: Space, use: KeyUse, seen: str | None) -> None:
    """One step at a time. `seen`: the standing that the step was asked for on; Stale when it is another by now."""
    session.execute(select(Space.id).where(Space.id == space.id).with_for_update(key_share=True))
    session.scalars(_keys(space, use).execution_options(populate_existing=True)).all()
    if seen is not None and seen != standing(session, space, use):
        raise Stale("The roll-over has gone on since this page was loaded. Look at it again.")


def under_way(session: Session, space: Space, use: KeyUse) -> bool:
    """A roll-over has begun and has not ended."""
    return bool(by_stage(session, space, use).keys() - {KeyStage.CURRENT})


def signing_key(session: Session, space: Space, *, secret_key: str, use: KeyUse = KeyUse.ISSUING) -> tuple[str, str]:
    """The private key in use and its certificate (PEM). Unavailable when there is none or it cannot be opened."""
    key = session.scalars(_keys(space, use).where(SamlKey.stage == KeyStage.CURRENT)).one_or_none()
    if key is None:
        raise Unavailable(f"Space {space.name} has no signing key.")
    return secrets.decrypt(key.sealed_private_key, secret_key=secret_key), key.certificate


def open_keys(session: Session, space: Space, *, secret_key: str, use: KeyUse) -> tuple[OpenKey, ...]:
    """All pairs of that use, the one in use first."""
    return tuple(
        OpenKey(secrets.decrypt(key.sealed_private_key, secret_key=secret_key), key.certificate)
        for key in session.scalars(_keys(space, use))
    )


def certificates(session: Session, space: Space, use: KeyUse = KeyUse.ISSUING) -> list[str]:
    """The certificates (PEM) of all keys of that use, the one in use first: what the metadata shows."""
    return [key.certificate for key in session.scalars(_keys(space, use))]


def fingerprint(certificate: str) -> str:
    """SHA-256 of the DER form, hexadecimal."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


def fingerprints(published: Sequence[str]) -> str:
    """Of several certificates, whichever of them signs: how DeployedProvider keeps what an account holds."""
    return " ".join(sorted(fingerprint(certificate) for certificate in published))


def _keys(space: Space, use: KeyUse) -> Select[SamlKey]:
    return select(SamlKey).where(SamlKey.space_id == space.id, SamlKey.use == use).order_by(_PUBLISHED_FIRST)


def _record(session: Session, actor: Actor, space: Space, use: KeyUse, action: str) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="space",
        target_id=space.id,
        target_name=space.name,
        details={"use": use, "stages": {key.stage: key.id for key in session.scalars(_keys(space, use))}},
    )
