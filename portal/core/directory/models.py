from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint, true
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import ids


class Source(enum.StrEnum):
    MANUAL = "Manual"
    SCIM = "SCIM"


class User(Base):
    """`number` is the creation order, the stable key of every page; `*_key` columns are folded copies for search and
    uniqueness.

    `attributes` keeps what SCIM sent beyond the columns, as sent, so that a read gives it back.
    """

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("space_id", "user_name_key"),
        UniqueConstraint("space_id", "email_key"),
        Index(None, "space_id", "external_id"),
        Index(None, "space_id", "number"),
        Index(None, "space_id", "display_name_key"),
    )

    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    id: Mapped[str] = mapped_column(String(16), unique=True, default=ids("u-"))
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    user_name: Mapped[str] = mapped_column(String(64))
    user_name_key: Mapped[str] = mapped_column(String(64))
    display_name: Mapped[str] = mapped_column(String(256), default="")
    display_name_key: Mapped[str] = mapped_column(String(768), default="")
    given_name: Mapped[str] = mapped_column(String(64), default="")
    family_name: Mapped[str] = mapped_column(String(64), default="")
    email: Mapped[str | None] = mapped_column(String(128))
    email_key: Mapped[str | None] = mapped_column(String(384))
    remarks: Mapped[str] = mapped_column(String(1024), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    source: Mapped[Source] = mapped_column(String(8), default=Source.MANUAL)
    external_id: Mapped[str | None] = mapped_column(String(256))
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class UserValue(Base):
    """One entry of a multi-valued SCIM attribute (`emails`, `phoneNumbers`, ...), a row so that filters are SQL."""

    __tablename__ = "user_values"
    __table_args__ = (Index(None, "attribute", "value_key"),)

    user_number: Mapped[int] = mapped_column(ForeignKey("users.number", ondelete="CASCADE"), primary_key=True)
    attribute: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str | None] = mapped_column(String(64))
    value: Mapped[str | None] = mapped_column(String(1024))
    value_key: Mapped[str | None] = mapped_column(String(1024))
    display: Mapped[str | None] = mapped_column(String(256))
    primary: Mapped[bool] = mapped_column(default=False)


class Group(Base):
    __tablename__ = "groups"
    __table_args__ = (
        UniqueConstraint("space_id", "name_key"),
        Index(None, "space_id", "external_id"),
        Index(None, "space_id", "number"),
    )

    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    id: Mapped[str] = mapped_column(String(16), unique=True, default=ids("g-"))
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    name: Mapped[str] = mapped_column(String(128))
    name_key: Mapped[str] = mapped_column(String(384))
    remarks: Mapped[str] = mapped_column(String(1024), default="")
    source: Mapped[Source] = mapped_column(String(8), default=Source.MANUAL)
    external_id: Mapped[str | None] = mapped_column(String(256))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class Membership(Base):
    """Who is in a group. `direct`: put in itself; otherwise only through a group inside it (see GroupNesting)."""

    __tablename__ = "memberships"

    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    direct: Mapped[bool] = mapped_column(default=True, server_default=true())
    joined_at: Mapped[datetime] = mapped_column(default=clock.now)


class GroupNesting(Base):
    """A group inside a group, as an IdP pushed it. What it gives is kept as indirect rows of `memberships`."""

    __tablename__ = "group_nestings"

    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True, index=True)
    joined_at: Mapped[datetime] = mapped_column(default=clock.now)


class DirectoryCount(Base):
    """How many users or groups (`kind`) of a space have their creation number in a block of them (see counts)."""

    __tablename__ = "directory_counts"

    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    block: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    amount: Mapped[int]
