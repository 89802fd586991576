from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock
from portal.core.database import Base
from portal.core.ids import ids


def role_name(configuration_name: str) -> str:
    return f"TencentCloudSSO-{configuration_name}"


class Configuration(Base):
    """A permission configuration. `revision` grows with every change that a deployed role does not have yet."""

    __tablename__ = "configurations"
    __table_args__ = (UniqueConstraint("space_id", "name_key"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=ids("rc-"))
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    name: Mapped[str] = mapped_column(String(112))
    name_key: Mapped[str] = mapped_column(String(112))
    description: Mapped[str] = mapped_column(String(1024), default="")
    session_duration: Mapped[int] = mapped_column(default=3600)
    relay_state: Mapped[str] = mapped_column(String(512), default="")
    revision: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)

    @property
    def role_name(self) -> str:
        """The CAM role it becomes in an account (name of the real product)."""
        return role_name(self.name)


class ConfigurationPolicy(Base):
    __tablename__ = "configuration_policies"

    configuration_id: Mapped[str] = mapped_column(ForeignKey("configurations.id", ondelete="CASCADE"), primary_key=True)
    policy_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    added_at: Mapped[datetime] = mapped_column(default=clock.now)


class PrincipalType(enum.StrEnum):
    USER = "User"
    GROUP = "Group"


_ONE_PRINCIPAL = "(user_id IS NULL) <> (group_id IS NULL)"


class AuthorizationStatus(enum.StrEnum):
    GRANTING = "Granting"
    ACTIVE = "Active"
    REMOVING = "Removing"


