from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import ids

SPACE_NAME = re.compile(r"(?=.{2,64}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")


class SpaceKey(NamedTuple):
    """A space whose settings do not matter, read with something else: most verbs need no more of it."""

    id: str
    organization_id: int


class Space(Base):
    """Its name is globally unique, immutable and part of the login URL."""

    __tablename__ = "spaces"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=ids("z-"))
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"), unique=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    sso_enabled: Mapped[bool] = mapped_column(default=False)
    scim_enabled: Mapped[bool] = mapped_column(default=False)
    repairs_drift: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)

    @property
    def provider_name(self) -> str:
        """The SAML identity provider that is deployed into accounts (name of the real product)."""
        return f"TencentReservedSSO-{self.id}"
