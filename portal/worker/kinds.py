"""What each kind of task must be able to say; `roles`, `users`, `sessions`, `providers`, `repairs` are the families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import addresses
from portal.clouds import Connector
from portal.core import audit, clock
from portal.core.access.models import DeployedProvider, Deployment, SyncedUser, Task
from portal.core.actor import SYSTEM
from portal.core.errors import Conflict, Invalid
from portal.core.federation import saml_keys
from portal.core.organization.models import Member
from portal.core.space.models import Space

Keep = Callable[[], None]


class Work(Protocol):
    """Read in the claiming transaction, performed outside of any, recorded in the last one.

    Without `calls` into the account it is recorded in the claiming transaction, and not performed.
    """

    @property
    def calls(self) -> bool: ...

    def perform(self, connector: Connector, keep: Keep) -> None:
        """Calls into the account, `keep()` before each. Every call is an "ensure"."""

    def record(self, session: Session, task: Task) -> str:
        """Write the result; returns why part of it failed, "" when nothing did."""


class Plan(Protocol):
    def __call__(self, session: Session, task: Task, *, base_url: str) -> Work: ...


@dataclass(frozen=True)
class Kind:
    """`give_up` takes back what a final failure leaves undone; `touched` tells whether the account may have changed."""

    plan: Plan
    give_up: Callable[..., None]


@dataclass(frozen=True)
class Provider:
    """The space's identity provider as it stands in an account (IC-9)."""

    name: str
    entity_id: str
    metadata_xml: str
    certificates: str
    space_id: str
    space_name: str

    def ensure(self, connector: Connector) -> None:
        connector.ensure_identity_provider(
            name=self.name,
            entity_id=self.entity_id,
            metadata_xml=self.metadata_xml,
            description=f"Identity Center space {self.space_name}",
            managed_by=self.space_id,
        )

    def record(self, session: Session, task: Task) -> None:
        expect_provider(session, task)
        row = session.get_one(DeployedProvider, (task.account_uin, task.space_id))
        row.certificates, row.updated_at = self.certificates, clock.now()


def expect_provider(session: Session, task: Task) -> None:
    """Planned to be put into the account: from now on it may be there, whatever becomes of the task."""
    if session.get(DeployedProvider, (task.account_uin, task.space_id)) is None:
        session.add(DeployedProvider(account_uin=task.account_uin, space_id=task.space_id, certificates=""))
        session.flush()


def forget_provider(session: Session, task: Task) -> None:
    """It was taken out of the account."""
    row = session.get(DeployedProvider, (task.account_uin, task.space_id))
    if row is not None:
        session.delete(row)


def provider_of(session: Session, space: Space, *, base_url: str) -> Provider:
    """Its metadata names every key of the space, so that a new one is trusted before it signs.

    Until the plan is committed no roll-over begins or goes on: it finds this account, or we find its certificate.
    """
    session.execute(select(Space.id).where(Space.id == space.id).with_for_update(read=True))
    certificates = saml_keys.certificates(session, space)
    if not certificates:
        raise Invalid(f"Space {space.name} has no signing key.")
    entity_id = addresses.issuer(base_url, space.name)
    metadata = addresses.issuer_metadata(base_url, space.name, certificates)
    known_by = saml_keys.fingerprints(certificates)
    return Provider(space.provider_name, entity_id, metadata, known_by, space.id, space.name)


def check_member(session: Session, task: Task) -> None:
    """Nothing is put into an account that left the organization while the task waited.

    The account stays a member until the plan is committed; by then a row says that something stands there.
    """
    member = (
        select(Member.account_uin)
        .join(Space, Space.organization_id == Member.organization_id)
        .where(Member.account_uin == task.account_uin, Space.id == task.space_id)
        .with_for_update(read=True, key_share=True, of=Member)
    )
    if session.scalar(member) is None:
        raise Conflict(f"{task.account_name or task.account_uin} is no member account of the organization any more.")


def is_last(
    session: Session, task: Task, *, deployment: Deployment | None = None, users: frozenset[str] = frozenset()
) -> bool:
    """Nothing but these needs the identity provider in the account (only the holder of the account changes that)."""
    deployments = select(func.count()).where(
        Deployment.account_uin == task.account_uin, Deployment.space_id == task.space_id
    )
    synced = select(func.count()).where(
        SyncedUser.account_uin == task.account_uin, SyncedUser.space_id == task.space_id
    )
    others = (session.scalar(deployments) or 0) - (1 if deployment else 0)
    return others <= 0 and (session.scalar(synced) or 0) <= len(users)


def reasons(failed: Sequence[str]) -> str:
    """Why parts of a task failed, in one text."""
    more = f" And {len(failed) - 5} more." if len(failed) > 5 else ""
    return " ".join(failed[:5]) + more


def record(session: Session, task: Task, action: str, *, target: tuple[str, Any, str], **event: Any) -> None:
    """Audit a result: the system did it, for who asked (`details.requested_by`)."""
    space = session.info[Space] = session.get_one(Space, task.space_id)  # kept for the other tasks of this transaction
    details = {"requested_by": task.actor_name, "task": task.id, "batch": task.batch_id, **event.pop("details", {})}
    audit.record(
        session,
        replace(SYSTEM, organization_id=space.organization_id),
        action,
        target_type=target[0],
        target_id=target[1],
        target_name=target[2],
        account_uin=task.account_uin,
        details=details,
        **event,
    )
