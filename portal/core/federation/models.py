from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import ids


class IdentityProvider(Base):
    """The enterprise IdP of a space: what the SP believes about it. Its certificates are rows of their own."""

    __tablename__ = "identity_providers"

    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    entity_id: Mapped[str] = mapped_column(String(1024))
    sso_url: Mapped[str] = mapped_column(String(2048))
    sso_binding: Mapped[str] = mapped_column(String(16), default="HTTP-Redirect")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class IdentityProviderCertificate(Base):
    __tablename__ = "identity_provider_certificates"
    __table_args__ = (UniqueConstraint("space_id", "fingerprint"),)

    id: Mapped[str] = mapped_column(String(20), primary_key=True, default=ids("idp-c-"))
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    pem: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(128))
    subject: Mapped[str] = mapped_column(String(1024))
    not_before: Mapped[datetime]
    not_after: Mapped[datetime]
    added_at: Mapped[datetime] = mapped_column(default=clock.now)


class SamlKey(Base):
    """The key with which a space signs what it issues to accounts; the private part is encrypted at rest."""

    __tablename__ = "saml_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), index=True)
    sealed_private_key: Mapped[str] = mapped_column(Text)
    certificate: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class PendingSignIn(Base):
    """An AuthnRequest that waits for its answer, bound to the browser that asked by a cookie whose hash stands here.

    `replaces` is the token hash of the session this browser had when it asked: the answer is a cross-site POST and does
    not bring that cookie.
    """

    __tablename__ = "pending_sign_ins"

    request_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    relay_token: Mapped[str] = mapped_column(String(64))
    binding_hash: Mapped[str] = mapped_column(String(64))
    idp_entity_id: Mapped[str] = mapped_column(String(1024))
    target: Mapped[str] = mapped_column(String(512))
    replaces: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SeenAssertion(Base):
    """Assertion ids a space took, kept until they expire."""

    __tablename__ = "seen_assertions"

    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    assertion_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SignInKind(enum.StrEnum):
    EMPLOYEE = "employee"
    ADMINISTRATOR = "administrator"


class SignIn(Base):
    """A browser session, kept here so that it can be ended. The cookie's token is stored hashed."""

    __tablename__ = "sign_ins"
    __table_args__ = (Index(None, "user_id"), Index(None, "cam_user_uin"))

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[SignInKind] = mapped_column(String(16))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    cam_user_uin: Mapped[int | None] = mapped_column(ForeignKey("cam_users.uin", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(256), default="")
    started_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
