"""Bringing our identity provider in an account to the certificates that are published now (IC-17)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal.clouds import Connector
from portal.core.access.models import DeployedProvider, Task, TaskType
from portal.core.space.models import Space
from portal.worker.kinds import Keep, Kind, Provider, Work, check_member, forget_provider, is_last, provider_of, record
from portal.worker.users import give_up_nothing


@dataclass(frozen=True)
class Update:
    provider: Provider
    calls = True

    def perform(self, connector: Connector, keep: Keep) -> None:
        keep()
        self.provider.ensure(connector)

    def record(self, session: Session, task: Task) -> str:
        self.provider.record(session, task)
        details = {"certificates": self.provider.certificates.split()}
        target = ("identity_provider", self.provider.name, self.provider.name)
        record(session, task, "identity_provider.updated", target=target, details=details)
        return ""


@dataclass(frozen=True)
class Leave:
    """Nothing in the account needs the identity provider (any more); `name` is given where it may be there."""

    name: str | None
    space_id: str

    @property
    def calls(self) -> bool:
        return self.name is not None

    def perform(self, connector: Connector, keep: Keep) -> None:
        if self.name:
            keep()
            connector.remove_identity_provider(self.name, managed_by=self.space_id)

    def record(self, session: Session, task: Task) -> str:
        forget_provider(session, task)
        return ""


def plan_update(session: Session, task: Task, *, base_url: str) -> Work:
    """What is published is read now, so that of several tasks in any order the last one to run is right."""
    if session.get(DeployedProvider, (task.account_uin, task.space_id)) is None:
        return Leave(None, task.space_id)
    check_member(session, task)
    space = session.get_one(Space, task.space_id)
    if is_last(session, task):
        return Leave(space.provider_name, task.space_id)
    return Update(provider_of(session, space, base_url=base_url))


KINDS = {TaskType.UPDATE_PROVIDER: Kind(plan_update, give_up_nothing)}
