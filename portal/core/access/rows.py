"""What the lists of this subject show: frozen rows, ready for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from portal.core.access.models import (
    AuthorizationStatus,
    DeletionStrategy,
    DeploymentStatus,
    DuplicationStrategy,
    PrincipalType,
    ProviderState,
    SyncStatus,
    TaskType,
)

T = TypeVar("T")
MOST = 20
"""Rows of a list that a review or a confirmation shows."""


@dataclass(frozen=True)
class First(Generic[T]):
    """The first ones of a list, and how many there are in all."""

    rows: Sequence[T] = ()
    total: int = 0

    @property
    def more(self) -> int:
        return self.total - len(self.rows)


def cut(items: Sequence[T]) -> First[T]:
    return First(items[:MOST], len(items))


@dataclass(frozen=True)
class ConfigurationRow:
    """`deployments` counts accounts; `outdated` those of them where redeployment is required (IC-10)."""

    id: str
    name: str
    description: str
    session_duration: int
    created_at: datetime
    updated_at: datetime
    policies: int
    deployments: int
    outdated: int


@dataclass(frozen=True)
class PolicyRow:
    name: str
    added_at: datetime


@dataclass(frozen=True)
class DeploymentRow:
    """`redeployment_required` is true for a deployed role that is behind its configuration (IC-10).

    Of a failed one `reason` and `batch_id` are of the last task that failed or was canceled, where a list says so.
    """

    id: int
    status: DeploymentStatus
    redeployment_required: bool
    configuration_id: str
    configuration_name: str
    account_uin: int
    account_name: str
    role_name: str
    created_at: datetime
    updated_at: datetime
    authorizations: int
    batch_id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Place:
    """A department by its name."""

    id: int
    name: str


@dataclass(frozen=True)
class Authorized:
    """One permission configuration that a principal holds in an account. `id` is the authorization's.

    `departments` are those that grant it; not `direct` is what these alone grant.
    """

    id: int
    configuration_id: str
    configuration_name: str
    status: AuthorizationStatus
    direct: bool
    departments: tuple[Place, ...] = ()


@dataclass(frozen=True)
class PrincipalRow:
    """A user or group with everything it holds in one account."""

    type: PrincipalType
    id: str
    name: str
    authorizations: tuple[Authorized, ...]


@dataclass(frozen=True)
class AuthorizationRow:
    """`principal_*` is who holds it: for a user's list a group when it comes by membership.

    `departments` are those that grant it, where a list says so; not `direct` is what these alone grant.
    """

    id: int
    status: AuthorizationStatus
    created_at: datetime
    account_uin: int
    account_name: str
    configuration_id: str
    configuration_name: str
    principal_type: PrincipalType
    principal_id: str
    principal_name: str
    direct: bool
    departments: tuple[Place, ...] = ()

    @property
    def by_group(self) -> bool:
        return self.principal_type == PrincipalType.GROUP


@dataclass(frozen=True)
class DepartmentAuthorizationRow:
    """What a department grants, seen from itself or from one below it.

    `active`, `granting` and `missing` count the accounts of the department that is looked at, and of those below it.
    """

    id: int
    created_at: datetime
    department_id: int
    department_name: str
    configuration_id: str
    configuration_name: str
    principal_type: PrincipalType
    principal_id: str
    principal_name: str
    active: int = 0
    granting: int = 0
    missing: int = 0


@dataclass(frozen=True)
class Wanted:
    """An authorization that a department wants in an account, where it is not (any more).

    `authorization_id` is the one that is being removed there.
    """

    account_uin: int
    account_name: str
    principal_type: PrincipalType
    principal_id: str
    principal_name: str
    configuration_id: str
    configuration_name: str
    authorization_id: int | None = None

    @property
    def triple(self) -> tuple[str, int, str]:
        return self.principal_id, self.account_uin, self.configuration_id


@dataclass(frozen=True)
class Effect:
    """Accounts that lose authorizations, how many of these go, and how many stay open, granted otherwise, too."""

    accounts: int
    authorizations: int
    stay: int


@dataclass(frozen=True)
class Change:
    """What accounts gain and lose by a move."""

    gains: int
    loses: int

    def __bool__(self) -> bool:
        return bool(self.gains or self.loses)


@dataclass(frozen=True)
class SyncRow:
    """`users` counts the CAM users that stand in the account because of it, `events` its failed events.

    `failed_deletion` is the id of the task that should have deleted it and failed, None when there is none.
    """

    id: str
    status: SyncStatus
    description: str
    duplication_strategy: DuplicationStrategy
    deletion_strategy: DeletionStrategy
    created_at: datetime
    updated_at: datetime
    account_uin: int
    account_name: str
    principal_type: PrincipalType
    principal_id: str
    principal_name: str
    users: int
    events: int
    failed_deletion: str | None


@dataclass(frozen=True)
class SyncEventRow:
    """A failed task of a synchronization; `sync_id` is None when that is gone."""

    id: str
    batch_id: str
    type: TaskType
    reason: str
    attempts: int
    ended_at: datetime
    account_uin: int
    account_name: str
    principal_type: PrincipalType | None
    principal_id: str | None
    principal_name: str
    sync_id: str | None


@dataclass(frozen=True)
class SyncedUserRow:
    user_id: str
    user_name: str
    cam_user_name: str
    synced_at: datetime


@dataclass(frozen=True)
class Batch:
    """Progress of the tasks that one action made.

    `cancelable` have not begun, `retryable` ran and failed. `recently` counts what ended within the last minute.
    """

    id: str
    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    canceled: int
    cancelable: int
    retryable: int
    recently: int
    actor_name: str
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    now: datetime

    @property
    def done(self) -> int:
        return self.succeeded + self.failed + self.canceled

    @property
    def settled(self) -> bool:
        return self.done == self.total

    @property
    def elapsed(self) -> timedelta | None:
        """From the first task's beginning to the last one's end, or until now."""
        until = self.ended_at if self.settled and self.ended_at else self.now
        return max(until - self.started_at, timedelta(0)) if self.started_at else None

    @property
    def per_second(self) -> float:
        """Tasks that ended within the last minute, or since the first began. 0 while nobody knows."""
        seconds = min(60.0, self.elapsed.total_seconds()) if self.elapsed else 0.0
        return self.recently / seconds if seconds >= 1 else 0.0

    @property
    def remaining(self) -> timedelta | None:
        """At that speed; None while nobody knows."""
        return timedelta(seconds=(self.queued + self.running) / self.per_second) if self.per_second else None


@dataclass(frozen=True)
class RoleEntry:
    """A role that an employee may take now."""

    configuration_id: str
    name: str
    description: str
    session_duration: int


@dataclass(frozen=True)
class AccountEntry:
    """An account of the tab `Log in with a CAM role` (IC-16)."""

    account_uin: int
    account_name: str
    roles: tuple[RoleEntry, ...]


@dataclass(frozen=True)
class UserEntryRow:
    """An account of the tab `Log in with a CAM user` (IC-16)."""

    account_uin: int
    account_name: str
    cam_user_name: str


@dataclass(frozen=True)
class Counts:
    """`tasks_failed` are those that can be run again."""

    configurations: int
    deployments: int
    outdated: int
    authorizations: int
    syncs: int
    synced_users: int
    tasks_open: int
    tasks_failed: int


@dataclass(frozen=True)
class Spread:
    """How many accounts have the certificates that are published, get them, and did not get them."""

    done: int
    waiting: int
    failed: int

    @property
    def total(self) -> int:
        return self.done + self.waiting + self.failed


@dataclass(frozen=True)
class ProviderRow:
    """Our identity provider in an account; `reason` is what the newest task says that has not done it."""

    account_uin: int
    account_name: str
    state: ProviderState
    reason: str
    updated_at: datetime
