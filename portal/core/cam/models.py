from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import new_uin


class CamUser(Base):
    """A user of one account. `uin` is its own number. Without `password_hash` nobody signs in with a password.

    A synchronized one has type CICUser, the space that manages it and, in `managed_for`, the user it stands for.
    """

    __tablename__ = "cam_users"
    __table_args__ = (UniqueConstraint("account_uin", "name_key"),)

    uin: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, default=new_uin)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    name: Mapped[str] = mapped_column(String(128))
    name_key: Mapped[str] = mapped_column(String(384))
    remark: Mapped[str] = mapped_column(String(1024), default="")
    type: Mapped[str] = mapped_column(String(16), default="SubUser")  # SubUser or CICUser
    password_hash: Mapped[str | None] = mapped_column(String(256))
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    managed_by: Mapped[str | None] = mapped_column(String(16))
    managed_for: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class CamAccessKey(Base):
    """What a program signs its calls with as a CAM user. The secret is stored hashed."""

    __tablename__ = "cam_access_keys"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), index=True)
    user_uin: Mapped[int] = mapped_column(ForeignKey("cam_users.uin", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class CamGroup(Base):
    __tablename__ = "cam_groups"
    __table_args__ = (UniqueConstraint("account_uin", "name_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    name: Mapped[str] = mapped_column(String(128))
    name_key: Mapped[str] = mapped_column(String(384))
    remark: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class CamGroupMember(Base):
    __tablename__ = "cam_group_members"

    group_id: Mapped[int] = mapped_column(ForeignKey("cam_groups.id", ondelete="CASCADE"), primary_key=True)
    user_uin: Mapped[int] = mapped_column(ForeignKey("cam_users.uin", ondelete="CASCADE"), primary_key=True, index=True)


class CamRole(Base):
    """`type` is user, service_linked or identity_center; `trust` says who may assume it."""

    __tablename__ = "cam_roles"
    __table_args__ = (UniqueConstraint("account_uin", "name"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, default=new_uin)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(String(1024), default="")
    type: Mapped[str] = mapped_column(String(16), default="user")
    trust: Mapped[dict[str, Any]]
    session_duration: Mapped[int] = mapped_column(default=3600)
    managed_by: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class CamPolicy(Base):
    """A custom policy of an account. Preset policies are data in config/, the same in every account."""

    __tablename__ = "cam_policies"
    __table_args__ = (UniqueConstraint("account_uin", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(String(1024), default="")
    document: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class HolderType(enum.StrEnum):
    USER = "user"
    GROUP = "group"
    ROLE = "role"


class CamAttachment(Base):
    """A policy granted to a user, a group or a role. `holder_id` is the user's uin, the group's id or the role's id."""

    __tablename__ = "cam_attachments"
    __table_args__ = (Index(None, "account_uin", "policy_name"),)

    holder_type: Mapped[HolderType] = mapped_column(String(8), primary_key=True)
    holder_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    policy_type: Mapped[str] = mapped_column(String(8), primary_key=True)  # System or Custom
    policy_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    attached_at: Mapped[datetime] = mapped_column(default=clock.now)


class CamIdentityProvider(Base):
    """A SAML identity provider that the account trusts."""

    __tablename__ = "cam_identity_providers"
    __table_args__ = (UniqueConstraint("account_uin", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(String(1024), default="")
    entity_id: Mapped[str] = mapped_column(String(1024), index=True)
    metadata_xml: Mapped[str] = mapped_column(Text)
    managed_by: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class CamSession(Base):
    """A temporary session in an account: a role assumed by SAML, or a CAM user signed in by SAML.

    The cookie's token is stored hashed. `source_identity` is the person behind it, as the identity provider said.
    """

    __tablename__ = "cam_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), index=True)
    role_id: Mapped[int | None] = mapped_column(ForeignKey("cam_roles.id", ondelete="CASCADE"), index=True)
    user_uin: Mapped[int | None] = mapped_column(ForeignKey("cam_users.uin", ondelete="CASCADE"), index=True)
    session_name: Mapped[str] = mapped_column(String(128))
    provider_name: Mapped[str] = mapped_column(String(128))
    source_identity: Mapped[str] = mapped_column(String(64), default="", index=True)
    started_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class CamSeenAssertion(Base):
    """Assertion ids an account took, kept until they expire, so that none is taken twice."""

    __tablename__ = "cam_seen_assertions"

    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), primary_key=True)
    assertion_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
