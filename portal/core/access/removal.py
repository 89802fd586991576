"""Remove everything first: what stands in the way of deleting a user, group or configuration, or removing an account.

One batch: revocations, synchronizations, undeployments; whatever comes last in an account takes the identity provider
along. An undeployment waits for everything asked for before it, a revocation ends a grant that has not run yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.access.authorizations import queue_revocations
from portal.core.access.models import (
    Authorization,
    BatchUser,
    Configuration,
    ConfigurationPolicy,
    DeletionStrategy,
    DepartmentAuthorization,
    Deployment,
    DeploymentStatus,
    PrincipalType,
    SyncedUser,
    SyncStatus,
    Task,
    TaskType,
    UserSync,
)
from portal.core.access.picking import chunks, pick_accounts, pick_configurations, pick_principals
from portal.core.access.queries.authorizations import authorization_rows
from portal.core.access.queries.removal import Scope, undeployable
from portal.core.access.queries.shared import principal
from portal.core.access.tasks import enqueue, new_batch
from portal.core.actor import Actor
from portal.core.directory import groups as directory
from portal.core.directory.models import Group, Membership, User
from portal.core.errors import Conflict, Invalid
from portal.core.organization.models import Member, Organization
from portal.core.organization.organizations import lock_organization
from portal.core.space.models import Space


def remove_everything(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    configurations: Sequence[str] = (),
    accounts: Sequence[int] = (),
) -> str:
    """Returns the batch's id; the batch has no tasks when nothing stands in accounts.

    Access ends, memberships and policies of the configurations go with this transaction, the rest by tasks. Of more
    than `triples_per_batch` the first so many go; to be called again for the rest. Raises Invalid (nothing named),
    NotFound, Forbidden for a membership that is SCIM's, Conflict for the admin account among others: it is not removed,
    and alone it is to be emptied only before the organization is closed.
    """
    scope = Scope(space, users, groups, configurations, accounts)
    if scope.empty:
        raise Invalid("Choose what everything is to be removed of.", field="users")
    lock_organization(session, space.organization_id)
    if accounts:
        pick_accounts(session, space, accounts)
        _check_admin_account(session, space, accounts)
    if configurations:
        pick_configurations(session, space, configurations)
    if users or groups:
        pick_principals(session, space, users, groups)
    batch = _Batch(session, actor, scope)
    removed = {
        "department_authorizations": batch.forget_departments(),
        "authorizations": batch.revoke(),
        "memberships": batch.leave_groups(),
        "user_syncs": batch.end_syncs() + batch.withdraw_strays(),
        "deployments": batch.undeploy(),
        "policies": batch.take_policies(),
    }
    session.flush()
    named = {"users": users, "groups": groups, "configurations": configurations, "accounts": accounts}
    details = {**removed, "of": {name: list(ids[:100]) for name, ids in named.items() if ids}}
    audit.record(session, actor, "access.remove_everything", target_type="batch", target_id=batch.id, details=details)
    return batch.id


def _check_admin_account(session: Session, space: Space, accounts: Sequence[int]) -> None:
    admin_uin = session.get_one(Organization, space.organization_id).admin_uin
    if admin_uin in accounts and len(set(accounts)) > 1:
        raise Conflict(f"{admin_uin} is the admin account of the organization, which stays. Leave it out.")


class _Batch:
    """The tasks of one removal. `left` is how many more it may have."""

    def __init__(self, session: Session, actor: Actor, scope: Scope) -> None:
        self.session, self.actor, self.scope, self.space = session, actor, scope, scope.space
        self.id, self.now, self.number = new_batch(), clock.now(), 0

    @property
    def left(self) -> int:
        return limits.allowed("triples_per_batch") - self.number

    def forget_departments(self) -> int:
        """Before the authorizations in accounts, which would come back otherwise."""
        mine = self.scope.authorizations(DepartmentAuthorization)
        return len(
            self.session.scalars(
                delete(DepartmentAuthorization).where(mine).returning(DepartmentAuthorization.id)
            ).all()
        )

    def revoke(self) -> int:
        wanted = select(Authorization.id).where(self.scope.authorizations()).order_by(Authorization.id).limit(self.left)
        ids = self.session.scalars(wanted).all()
        rows = [row for chunk in chunks(ids) for row in authorization_rows(self.session, self.space, chunk)]
        if rows:
            queue_revocations(self.session, self.actor, space=self.space, batch_id=self.id, rows=rows)
            self.number += len(rows)
        return len(rows)

    def leave_groups(self) -> int:
        """While the synchronizations of the groups are there: they say what becomes of the CAM users."""
        found: dict[str, list[str]] = {}
        statement = select(Membership.group_id, Membership.user_id).join(Group, Group.id == Membership.group_id)
        for group_id, user_id in self.session.execute(statement.where(self.scope.memberships())):
            found.setdefault(group_id, []).append(user_id)
        known = len(self.session.info.get("queued", ()))
        for group in self.session.scalars(select(Group).where(Group.id.in_(found)).order_by(Group.id)).all():
            directory.remove_members(self.session, self.actor, group=group, user_ids=found[group.id])
        self._take_in(self.session.info.get("queued", [])[known:])
        return sum(map(len, found.values()))

    def end_syncs(self) -> int:
        kind, who, name = principal(UserSync.group_id, UserSync.user_id)
        rows = self.session.execute(
            select(UserSync.id, UserSync.account_uin, Member.name, kind, who, name)
            .outerjoin(User, User.id == UserSync.user_id)
            .outerjoin(Group, Group.id == UserSync.group_id)
            .join(Member, Member.account_uin == UserSync.account_uin)
            .where(self.scope.syncs())
            .order_by(UserSync.id)
            .limit(max(self.left, 0))
        ).all()
        for chunk in chunks(row[0] for row in rows):
            self._mark(
                update(UserSync).where(UserSync.id.in_(chunk)).values(status=SyncStatus.DELETING, updated_at=self.now)
            )
        for sync_id, uin, account_name, kind_, id_, name_ in rows:
            about = {"principal_type": PrincipalType(kind_), "principal_id": id_, "principal_name": name_}
            self._add(TaskType.SYNC_DELETE, uin, account_name, sync_id=sync_id, **about)
        return len(rows)

    def withdraw_strays(self) -> int:
        """CAM users whose removal failed before: they stay in the account as its own.

        Whom a synchronization covers in another of the accounts is left for the next time, because the tasks of a batch
        are about the same users everywhere, and there its deletion policy counts.
        """
        strays = self.scope.strays()
        found = self.session.execute(
            select(SyncedUser.user_id, SyncedUser.account_uin, Member.name)
            .join(Member, Member.account_uin == SyncedUser.account_uin)
            .where(strays)
        ).all()
        covered: set[str] = set()
        for chunk in chunks({user_id for user_id, _uin, _name in found}):
            here = (SyncedUser.account_uin.in_(self.scope.accounts), SyncedUser.user_id.in_(chunk))
            covered.update(self.session.scalars(select(SyncedUser.user_id).where(*here, ~strays)))
        found = [row for row in found if row[0] not in covered]
        if found:
            self._name(user_id for user_id, _uin, _name in found)
        for uin, account_name in sorted({(uin, name) for _user_id, uin, name in found}):
            self._add(TaskType.SYNC_USER_REMOVED, uin, account_name, deletion_strategy=DeletionStrategy.KEEP)
        return len(found)

    def undeploy(self) -> int:
        """Also what a task that has not run yet may still deploy."""
        rows = self.session.execute(undeployable(self.scope).limit(max(self.left, 0))).all()
        values = {"status": DeploymentStatus.UNDEPLOYING, "updated_at": self.now}
        for chunk in chunks(row[0] for row in rows):
            self._mark(update(Deployment).where(Deployment.id.in_(chunk)).values(values))
        coming = self.session.execute(self.scope.first_deployments().limit(max(self.left - len(rows), 0))).all()
        for uin, account_name, configuration_id, name in [*(row[1:] for row in rows), *coming]:
            about = {"configuration_id": configuration_id, "configuration_name": name}
            self._add(TaskType.UNDEPLOY, uin, account_name, **about)
        return len(rows) + len(coming)

    def take_policies(self) -> int:
        """With the last round: until then the configuration is used."""
        ids = self.scope.configurations
        if not ids or self.left <= 0:
            return 0
        mine = ConfigurationPolicy.configuration_id.in_(ids)
        taken = self.session.scalars(
            delete(ConfigurationPolicy).where(mine).returning(ConfigurationPolicy.policy_name)
        ).all()
        if taken:
            revised = {"revision": Configuration.revision + 1, "updated_at": self.now}
            self._mark(update(Configuration).where(Configuration.id.in_(ids)).values(revised))
        return len(taken)

    def _add(self, type: TaskType, uin: int, account_name: str, **about: Any) -> None:
        self.number += 1
        enqueue(
            self.session,
            space_id=self.space.id,
            batch_id=self.id,
            number=self.number,
            type=type,
            account_uin=uin,
            account_name=account_name,
            actor_name=self.actor.name,
            created_at=clock.now(),
            **about,
        )

    def _mark(self, statement: Any) -> None:
        self.session.execute(statement, execution_options={"synchronize_session": "fetch"})

    def _name(self, user_ids: Any) -> None:
        """Whom tasks of the batch are about that serve many users; who is named already stays so."""
        self.session.flush()
        named = set(self.session.scalars(select(BatchUser.user_id).where(BatchUser.batch_id == self.id)))
        new = sorted(set(user_ids) - named)
        if new:
            self.session.execute(insert(BatchUser), [{"batch_id": self.id, "user_id": user_id} for user_id in new])

    def _take_in(self, task_ids: Sequence[str]) -> None:
        """Tasks for who left a group become part of the batch; those that end sessions come once more, later."""
        for chunk in chunks(task_ids):
            mine = (Task.id.in_(chunk), Task.type == TaskType.SYNC_USER_REMOVED)
            moved = self.session.execute(select(Task.id, Task.batch_id).where(*mine)).all()
            former = BatchUser.batch_id.in_({row.batch_id for row in moved})
            self._name(self.session.scalars(select(BatchUser.user_id).where(former)).all())
            self.session.execute(delete(BatchUser).where(former))
            self._mark(update(Task).where(Task.id.in_([row.id for row in moved])).values(batch_id=self.id))
            self.number += len(moved)
