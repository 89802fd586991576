"""The key with which a space signs what it issues to accounts (IC-17); the private part is encrypted at rest."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import secrets
from portal.core.errors import Unavailable
from portal.core.federation.models import SamlKey
from portal.core.space.models import Space


def create_key(session: Session, *, space: Space, private_key: str, certificate: str, secret_key: str) -> SamlKey:
    """Keep a key pair (PEM) for `space`, the private part sealed with PORTAL_SECRET_KEY."""
    key = SamlKey(
        space_id=space.id,
        sealed_private_key=secrets.encrypt(private_key, secret_key=secret_key),
        certificate=certificate,
    )
    session.add(key)
    session.flush()
    return key


def signing_key(session: Session, space: Space, *, secret_key: str) -> tuple[str, str]:
    """The newest private key and its certificate (PEM). Unavailable when there is none or it cannot be opened."""
    key = session.scalars(
        select(SamlKey).where(SamlKey.space_id == space.id).order_by(SamlKey.id.desc()).limit(1)
    ).one_or_none()
    if key is None:
        raise Unavailable(f"Space {space.name} has no signing key.")
    return secrets.decrypt(key.sealed_private_key, secret_key=secret_key), key.certificate


def certificates(session: Session, space: Space) -> list[str]:
    """The certificates (PEM) of all keys of a space, newest first: what its metadata shows."""
    return list(
        session.scalars(select(SamlKey.certificate).where(SamlKey.space_id == space.id).order_by(SamlKey.id.desc()))
    )
