"""What several lists have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, true, union_all

from portal.core.access.models import (
    Configuration,
    Deployment,
    DeploymentStatus,
    PrincipalType,
    Task,
)
from portal.core.directory.models import Group, Membership, User
from portal.core.organization.models import Member
from portal.core.paging import Search
from portal.core.space.models import Space
from portal.core.text import contains

OUTDATED = and_(Deployment.status == DeploymentStatus.DEPLOYED, Deployment.deployed_revision < Configuration.revision)

OPENS = and_(Deployment.deployed_revision > 0, Deployment.status != DeploymentStatus.UNDEPLOYING)
"""The role stands in the account and may be taken; one that waits for its redeployment stays open."""

PRINCIPAL_KEY = func.coalesce(User.user_name_key, Group.name_key)


def principal(group_id: Any, user_id: Any) -> tuple[ColumnElement[Any], ...]:
    """Type, id and name of the one principal of a row; User and Group are outer joined."""
    kind = case((group_id.is_not(None), literal(PrincipalType.GROUP.value)), else_=literal(PrincipalType.USER.value))
    return kind, func.coalesce(user_id, group_id), func.coalesce(User.user_name, Group.name)


def count(table: type[Any], condition: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.count()).select_from(table).where(condition).scalar_subquery()


def sum_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def find(statement: Any, search: Search, keys: Sequence[Any], exact: Any = None) -> Any:
    """Text anywhere in one of the folded `keys`, or equal to the id column `exact`."""
    if not search.text:
        return statement
    found = [key.like(contains(search.text), escape="\\") for key in keys]
    if exact is not None and exact.type.python_type is str:
        found.append(exact == search.text)
    elif exact is not None and search.text.isdecimal() and len(search.text) < 19:
        found.append(exact == int(search.text))
    return statement.where(or_(*found))


def find_tasks(statement: Any, search: Search) -> Any:
    """Every word anywhere in the names of a task, in any order, or the id of task, batch or configuration."""
    if not search.text:
        return statement
    named = and_(true(), *(Task.search_key.like(contains(word), escape="\\") for word in search.text.split()))
    ids = (Task.id, Task.batch_id, Task.configuration_id)
    return statement.where(or_(named, *(column == search.text for column in ids)))


def in_a_member() -> ColumnElement[bool]:
    """Of a Task: whether its account is (still) one of the organization's."""
    home = select(Space.organization_id).where(Space.id == Task.space_id).correlate(Task).scalar_subquery()
    mine = (Member.account_uin == Task.account_uin, Member.organization_id == home)
    return select(Member.account_uin).where(*mine).correlate(Task).exists()


def held_by_user(table: Any, user_id: str) -> Any:
    """The ids of the rows that are the user's, directly or by a group: two reads by index, which an `or` is not."""
    by_group = select(table.id).join(Membership, Membership.group_id == table.group_id)
    return union_all(select(table.id).where(table.user_id == user_id), by_group.where(Membership.user_id == user_id))


def in_groups_of(user_id: str) -> Select[Any]:
    """The ids of the groups that the user is in."""
    return select(Membership.group_id).where(Membership.user_id == user_id)
