from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import ids


class TrustSource(enum.StrEnum):
    """Where the data of an identity provider came from: a metadata file, typing, or an address that is read again."""

    FILE = "file"
    HAND = "hand"
    URL = "url"


class _Party:
    """Whom to ask and how, as the identity provider's metadata says it."""

    entity_id: Mapped[str] = mapped_column(String(1024))
    sso_url: Mapped[str] = mapped_column(String(2048))
    sso_binding: Mapped[str] = mapped_column(String(16), default="HTTP-Redirect")
    slo_url: Mapped[str | None] = mapped_column(String(2048))
    slo_binding: Mapped[str | None] = mapped_column(String(16))
    slo_response_url: Mapped[str | None] = mapped_column(String(2048))
    source: Mapped[TrustSource] = mapped_column(String(8), default=TrustSource.FILE, server_default="file")
    metadata_url: Mapped[str | None] = mapped_column(String(2048))
    metadata_certificates: Mapped[str] = mapped_column(Text, default="", server_default="")
    """PEM; when there are any, metadata read from `metadata_url` must be signed with one of them."""


class IdentityProvider(_Party, Base):
    """The enterprise IdP of a space: what the SP believes about it. Its certificates are rows of their own.

    `refresh_at` and `refresh_error` belong to `metadata_url`: when it is read next, and why the last time failed.
    """

    __tablename__ = "identity_providers"

    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    tested_at: Mapped[datetime | None]
    refreshed_at: Mapped[datetime | None]
    refresh_at: Mapped[datetime | None] = mapped_column(index=True)
    refresh_error: Mapped[str] = mapped_column(String(1024), default="", server_default="")
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


class IdentityProviderOffer(_Party, Base):
    """Identity provider data that waits for its test and for somebody to trust it; one per space.

    `certificates` are PEM, one after the other. `tested_at`: when a test sign-in with exactly this data passed.
    """

    __tablename__ = "identity_provider_offers"

    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    certificates: Mapped[str] = mapped_column(Text)
    tested_at: Mapped[datetime | None]
    offered_at: Mapped[datetime] = mapped_column(default=clock.now)
    offered_by: Mapped[str] = mapped_column(String(128), default="")


class NameCase(enum.StrEnum):
    IGNORED = "ignored"
    EXACT = "exact"


class UnknownUsers(enum.StrEnum):
    REFUSE = "refuse"
    CREATE = "create"


class SamlSettings(Base):
    """How a space signs its employees in. A space without a row has the defaults (saml_settings.of).

    `username_attribute`: the attribute that holds the user name; empty for the NameID.
    """

    __tablename__ = "saml_settings"

    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    sign_requests: Mapped[bool] = mapped_column(default=False)
    force_authn: Mapped[bool] = mapped_column(default=False)
    idp_initiated: Mapped[bool] = mapped_column(default=False)
    encrypted_only: Mapped[bool] = mapped_column(default=False)
    single_logout: Mapped[bool] = mapped_column(default=False)
    username_attribute: Mapped[str] = mapped_column(String(256), default="")
    name_case: Mapped[NameCase] = mapped_column(String(8), default=NameCase.IGNORED)
    unknown_users: Mapped[UnknownUsers] = mapped_column(String(8), default=UnknownUsers.REFUSE)


class KeyUse(enum.StrEnum):
    """`issuing` signs what accounts believe; `service_provider` signs our requests and opens what is encrypted."""

    ISSUING = "issuing"
    SERVICE_PROVIDER = "service_provider"


class KeyStage(enum.StrEnum):
    """Published but not used yet; in use; published still, for those who have not read our metadata again."""

    NEXT = "next"
    CURRENT = "current"
    PREVIOUS = "previous"


class SamlKey(Base):
    """A key pair of a space; the private part is encrypted at rest. One per use and stage, `staged_at` since when."""

    __tablename__ = "saml_keys"
    __table_args__ = (UniqueConstraint("space_id", "use", "stage"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), index=True)
    use: Mapped[KeyUse] = mapped_column(String(16), default=KeyUse.ISSUING, server_default="issuing")
    stage: Mapped[KeyStage] = mapped_column(String(8), default=KeyStage.CURRENT, server_default="current")
    sealed_private_key: Mapped[str] = mapped_column(Text)
    certificate: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    staged_at: Mapped[datetime] = mapped_column(default=clock.now)


class SignInPurpose(enum.StrEnum):
    """`test`: an administrator tries the identity provider that is offered; nobody is signed in."""

    SIGN_IN = "sign-in"
    TEST = "test"


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
    purpose: Mapped[SignInPurpose] = mapped_column(
        String(8), default=SignInPurpose.SIGN_IN, server_default=SignInPurpose.SIGN_IN
    )
    expires_at: Mapped[datetime] = mapped_column(index=True)


class PendingLogout(Base):
    """A LogoutRequest of ours that waits for the identity provider's answer, in the browser that signed out."""

    __tablename__ = "pending_logouts"

    request_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    relay_token: Mapped[str] = mapped_column(String(64), index=True)
    idp_entity_id: Mapped[str] = mapped_column(String(1024))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SignInAttempt(Base):
    """What an identity provider answered and how it was judged, kept for some days to be looked at.

    `checks`: JSON, a list of {code, verdict, detail}; `response`: decoded and of no use to sign in with. `genuine`: no
    stranger could have sent it.
    """

    __tablename__ = "sign_in_attempts"
    __table_args__ = (
        Index("ix_sign_in_attempts_space", "space_id", "id"),
        Index("ix_sign_in_attempts_accepted", "space_id", "accepted", "id"),
        Index("ix_sign_in_attempts_genuine", "space_id", "genuine", "at"),
        Index("ix_sign_in_attempts_purpose", "space_id", "purpose", "id"),
        Index("ix_sign_in_attempts_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    purpose: Mapped[SignInPurpose] = mapped_column(String(8), default=SignInPurpose.SIGN_IN)
    accepted: Mapped[bool]
    genuine: Mapped[bool] = mapped_column(default=True)
    reason: Mapped[str] = mapped_column(String(64), default="")
    detail: Mapped[str] = mapped_column(String(1024), default="")
    reference: Mapped[str] = mapped_column(String(64), default="", index=True)
    user_name: Mapped[str] = mapped_column(String(256), default="")
    idp_entity_id: Mapped[str] = mapped_column(String(1024), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(256), default="")
    checks: Mapped[str] = mapped_column(Text, default="[]")
    response: Mapped[str] = mapped_column(Text, default="")


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
    """A browser session, kept here so that it can be ended. The cookie's token is stored hashed.

    From `idp_entity_id` on: how the identity provider calls this person and session, for single logout.
    """

    __tablename__ = "sign_ins"
    __table_args__ = (Index(None, "user_id"), Index(None, "cam_user_uin"), Index(None, "name_id"))

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
    idp_entity_id: Mapped[str | None] = mapped_column(String(1024))
    name_id: Mapped[str | None] = mapped_column(String(256))
    name_id_format: Mapped[str | None] = mapped_column(String(256))
    name_qualifier: Mapped[str | None] = mapped_column(String(1024))
    sp_name_qualifier: Mapped[str | None] = mapped_column(String(1024))
    session_index: Mapped[str | None] = mapped_column(String(1024))