class Authorization(Base):
    """(user or group) x account x permission configuration. Only Active ones open an account.

    `direct` ones were granted for the account itself. The others stand for an authorization of a department above it,
    and go with the last one of these.
    """

    __tablename__ = "authorizations"
    __table_args__ = (
        CheckConstraint(_ONE_PRINCIPAL, name="one_principal"),
        UniqueConstraint("user_id", "account_uin", "configuration_id"),
        UniqueConstraint("group_id", "account_uin", "configuration_id"),
        Index(None, "account_uin", "configuration_id"),
        Index("ix_authorizations_space_account", "space_id", "account_uin"),
        Index(None, "configuration_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    group_id: Mapped[str | None] = mapped_column(ForeignKey("groups.id"))
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    configuration_id: Mapped[str] = mapped_column(ForeignKey("configurations.id"))
    status: Mapped[AuthorizationStatus] = mapped_column(String(16), default=AuthorizationStatus.GRANTING)
    direct: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class DepartmentAuthorization(Base):
    """(user or group) x department x permission configuration: holds for every account below it, now and later.

    What is wanted; the Authorization rows of the accounts follow it, by tasks.
    """

    __tablename__ = "department_authorizations"
    __table_args__ = (
        CheckConstraint(_ONE_PRINCIPAL, name="one_principal"),
        UniqueConstraint("user_id", "department_id", "configuration_id", name="uq_department_authorizations_user"),
        UniqueConstraint("group_id", "department_id", "configuration_id", name="uq_department_authorizations_group"),
        Index("ix_department_authorizations_department", "department_id", "configuration_id"),
        Index(None, "configuration_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), index=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    group_id: Mapped[str | None] = mapped_column(ForeignKey("groups.id"))
    department_id: Mapped[int] = mapped_column(ForeignKey("departments.id"))
    configuration_id: Mapped[str] = mapped_column(ForeignKey("configurations.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class DeploymentStatus(enum.StrEnum):
    """As stored. `Redeployment required` is not stored.

    It is `deployed_revision` behind the configuration's `revision`.
    """

    DEPLOYING = "Deploying"
    DEPLOYED = "Deployed"
    FAILED = "DeployFailed"
    UNDEPLOYING = "Undeploying"


class Deployment(Base):
    """A permission configuration as a role in one account. Names are stored, not made up again.

    `policies` are the names of those that the role was deployed with; None when that was before they were kept.
    """

    __tablename__ = "deployments"
    __table_args__ = (
        UniqueConstraint("account_uin", "configuration_id"),
        Index("ix_deployments_space_account", "space_id", "account_uin"),
        Index("ix_deployments_space_configuration", "space_id", "configuration_id"),
        Index(None, "configuration_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    configuration_id: Mapped[str] = mapped_column(ForeignKey("configurations.id"))
    status: Mapped[DeploymentStatus] = mapped_column(String(16), default=DeploymentStatus.DEPLOYING)
    deployed_revision: Mapped[int] = mapped_column(default=0)
    role_name: Mapped[str] = mapped_column(String(128))
    provider_name: Mapped[str] = mapped_column(String(128))
    session_duration: Mapped[int] = mapped_column(default=3600)
    policies: Mapped[list[str] | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class DuplicationStrategy(enum.StrEnum):
    """Conflict policy: Replace (TakeOver) or Save Both (KeepBoth, suffix `_cic`)."""

    TAKE_OVER = "TakeOver"
    KEEP_BOTH = "KeepBoth"


class DeletionStrategy(enum.StrEnum):
    KEEP = "Keep"
    DELETE = "Delete"


class SyncStatus(enum.StrEnum):
    SYNCHRONIZING = "Synchronizing"
    ENABLED = "Enabled"
    FAILED = "Failed"
    DELETING = "Deleting"


class UserSync(Base):
    """(user or group) x account: CAM users of the same names in that account."""

    __tablename__ = "user_syncs"
    __table_args__ = (
        CheckConstraint(_ONE_PRINCIPAL, name="one_principal"),
        UniqueConstraint("user_id", "account_uin"),
        UniqueConstraint("group_id", "account_uin"),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=ids("up-"))
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), index=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    group_id: Mapped[str | None] = mapped_column(ForeignKey("groups.id"))
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), index=True)
    description: Mapped[str] = mapped_column(String(1024), default="")
    duplication_strategy: Mapped[DuplicationStrategy] = mapped_column(String(16))
    deletion_strategy: Mapped[DeletionStrategy] = mapped_column(String(16))
    status: Mapped[SyncStatus] = mapped_column(String(16), default=SyncStatus.SYNCHRONIZING)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class SyncedUser(Base):
    """Deployed state: the CAM user that stands for a user in an account, whichever synchronizations ask for it.

    Without a foreign key to the user, because it outlives a user that the IdP deleted until a task has been in the
    account.
    """

    __tablename__ = "synced_users"

    user_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), primary_key=True, index=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), index=True)
    cam_user_name: Mapped[str] = mapped_column(String(128))
    synced_at: Mapped[datetime] = mapped_column(default=clock.now)


class ProviderState(enum.StrEnum):
    """Whether an account has the certificates that are published; worked out, not stored."""

    DONE = "Done"
    WAITING = "Waiting"
    FAILED = "Failed"


class DeployedProvider(Base):
    """Deployed state: our identity provider in an account, by which the account believes what we sign.

    `certificates` are the fingerprints (hexadecimal, in order, with blanks between) that its metadata holds there;
    empty while nobody knows whether it got there. The row is written before the account is touched.
    """

    __tablename__ = "deployed_providers"

    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"), primary_key=True, index=True)
    certificates: Mapped[str] = mapped_column(Text, default="")
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class OpenedSession(Base):
    """That a user logged in to an account from here, and until when a session of that may last there.

    `configuration_id` is None for a log-in as CAM user. Without foreign keys to user and configuration, because it
    outlives both until a task has been in the account. Two rows of the same log-in do no harm.
    """

    __tablename__ = "opened_sessions"
    __table_args__ = (Index(None, "user_id", "account_uin"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(16))
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"), index=True)
    configuration_id: Mapped[str | None] = mapped_column(String(16))
    opened_at: Mapped[datetime] = mapped_column(default=clock.now)
    ends_at: Mapped[datetime] = mapped_column(index=True)


class TaskType(enum.StrEnum):
    DEPLOY = "ProvisionRoleConfiguration"
    UNDEPLOY = "DeprovisionRoleConfiguration"
    GRANT = "CreateRoleAssignment"
    REVOKE = "DeleteRoleAssignment"
    SYNC_START = "StartProvisioning"
    SYNC_DELETE = "DeleteProvisioning"
    SYNC_USER_ADDED = "AddUserToGroup"
    SYNC_USER_REMOVED = "RemoveUserFromGroup"
    END_SESSIONS = "EndSessions"
    UPDATE_PROVIDER = "UpdateSAMLProvider"
    REPAIR = "RepairAccount"


class TaskStatus(enum.StrEnum):
    QUEUED = "Queued"
    RUNNING = "InProgress"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCELED = "Canceled"


CANCELABLE = (
    TaskType.GRANT,
    TaskType.REVOKE,
    TaskType.DEPLOY,
    TaskType.UNDEPLOY,
    TaskType.SYNC_START,
    TaskType.SYNC_DELETE,
    TaskType.REPAIR,
)
"""Types that somebody asked for. The others end access, or follow what happened elsewhere."""

_OPEN = "status IN ('Queued', 'InProgress')"


class Task(Base):
    """One asynchronous unit of provisioning work.

    `user_id`, `group_id`, names and ids are kept as text, so history survives deletion. Not `direct` is what a
    department's authorization asked for: run again, it grants as long as a department does.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index(None, "space_id", "created_at"),
        Index("ix_tasks_space_batch", "space_id", "batch_id", "number"),
        Index("ix_tasks_space_status", "space_id", "status", "created_at"),
        Index(None, "status", "not_before"),
        Index(None, "account_uin", "type", "status"),
        Index(
            "ix_tasks_open",
            "account_uin",
            "created_at",
            "number",
            sqlite_where=text(_OPEN),
            postgresql_where=text(_OPEN),
        ),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=ids("t-"))
    space_id: Mapped[str] = mapped_column(ForeignKey("spaces.id"))
    batch_id: Mapped[str] = mapped_column(String(16))
    number: Mapped[int] = mapped_column(default=0)
    type: Mapped[TaskType] = mapped_column(String(32))
    status: Mapped[TaskStatus] = mapped_column(String(16), default=TaskStatus.QUEUED)
    reason: Mapped[str] = mapped_column(Text, default="")
    account_uin: Mapped[int] = mapped_column(ForeignKey("accounts.uin"))
    account_name: Mapped[str] = mapped_column(String(64), default="")
    principal_type: Mapped[PrincipalType | None] = mapped_column(String(8))
    principal_id: Mapped[str | None] = mapped_column(String(16), index=True)
    principal_name: Mapped[str] = mapped_column(String(128), default="")
    configuration_id: Mapped[str | None] = mapped_column(String(16), index=True)
    configuration_name: Mapped[str] = mapped_column(String(112), default="")
    sync_id: Mapped[str | None] = mapped_column(String(16), index=True)
    deletion_strategy: Mapped[DeletionStrategy | None] = mapped_column(String(16))
    direct: Mapped[bool] = mapped_column(default=True)
    search_key: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    actor_name: Mapped[str] = mapped_column(String(128), default="")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    not_before: Mapped[datetime] = mapped_column(default=clock.now)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    claim: Mapped[str | None] = mapped_column(String(32))
    claim_until: Mapped[datetime | None]


class BatchUser(Base):
    """Whom the tasks of a batch are about, where one task serves many users of a group.

    Without a foreign key to the user, because the tasks outlive a user that the IdP deleted.
    """

    __tablename__ = "batch_users"

    batch_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(16), primary_key=True, index=True)


class AccountClaim(Base):
    """One writer per account at a time: taken by compare-and-set, runs out by itself when a worker dies.

    `next_call_at` is when the account takes its next call without exceeding its calls per second.
    """

    __tablename__ = "account_claims"

    account_uin: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    claim: Mapped[str] = mapped_column(String(32))
    until: Mapped[datetime]
    next_call_at: Mapped[datetime | None]
