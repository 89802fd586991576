"""What somebody picked in a wizard, by the names people know, and what of it exists already (IC-12, IC-14).

Ids of another space or organization find nothing here: they fall out of the selection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from portal.core.access.models import Authorization, Configuration, UserSync
from portal.core.access.queries import authorization_rows
from portal.core.access.queries.departments import departments_of
from portal.core.access.rows import AuthorizationRow
from portal.core.directory.models import Group, User
from portal.core.errors import NotFound
from portal.core.organization.models import Member
from portal.core.space.models import Space


@dataclass(frozen=True)
class Named:
    id: str
    name: str


@dataclass(frozen=True)
class Existing:
    """A user synchronization that is there already and will therefore fail."""

    principal: str
    account: str


@dataclass(frozen=True)
class Selection:
    accounts: Sequence[Named]
    users: Sequence[Named]
    groups: Sequence[Named]
    configurations: Sequence[Named]

    @property
    def principals(self) -> int:
        return len(self.users) + len(self.groups)

    @property
    def pairs(self) -> int:
        """User or group x account: the tasks of a user synchronization."""
        return len(self.accounts) * self.principals

    @property
    def triples(self) -> int:
        """User or group x account x configuration: the tasks of a role synchronization."""
        return self.pairs * len(self.configurations)

    @property
    def uins(self) -> list[int]:
        return [int(account.id) for account in self.accounts]

    @property
    def user_ids(self) -> list[str]:
        return [user.id for user in self.users]

    @property
    def group_ids(self) -> list[str]:
        return [group.id for group in self.groups]

    @property
    def configuration_ids(self) -> list[str]:
        return [configuration.id for configuration in self.configurations]


def select_by_ids(
    session: Session,
    space: Space,
    *,
    accounts: Sequence[int],
    users: Sequence[str],
    groups: Sequence[str],
    configurations: Sequence[str] = (),
) -> Selection:
    """At most four statements, however many ids."""
    members = select(Member.account_uin, Member.name).where(
        Member.organization_id == space.organization_id, Member.account_uin.in_(accounts)
    )
    people = select(User.id, User.user_name).where(User.space_id == space.id, User.id.in_(users))
    teams = select(Group.id, Group.name).where(Group.space_id == space.id, Group.id.in_(groups))
    templates = select(Configuration.id, Configuration.name).where(
        Configuration.space_id == space.id, Configuration.id.in_(configurations)
    )
    return Selection(
        _named(session, members.order_by(Member.name_key)) if accounts else (),
        _named(session, people.order_by(User.user_name_key)) if users else (),
        _named(session, teams.order_by(Group.name_key)) if groups else (),
        _named(session, templates.order_by(Configuration.name_key)) if configurations else (),
    )


def _named(session: Session, statement: Any) -> list[Named]:
    return [Named(str(key), name) for key, name in session.execute(statement)]


def existing_syncs(session: Session, space: Space, picked: Selection, *, most: int = 20) -> tuple[int, list[Existing]]:
    """How many of the user synchronizations exist, and the first `most` of them."""
    statement = (
        select(func.coalesce(User.user_name, Group.name), Member.name)
        .select_from(UserSync)
        .outerjoin(User, User.id == UserSync.user_id)
        .outerjoin(Group, Group.id == UserSync.group_id)
        .join(Member, Member.account_uin == UserSync.account_uin)
        .where(
            UserSync.space_id == space.id,
            UserSync.account_uin.in_(picked.uins),
            or_(UserSync.user_id.in_(picked.user_ids), UserSync.group_id.in_(picked.group_ids)),
        )
    )
    total = session.scalar(select(func.count()).select_from(statement.add_columns(UserSync.id).subquery())) or 0
    return total, [Existing(*row) for row in session.execute(statement.order_by(UserSync.id).limit(most))]


def held_by(session: Session, space: Space, *, account_uin: int, principal_id: str) -> list[AuthorizationRow]:
    """What one user or group holds in one account. Raises NotFound when that is nothing."""
    mine = or_(Authorization.user_id == principal_id, Authorization.group_id == principal_id)
    ids = session.scalars(
        select(Authorization.id).where(
            Authorization.space_id == space.id, Authorization.account_uin == account_uin, mine
        )
    ).all()
    if not ids:
        raise NotFound("There is no such authorization in this account (any more).")
    granting = departments_of(session, ids)
    rows = authorization_rows(session, space, ids)
    return [replace(row, departments=granting.get(row.id, ())) for row in rows]
