"""Drift: what stands in the accounts, compared with what the Identity Center put there (IC-9).

A scheduled pass of the worker looks into every account and keeps each difference; a repair is a task like any other.
"""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base


class AccountCheck(Base):
    """When an account was last compared with what should be there, and when it is next (None: not by itself).

    Somebody `asked` for that one. `problem` is why the last try came to nothing, "" otherwise; `failures` of them in a
    row. Whoever looks moves `due_at` on, so that a turn of a worker that died ends by itself.
    """

    __tablename__ = "account_checks"
    __table_args__ = (Index(None, "space_id", "checked_at"),)

    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    checked_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    asked: Mapped[bool] = mapped_column(default=False)
    differences: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str] = mapped_column(Text, default="")


class DifferenceKind(enum.StrEnum):
    PROVIDER_MISSING = "ProviderMissing"
    PROVIDER_CHANGED = "ProviderChanged"
    PROVIDER_STRAY = "ProviderStray"
    ROLE_MISSING = "RoleMissing"
    ROLE_CHANGED = "RoleChanged"
    ROLE_STRAY = "RoleStray"
    POLICY_DETACHED = "PolicyDetached"
    POLICY_STRAY = "PolicyStray"
    USER_MISSING = "UserMissing"
    USER_STRAY = "UserStray"


class Difference(Base):
    """One thing in an account that is not as the Identity Center made it; `wanted` and `found` in words."""

    __tablename__ = "differences"
    __table_args__ = (Index(None, "space_id", "account_uin"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), index=True)
    kind: Mapped[DifferenceKind] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(128))
    wanted: Mapped[str] = mapped_column(Text, default="")
    found: Mapped[str] = mapped_column(Text, default="")
    found_at: Mapped[datetime] = mapped_column(default=clock.now)
