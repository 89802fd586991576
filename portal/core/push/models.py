from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import ids


class CredentialType(enum.StrEnum):
    BEARER_TOKEN = "BearerToken"  # noqa: S105 -- a kind, not a secret
    CLIENT_CREDENTIALS = "ClientCredentials"


class ScimCredential(Base):
    """A credential of an IdP; it tells the space. Its secret is shown once, stored hashed.

    A bearer token is sent with every request; client credentials (RFC 6749 section 4.4) are exchanged for access tokens
    that live `token_minutes`, the id being the client id. `strict`: refuse what the RFC does not allow, instead of
    guessing what an IdP means.
    """

    __tablename__ = "scim_credentials"

    id: Mapped[str] = mapped_column(String(24), primary_key=True, default=ids("scimcred-"))
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), index=True)
    type: Mapped[CredentialType] = mapped_column(
        String(20), default=CredentialType.BEARER_TOKEN, server_default="BearerToken"
    )
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    token_minutes: Mapped[int] = mapped_column(default=60, server_default="60")
    strict: Mapped[bool] = mapped_column(default=False, server_default=false())
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class ScimAccessToken(Base):
    """An access token given for client credentials, stored hashed; it goes with its credential."""

    __tablename__ = "scim_access_tokens"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    credential_id: Mapped[str] = mapped_column(ForeignKey("scim_credentials.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ScimRequest(Base):
    """One line of the SCIM log. `body` is kept for failures only, with secrets removed; `failed` also marks a bulk
    request that was answered with 200 while operations in it failed.
    """

    __tablename__ = "scim_requests"
    __table_args__ = (
        Index("ix_scim_requests_space", "space_id", "id"),
        Index("ix_scim_requests_failed", "space_id", "failed", "id"),
        Index("ix_scim_requests_target", "space_id", "target_id", "id"),
        Index("ix_scim_requests_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime]
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    credential_id: Mapped[str] = mapped_column(String(24), default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
    client: Mapped[str] = mapped_column(String(256), default="")
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(String(1024))
    target_id: Mapped[str] = mapped_column(String(64), default="")
    target_name: Mapped[str] = mapped_column(String(256), default="")
    status: Mapped[int]
    failed: Mapped[bool] = mapped_column(default=False)
    scim_type: Mapped[str] = mapped_column(String(32), default="")
    detail: Mapped[str] = mapped_column(Text, default="")
    milliseconds: Mapped[float]
    body: Mapped[str | None] = mapped_column(Text)
    search_key: Mapped[str] = mapped_column(Text, default="")


class ScimGuard(Base):
    """Holds back a push that would take away more than `percent` of the users of a space within a day (0: never).

    `taken` counts those deleted or deactivated since `window_started_at`, when there were `users_at_start`. While
    `paused_at` is set, every further one is refused and counted in `held_back`, until an administrator lets them
    through, for as long as `open_until` says.
    """

    __tablename__ = "scim_guards"

    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    percent: Mapped[int] = mapped_column(default=20)
    window_started_at: Mapped[datetime | None]
    users_at_start: Mapped[int] = mapped_column(default=0)
    taken: Mapped[int] = mapped_column(default=0)
    paused_at: Mapped[datetime | None]
    held_back: Mapped[int] = mapped_column(default=0)
    open_until: Mapped[datetime | None]
