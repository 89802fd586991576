"""Departments of an organization whose tasks really run, and who is authorized on them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from portal.core.access import departments
from portal.core.access.models import Authorization, AuthorizationStatus, Configuration, DepartmentAuthorization
from portal.core.actor import SYSTEM
from portal.core.directory.models import Group, User
from portal.core.organization import departments as tree
from portal.core.organization import members, queries
from portal.core.organization.models import Account, Department, Organization
from tests.support.provisioning import Provisioning

Triple = tuple[str, int, str]


class Company(Provisioning):
    """Verbs in committed transactions."""

    @property
    def organization(self) -> Organization:
        with self.database.transaction(write=False) as session:
            return session.get_one(Organization, self.space.organization_id)

    def root(self) -> Department:
        with self.database.transaction(write=False) as session:
            return queries.root(session, self.organization)

    def department(self, name: str, parent: Department | None = None) -> Department:
        organization, parent = self.organization, parent or self.root()
        with self.make.transaction() as session:
            return tree.create_department(session, SYSTEM, organization=organization, parent=parent, name=name)

    def member(self, name: str, department: Department) -> Account:
        """An account that is in the department from its beginning."""
        organization = self.organization
        with self.make.transaction() as session:
            return members.create_member(session, SYSTEM, organization=organization, department=department, name=name)

    def move(self, accounts: Sequence[Account], department: Department) -> str:
        organization = self.organization
        with self.make.transaction() as session:
            uins = [account.uin for account in accounts]
            moved = members.move_members(session, SYSTEM, organization=organization, department=department, uins=uins)
            return moved.batch_id

    def grant_in(
        self, places: Sequence[Department], people: Sequence[User | Group], what: Sequence[Configuration]
    ) -> str:
        with self.make.transaction() as session:
            return departments.grant_departments(
                session,
                SYSTEM,
                space=self.space,
                departments=[place.id for place in places],
                users=[one.id for one in people if isinstance(one, User)],
                groups=[one.id for one in people if isinstance(one, Group)],
                configurations=[one.id for one in what],
            )

    def revoke_in(self, *granted: DepartmentAuthorization) -> str:
        with self.make.transaction() as session:
            ids = [one.id for one in granted]
            return departments.revoke_departments(session, SYSTEM, space=self.space, authorizations=ids)

    def granted(self) -> list[DepartmentAuthorization]:
        return self.rows(select(DepartmentAuthorization).order_by(DepartmentAuthorization.id))

    def repair(self, department: Department) -> str:
        with self.make.transaction() as session:
            return departments.repair(session, SYSTEM, space=self.space, department=department)

    def open(self) -> set[Triple]:
        """What opens an account: (user or group, account, configuration)."""
        active = select(Authorization).where(Authorization.status == AuthorizationStatus.ACTIVE)
        return {(one.user_id or one.group_id or "", one.account_uin, one.configuration_id) for one in self.rows(active)}

    def names(self) -> list[str]:
        """The same in words, with those that only a department grants in brackets."""
        accounts = {one.uin: one.name for one in self.rows(select(Account))}
        users = {one.id: one.user_name for one in self.rows(select(User))}
        users |= {one.id: one.name for one in self.rows(select(Group))}
        found = [
            (f"{users[one.user_id or one.group_id or '']} in {accounts[one.account_uin]}", one.direct)
            for one in self.authorizations()
            if one.status == AuthorizationStatus.ACTIVE
        ]
        return sorted(words if direct else f"({words})" for words, direct in found)
