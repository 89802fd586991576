from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import ids


class PolicyType(enum.StrEnum):
    SYSTEM = "System"
    CUSTOM = "Custom"


class ServiceControlPolicy(Base):
    """A boundary in the grammar of CAM policies. The one of type System is made when the feature is first enabled."""

    __tablename__ = "service_control_policies"
    __table_args__ = (UniqueConstraint("organization_id", "name_key"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=ids("scp-"))
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str] = mapped_column(String(128))
    name_key: Mapped[str] = mapped_column(String(128))
    type: Mapped[PolicyType] = mapped_column(String(8), default=PolicyType.CUSTOM)
    description: Mapped[str] = mapped_column(String(1024), default="")
    document: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class PolicyBinding(Base):
    """A policy on one node of the organization: a department or a member account."""

    __tablename__ = "policy_bindings"
    __table_args__ = (
        CheckConstraint("(department_id IS NULL) <> (account_uin IS NULL)", name="one_target"),
        UniqueConstraint("policy_id", "department_id"),
        UniqueConstraint("policy_id", "account_uin"),
        Index(None, "department_id"),
        Index(None, "account_uin"),
        Index(None, "organization_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    policy_id: Mapped[str] = mapped_column(ForeignKey("service_control_policies.id"))
    department_id: Mapped[int | None] = mapped_column(ForeignKey("departments.id"))
    account_uin: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("members.account_uin"))
    bound_at: Mapped[datetime] = mapped_column(default=clock.now)
