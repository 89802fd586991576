"""Verbs on deployments (IC-9..IC-11): permission configurations as roles in accounts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.access import room
from portal.core.access.authorizations import queue_revocations, queue_undeployment
from portal.core.access.models import Configuration, Deployment, DeploymentStatus, TaskStatus, TaskType
from portal.core.access.picking import chunks, pick_accounts, pick_configurations
from portal.core.access.queries.authorizations import rows_of_deployment
from portal.core.access.queries.configurations import outdated_in
from portal.core.access.queries.departments import granting_departments
from portal.core.access.tasks import enqueue, new_batch
from portal.core.actor import Actor
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.organization.models import Member
from portal.core.organization.organizations import lock_organization
from portal.core.space.models import Space


def get_deployment(session: Session, space: Space, deployment_id: int) -> Deployment:
    found = session.scalar(select(Deployment).where(Deployment.space_id == space.id, Deployment.id == deployment_id))
    if found is None:
        raise NotFound("There is no such deployment in this space.")
    return found


def redeploy(session: Session, actor: Actor, *, space: Space, deployments: Sequence[int]) -> str:
    """Bring the roles to what their configurations say now (IC-10); one task each, returns the batch's id.

    Raises Invalid (none chosen), NotFound, LimitReached. One that is being undeployed becomes a failed task.
    """
    wanted = list(dict.fromkeys(deployments))
    if not wanted:
        raise Invalid("Choose at least one deployment.", field="deployments")
    limits.check("triples_per_batch", len(wanted), what="deployments in one batch")
    rows = [
        row
        for chunk in chunks(wanted)
        for row in session.execute(
            select(Deployment, Configuration.name, Member.name)
            .join(Configuration, Configuration.id == Deployment.configuration_id)
            .join(Member, Member.account_uin == Deployment.account_uin)
            .where(Deployment.space_id == space.id, Deployment.id.in_(chunk))
            .order_by(Deployment.id)
        )
    ]
    if len(rows) != len(wanted):
        raise NotFound("One of the deployments is not there (any more). Reload the page.")
    batch_id = new_batch()
    for number, (deployment, configuration_name, account_name) in enumerate(rows, 1):
        undeploying = deployment.status == DeploymentStatus.UNDEPLOYING
        if not undeploying:
            deployment.status, deployment.updated_at = DeploymentStatus.DEPLOYING, clock.now()
        _queue(
            session,
            actor,
            space,
            batch_id=batch_id,
            number=number,
            account=(deployment.account_uin, account_name),
            configuration=(deployment.configuration_id, configuration_name),
            refusal=why_not_deployed(configuration_name, account_name, deployment.status) if undeploying else "",
        )
    session.flush()
    _record(session, actor, "deployment.redeploy", batch_id, tasks=len(rows))
    return batch_id


def redeploy_outdated(
    session: Session, actor: Actor, *, space: Space, configuration_id: str = "", account_uin: int | None = None
) -> str:
    """All that require redeployment, of one configuration or in one account if said. Raises Conflict, LimitReached."""
    statement = (
        select(Deployment.id)
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .where(Deployment.space_id == space.id, outdated_in(configuration_id, account_uin))
    )
    wanted = session.scalars(statement.order_by(Deployment.id)).all()
    if not wanted:
        raise Conflict("Nothing requires redeployment (any more).")
    return redeploy(session, actor, space=space, deployments=wanted)


def deploy(
    session: Session, actor: Actor, *, space: Space, configurations: Sequence[str], accounts: Sequence[int]
) -> str:
    """Deploy without assigning anyone: one task per configuration x account; returns the batch's id.

    Where one is deployed already the task fails with that reason. Raises NotFound, Invalid (none chosen), LimitReached.
    """
    size = len(set(accounts)) * len(set(configurations))
    limits.check("triples_per_batch", size, what="deployments in one batch")
    account_names = pick_accounts(session, space, accounts)
    configuration_names = pick_configurations(session, space, configurations)
    room.check_roles(session, account_names, configuration_names)
    present = {
        (uin, configuration_id): status
        for chunk in chunks(account_names)
        for ids in chunks(configuration_names)
        for uin, configuration_id, status in session.execute(
            select(Deployment.account_uin, Deployment.configuration_id, Deployment.status).where(
                Deployment.configuration_id.in_(ids), Deployment.account_uin.in_(chunk)
            )
        )
    }
    batch_id = new_batch()
    for number, (account, configuration) in enumerate(product(account_names.items(), configuration_names.items()), 1):
        status = present.get((account[0], configuration[0]))
        _queue(
            session,
            actor,
            space,
            batch_id=batch_id,
            number=number,
            account=account,
            configuration=configuration,
            refusal=why_not_deployed(configuration[1], account[1], status),
        )
    session.flush()
    names = list(configuration_names.values())
    _record(session, actor, "deployment.deploy", batch_id, tasks=size, configurations=names[:100])
    return batch_id


def why_not_deployed(configuration_name: str, account_name: str, status: str | None) -> str:
    """For a deployment of this `status`, None for none; "" where nothing is in the way."""
    if status is None or status == DeploymentStatus.FAILED:
        return ""
    if status == DeploymentStatus.UNDEPLOYING:
        return f"{configuration_name} is being undeployed from this account."
    return f"The deployment already exists: {configuration_name} in {account_name}."


def undeploy(session: Session, actor: Actor, *, space: Space, deployment: Deployment) -> str:
    """Remove the authorizations that use it, then the role (IC-11); returns the batch's id.

    The last deployment or synchronized user of an account takes the identity provider along. Raises Conflict
    when it is being undeployed already, and while a department of the account grants the configuration: it would
    only be wanted there again.
    """
    if deployment.space_id != space.id:
        raise NotFound("There is no such deployment in this space.")
    lock_organization(session, space.organization_id)
    configuration = session.get_one(Configuration, deployment.configuration_id)
    places = granting_departments(session, deployment.account_uin, configuration_id=configuration.id)
    if places:
        names = ", ".join(place.name for place in places)
        raise Conflict(
            f"Department {names} grants {configuration.name} in this account. Remove it from the department first, or "
            "move the account."
        )
    member = session.get(Member, deployment.account_uin)
    rows = rows_of_deployment(session, space, deployment)
    limits.check("triples_per_batch", len(rows) + 1, what="authorizations in one batch")
    batch_id = new_batch()
    number = queue_revocations(session, actor, space=space, batch_id=batch_id, rows=rows)
    session.flush()
    locked = select(Deployment).where(Deployment.id == deployment.id).with_for_update()
    if session.scalar(locked.execution_options(populate_existing=True)) is None:
        raise NotFound("There is no such deployment in this space.")
    if deployment.status == DeploymentStatus.UNDEPLOYING:
        raise Conflict("This deployment is being undeployed already.")
    queue_undeployment(
        session,
        actor,
        deployment,
        batch_id=batch_id,
        number=number + 1,
        configuration_name=configuration.name,
        account_name=member.name if member else "",
    )
    session.flush()
    _record(
        session,
        actor,
        "deployment.undeploy",
        batch_id,
        configuration=configuration.name,
        account_uin=deployment.account_uin,
        authorizations=number,
    )
    return batch_id


def _queue(
    session: Session,
    actor: Actor,
    space: Space,
    *,
    batch_id: str,
    number: int,
    account: tuple[int, str],
    configuration: tuple[str, str],
    refusal: str,
) -> None:
    enqueue(
        session,
        space_id=space.id,
        batch_id=batch_id,
        number=number,
        type=TaskType.DEPLOY,
        status=TaskStatus.FAILED if refusal else TaskStatus.QUEUED,
        reason=refusal,
        account_uin=account[0],
        account_name=account[1],
        configuration_id=configuration[0],
        configuration_name=configuration[1],
        actor_name=actor.name,
    )


def _record(session: Session, actor: Actor, action: str, batch_id: str, **details: object) -> None:
    audit.record(session, actor, action, target_type="batch", target_id=batch_id, details=dict(details))
