from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import new_uin


class Account(Base):
    """A cloud account: the place where CAM users, roles and policies live."""

    __tablename__ = "accounts"

    uin: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, default=new_uin)
    name: Mapped[str] = mapped_column(String(64))
    cloud: Mapped[str] = mapped_column(String(16), default="local")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Organization(Base):
    """One company; its admin account is a member like the others, under Root at first."""

    __tablename__ = "organizations"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    admin_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), unique=True)
    scp_enabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Department(Base):
    """A node of the tree. Root has no parent; there is one Root per organization."""

    __tablename__ = "departments"
    __table_args__ = (
        UniqueConstraint("parent_id", "name_key"),
        Index(None, "organization_id", "parent_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("departments.id"))
    name: Mapped[str] = mapped_column(String(40))
    name_key: Mapped[str] = mapped_column(String(120))
    description: Mapped[str] = mapped_column(String(256), default="")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Member(Base):
    """An account in an organization. `joined_by` is Create, Invite or Admin (the admin account itself)."""

    __tablename__ = "members"
    __table_args__ = (
        UniqueConstraint("organization_id", "name_key"),
        Index(None, "organization_id", "department_id"),
    )

    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), primary_key=True, autoincrement=False)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    department_id: Mapped[int] = mapped_column(ForeignKey("departments.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    name_key: Mapped[str] = mapped_column(String(192))
    joined_by: Mapped[str] = mapped_column(String(16))
    payment_mode: Mapped[str] = mapped_column(String(16), default="self-pay")
    may_quit: Mapped[bool] = mapped_column(default=False)
    joined_at: Mapped[datetime] = mapped_column(default=clock.now)

    account: Mapped[Account] = relationship(lazy="raise_on_sql")
    department: Mapped[Department] = relationship(lazy="raise_on_sql")
