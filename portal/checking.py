"""`portal check`: every fault of the configuration at once, found by trying, not by guessing."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal import signing
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import Error
from portal.core.federation.models import IdentityProviderCertificate, KeyStage, SamlKey
from portal.core.push.models import ScimCredential
from portal.core.secrets import decrypt
from portal.core.space.models import Space
from portal.migrations import is_current
from portal.settings import Settings


def faults(settings: Settings) -> list[str]:
    """What keeps the portal from working: database, schema, keys, broker."""
    return [*_database_faults(settings), *_broker_faults(settings)]


def remarks(settings: Settings) -> list[str]:
    """What works, but hardly as meant in production."""
    known = {f"PORTAL_{name.upper()}" for name in Settings.model_fields} | {"PORTAL_CONFIG"}
    found = [
        f"{name}: there is no such setting."
        for name in sorted(os.environ)
        if name.startswith("PORTAL_") and not name.startswith(("PORTAL_TEST_", "PORTAL_LIMITS__")) and name not in known
    ]
    host = urlsplit(settings.base_url).hostname or ""
    loopback = host in ("127.0.0.1", "localhost", "::1")
    if not settings.secure_cookies and not loopback:
        found.append("PORTAL_BASE_URL begins with http://: browsers send cookies unprotected; use https://.")
    if loopback:
        found.append(f"PORTAL_BASE_URL is {settings.base_url}: only browsers on this machine reach the portal.")
    if settings.is_sqlite:
        found.append("The database is a SQLite file: fine for one machine; PostgreSQL is for production.")
    return found


def _database_faults(settings: Settings) -> list[str]:
    database = Database(settings.database_url)
    try:
        with database.transaction(write=False) as session:
            session.execute(text("SELECT 1"))
        if not is_current(database):
            if settings.is_sqlite:  # the next command brings it up to date
                return []
            return ["The database schema is not this version's. Run: portal db upgrade"]
        with database.transaction(write=False) as session:
            return [*_key_faults(settings, session), *_expiry_faults(session)]
    except SQLAlchemyError as error:
        return [f"PORTAL_DATABASE_URL: the database does not answer ({type(getattr(error, 'orig', error)).__name__})."]
    finally:
        database.dispose()


def _key_faults(settings: Settings, session: Session) -> list[str]:
    try:
        for sealed in session.scalars(select(SamlKey.sealed_private_key)):
            decrypt(sealed, secret_key=settings.secret_key)
    except Error as error:
        return [f"PORTAL_SECRET_KEY: {error.message}"]
    return []


def _expiry_faults(session: Session) -> list[str]:
    now = clock.now()
    found = []
    for space in session.scalars(select(Space).order_by(Space.name)):
        ends = session.scalars(
            select(IdentityProviderCertificate.not_after).where(IdentityProviderCertificate.space_id == space.id)
        ).all()
        if space.sso_enabled and ends and all(end < now for end in ends):
            found.append(
                f"Space {space.name}: every certificate of the identity provider has expired. Sign-ins are still "
                "accepted, but the identity provider may refuse to sign with them: let it make a new one, and add that."
            )
        if any(key.stage == KeyStage.CURRENT and key.not_after < now for key in signing.keys(session, space)):
            found.append(
                f"Space {space.name}: the certificate of the signing key has expired; exchange it: "
                f"portal saml-key introduce --space {space.name}"
            )
        credentials = session.scalars(
            select(ScimCredential.expires_at).where(ScimCredential.space_id == space.id, ScimCredential.enabled)
        ).all()
        if space.scim_enabled and credentials and all(end < now for end in credentials):
            found.append(f"Space {space.name}: every SCIM credential has expired; nothing is pushed.")
    return found


def _broker_faults(settings: Settings) -> list[str]:
    if not settings.broker_url:
        return []
    from kombu.connection import Connection

    try:
        with Connection(settings.broker_url, connect_timeout=3) as connection:  # type: ignore[no-untyped-call]
            connection.ensure_connection(max_retries=1)
    except Exception as error:
        return [f"PORTAL_BROKER_URL: the broker does not answer ({type(error).__name__})."]
    return []
