"""Lists of permission configurations and of their deployments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, false, func, or_, select, true
from sqlalchemy.orm import Session

from portal.core.access.models import (
    Authorization,
    Configuration,
    ConfigurationPolicy,
    Deployment,
    DeploymentStatus,
    Task,
    TaskStatus,
    TaskType,
)
from portal.core.access.queries.shared import OUTDATED, count, find
from portal.core.access.rows import (
    ConfigurationRow,
    DeploymentRow,
    PolicyRow,
)
from portal.core.organization.models import Member
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space
from portal.core.text import contains


def configurations_page(session: Session, space: Space, search: Search) -> Page[ConfigurationRow]:
    """IC-8. Sorts: name, created, updated."""
    policies = count(ConfigurationPolicy, ConfigurationPolicy.configuration_id == Configuration.id)
    mine = Deployment.configuration_id == Configuration.id
    statement: Any = select(
        Configuration.id,
        Configuration.name,
        Configuration.description,
        Configuration.session_duration,
        Configuration.created_at,
        Configuration.updated_at,
        policies,
        count(Deployment, mine),
        count(Deployment, and_(mine, OUTDATED)),
    ).where(Configuration.space_id == space.id)
    statement = find(statement, search, [Configuration.name_key], Configuration.id)
    sorts = {
        "name": Configuration.name_key,
        "created": Configuration.created_at,
        "updated": Configuration.updated_at,
    }
    page = paginate(session, statement, search, sorts=sorts, key=Configuration.id)
    return Page([ConfigurationRow(*row) for row in page.rows], page.total, page.search)


def policies_of_configuration(session: Session, configuration: Configuration, search: Search) -> Page[PolicyRow]:
    """Sorts: name, added."""
    statement: Any = select(ConfigurationPolicy.policy_name, ConfigurationPolicy.added_at).where(
        ConfigurationPolicy.configuration_id == configuration.id
    )
    if search.text:  # names of preset policies are ASCII
        statement = statement.where(
            func.lower(ConfigurationPolicy.policy_name).like(contains(search.text), escape="\\")
        )
    sorts = {"name": ConfigurationPolicy.policy_name, "added": ConfigurationPolicy.added_at}
    page = paginate(session, statement, search, sorts=sorts, key=ConfigurationPolicy.policy_name)
    return Page([PolicyRow(*row) for row in page.rows], page.total, page.search)


def deployments_of_configuration(
    session: Session, space: Space, configuration: Configuration, search: Search
) -> Page[DeploymentRow]:
    """Sorts: account, created, updated. Filter: `status` (a stored status, or `outdated`)."""
    return _deployments(session, space, Deployment.configuration_id == configuration.id, search, "account")


def deployments_of_account(session: Session, space: Space, account_uin: int, search: Search) -> Page[DeploymentRow]:
    """Sorts: configuration, created, updated. Filter: `status` (a stored status, or `outdated`)."""
    return _deployments(session, space, Deployment.account_uin == account_uin, search, "configuration")


def outdated_deployments(
    session: Session, space: Space, search: Search, *, configuration_id: str = "", account_uin: int | None = None
) -> Page[DeploymentRow]:
    """Where redeployment is required (IC-10), of one configuration or in one account if said. Sorts: account."""
    return _deployments(session, space, outdated_in(configuration_id, account_uin), search, "account")


def outdated_in(configuration_id: str = "", account_uin: int | None = None) -> ColumnElement[bool]:
    """Of a Deployment joined with its Configuration."""
    wanted = [OUTDATED]
    if configuration_id:
        wanted.append(Deployment.configuration_id == configuration_id)
    if account_uin is not None:
        wanted.append(Deployment.account_uin == account_uin)
    return and_(*wanted)


def count_outdated(
    session: Session, space: Space, *, configuration_id: str = "", account_uin: int | None = None
) -> int:
    statement = (
        select(func.count())
        .select_from(Deployment)
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .where(Deployment.space_id == space.id, outdated_in(configuration_id, account_uin))
    )
    return session.scalar(statement) or 0


def deployment_rows(session: Session, space: Space, ids: Sequence[int]) -> list[DeploymentRow]:
    """The chosen ones, for a confirmation page."""
    statement = _deployment_columns(space).where(Deployment.id.in_(ids)).order_by(Member.name_key, Deployment.id)
    return [DeploymentRow(*row) for row in session.execute(statement)]


def _deployments(
    session: Session, space: Space, condition: ColumnElement[bool], search: Search, default: str
) -> Page[DeploymentRow]:
    statement = _deployment_columns(space).where(condition)
    if search.filter("status"):
        wanted = search.filter("status")
        statement = statement.where(OUTDATED if wanted == "outdated" else Deployment.status == wanted)
    statement = find(statement, search, [Member.name_key, Configuration.name_key], Deployment.account_uin)
    sorts: dict[str, Any] = {"account": Member.name_key, "configuration": Configuration.name_key}
    sorts = {default: sorts[default], "created": Deployment.created_at, "updated": Deployment.updated_at}
    page = paginate(session, statement, search, sorts=sorts, key=Deployment.id)
    return Page(_with_reasons(session, space, [DeploymentRow(*row) for row in page.rows]), page.total, page.search)


def _with_reasons(session: Session, space: Space, rows: list[DeploymentRow]) -> list[DeploymentRow]:
    failed = [row for row in rows if row.status == DeploymentStatus.FAILED]
    if not failed:
        return rows
    place = (Task.account_uin, Task.configuration_id)
    newest = func.row_number().over(partition_by=place, order_by=(Task.ended_at.desc(), Task.number.desc()))
    ended = (
        select(*place, Task.batch_id, Task.reason, newest.label("place"))
        .where(
            Task.space_id == space.id,
            Task.account_uin.in_({row.account_uin for row in failed}),
            Task.configuration_id.in_({row.configuration_id for row in failed}),
            Task.type.in_([TaskType.DEPLOY, TaskType.GRANT, TaskType.UNDEPLOY]),
            or_(and_(Task.status == TaskStatus.FAILED, Task.attempts > 0), Task.status == TaskStatus.CANCELED),
        )
        .subquery()
    )
    last = {
        (uin, key): (batch_id, reason)
        for uin, key, batch_id, reason, _place in session.execute(select(ended).where(ended.c.place == 1))
    }
    found = [last.get((row.account_uin, row.configuration_id), ("", "")) for row in failed]
    said = {row.id: replace(row, batch_id=batch, reason=why) for row, (batch, why) in zip(failed, found, strict=True)}
    return [said.get(row.id, row) for row in rows]


def _deployment_columns(space: Space) -> Select[Any]:
    holders = count(
        Authorization,
        and_(
            Authorization.account_uin == Deployment.account_uin,
            Authorization.configuration_id == Deployment.configuration_id,
        ),
    )
    return (
        select(
            Deployment.id,
            Deployment.status,
            case((OUTDATED, true()), else_=false()),
            Configuration.id,
            Configuration.name,
            Deployment.account_uin,
            Member.name,
            Deployment.role_name,
            Deployment.created_at,
            Deployment.updated_at,
            holders,
        )
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .join(Member, Member.account_uin == Deployment.account_uin)
        .where(Deployment.space_id == space.id)
    )
