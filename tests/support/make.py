"""Rows for tests, made by the product's own verbs where there is one, each in a committed transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy.orm import Session

from portal.core.actor import SYSTEM, Actor
from portal.core.database import Database
from portal.core.directory import groups, users
from portal.core.directory.models import Group, Source, User
from portal.core.organization.models import Account, Department, Member, Organization
from portal.core.organization.organizations import create_organization
from portal.core.space.models import Space
from portal.core.text import fold

SCIM = Actor("scim", "scimcred-test", "IdP")


class Make:
    def __init__(self, database: Database, secret_key: str) -> None:
        self.database = database
        self.secret_key = secret_key
        self._number = count(1)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self.database.transaction() as session:
            yield session

    def organization(self, name: str = "") -> Organization:
        """An organization with its admin account under Root."""
        with self.transaction() as session:
            return create_organization(session, SYSTEM, name=name or f"Company {next(self._number)}")

    def space(self, name: str = "", organization: Organization | None = None, **fields: Any) -> Space:
        organization = organization or self.organization()
        with self.transaction() as session:
            space = Space(organization_id=organization.id, name=name or f"space-{next(self._number)}", **fields)
            session.add(space)
        return space

    def account(self, space: Space, name: str = "") -> Account:
        """A member account under Root."""
        name = name or f"account-{next(self._number)}"
        with self.transaction() as session:
            root = session.query(Department).filter_by(organization_id=space.organization_id, parent_id=None).one()
            account = Account(name=name)
            session.add(account)
            session.flush()
            session.add(
                Member(
                    account_uin=account.uin,
                    organization_id=space.organization_id,
                    department_id=root.id,
                    name=name,
                    name_key=fold(name),
                    joined_by="Create",
                )
            )
        return account

    def user(self, space: Space, user_name: str = "", **fields: Any) -> User:
        with self.transaction() as session:
            return users.create_user(
                session, SYSTEM, space=space, user_name=user_name or f"user{next(self._number)}", **fields
            )

    def group(
        self, space: Space, name: str = "", members: list[User] | None = None, source: Source = Source.MANUAL
    ) -> Group:
        with self.transaction() as session:
            actor = SCIM if source == Source.SCIM else SYSTEM
            name = name or f"group{next(self._number)}"
            group = groups.create_group(session, actor, space=space, name=name, source=source)
            if members:
                groups.add_members(session, actor, group=group, user_ids=[user.id for user in members])
        return group
