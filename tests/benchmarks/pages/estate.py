"""A company of any size by bulk inserts: departments, accounts, people, groups, and what they hold, as if granted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    Deployment,
    DeploymentStatus,
    PrincipalType,
    Task,
    TaskStatus,
    TaskType,
)
from portal.core.database import Database
from portal.core.directory.models import DirectoryCount, Group, Membership, User
from portal.core.organization.models import Account, Department, Member
from portal.core.space.models import Space

FIRST_UIN = 200_000_000_000


@dataclass(frozen=True)
class Size:
    """`star_accounts` x `star_roles` is what the person who signs in holds by one group."""

    accounts: int
    users: int
    authorizations: int
    star_accounts: int
    star_roles: int
    departments: int = 0

    @property
    def configurations(self) -> int:
        return max(self.star_roles, min(20, self.accounts))


SMALL = Size(accounts=10, users=10, authorizations=10, star_accounts=10, star_roles=1, departments=2)
BIG = Size(accounts=5_000, users=100_000, authorizations=200_000, star_accounts=1_000, star_roles=5, departments=400)


def uin(number: int) -> int:
    return FIRST_UIN + number


def fill(database: Database, space: Space, star: str, size: Size) -> None:
    """`star` is the id of the user who signs in."""
    with database.transaction() as session:
        root = session.scalar(
            text("SELECT id FROM departments WHERE parent_id IS NULL AND organization_id = :id").bindparams(
                id=space.organization_id
            )
        )
        departments = [root, *_departments(session, space, root, size)]
        _accounts(session, space, departments, size)
        _people(session, space, star, size)
        _access(session, space, size)
        _tasks(session, space, size)
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if connection.dialect.name == "postgresql" else "ANALYZE")


def _departments(session: Session, space: Space, root: int, size: Size) -> list[int]:
    """Twenty below Root, the others below these in turn."""
    made: list[int] = []
    for number in range(size.departments):
        department = Department(
            organization_id=space.organization_id,
            parent_id=root if number < 20 else made[number % 20],
            name=f"Department {number}",
            name_key=f"department {number}",
        )
        session.add(department)
        session.flush()
        made.append(department.id)
    return made


def _accounts(session: Session, space: Space, departments: list[int], size: Size) -> None:
    numbers = range(size.accounts)
    _insert(session, Account, ({"uin": uin(n), "name": f"account-{n:05}"} for n in numbers))
    members = (
        {
            "account_uin": uin(n),
            "organization_id": space.organization_id,
            "department_id": departments[n % len(departments)],
            "name": f"account-{n:05}",
            "name_key": f"account-{n:05}",
            "joined_by": "Create",
        }
        for n in numbers
    )
    _insert(session, Member, members)


def _people(session: Session, space: Space, star: str, size: Size) -> None:
    _insert(session, User, (_person(space, n) for n in range(size.users)))
    groups = max(2, size.users // 100)
    _insert(
        session, Group, ({"id": _id("g", n), "space_id": space.id, **_named(f"team {n:05}")} for n in range(groups))
    )
    memberships = [{"group_id": _id("g", 0), "user_id": star}]
    memberships += [{"group_id": _id("g", 1 + n % (groups - 1)), "user_id": _id("u", n)} for n in range(size.users)]
    _insert(session, Membership, memberships)
    session.execute(text("DELETE FROM directory_counts WHERE space_id = :id"), {"id": space.id})
    for kind, table in (("User", "users"), ("Group", "groups")):
        counted = session.execute(
            text(f"SELECT number / 2048, count(*) FROM {table} WHERE space_id = :id GROUP BY 1"),
            {"id": space.id},
        )
        rows = ({"space_id": space.id, "kind": kind, "block": block, "amount": n} for block, n in counted.all())
        _insert(session, DirectoryCount, rows)


def _access(session: Session, space: Space, size: Size) -> None:
    numbers = range(size.configurations)
    configurations = ({"id": _id("rc", n), "space_id": space.id, **_named(f"role-{n:02}")} for n in numbers)
    _insert(session, Configuration, configurations)
    held: dict[tuple[str | None, str | None, int, int], None] = {}
    for n in range(size.star_accounts * size.star_roles):
        held[(None, _id("g", 0), n // size.star_roles, n % size.star_roles)] = None
    n = 0
    while len(held) < size.authorizations:
        held[(_id("u", n % size.users), None, n * 7 % size.accounts, n // size.users % size.configurations)] = None
        n += 1
    rows = (
        {
            "space_id": space.id,
            "user_id": user_id,
            "group_id": group_id,
            "account_uin": uin(account),
            "configuration_id": _id("rc", configuration),
            "status": AuthorizationStatus.ACTIVE,
        }
        for user_id, group_id, account, configuration in held
    )
    _insert(session, Authorization, rows)
    pairs = dict.fromkeys((account, configuration) for _user, _group, account, configuration in held)
    deployments = (
        {
            "space_id": space.id,
            "account_uin": uin(account),
            "configuration_id": _id("rc", configuration),
            "status": DeploymentStatus.DEPLOYED,
            "deployed_revision": 1,
            "role_name": f"TencentCloudSSO-role-{configuration:02}",
            "provider_name": space.provider_name,
        }
        for account, configuration in pairs
    )
    _insert(session, Deployment, deployments)


def _tasks(session: Session, space: Space, size: Size) -> None:
    """One for each authorization, in batches of a thousand, one in fifty failed."""
    now = clock.now()
    rows = (
        {
            "id": _id("t", n),
            "space_id": space.id,
            "batch_id": _id("b", n // 1_000),
            "number": n % 1_000,
            "type": TaskType.GRANT,
            "status": TaskStatus.SUCCESS if n % 50 else TaskStatus.FAILED,
            "reason": "" if n % 50 else "The account did not answer.",
            "account_uin": uin(n * 7 % size.accounts),
            "account_name": f"account-{n * 7 % size.accounts:05}",
            "principal_type": PrincipalType.USER,
            "principal_id": _id("u", n % size.users),
            "principal_name": f"person{n % size.users}",
            "search_key": f"account-{n * 7 % size.accounts:05} person{n % size.users}",
            "attempts": 1,
            "created_at": now - timedelta(seconds=n // 1_000),
        }
        for n in range(size.authorizations)
    )
    _insert(session, Task, rows)


def _person(space: Space, n: int) -> dict[str, Any]:
    return {
        "id": _id("u", n),
        "space_id": space.id,
        "user_name": f"person{n}",
        "user_name_key": f"person{n}",
        "display_name": f"Person {n}",
        "display_name_key": f"person {n}",
        "attributes": {},
    }


def _named(name: str) -> dict[str, str]:
    return {"name": name, "name_key": name}


def _id(prefix: str, number: int) -> str:
    return f"{prefix}-{number:012}"


def _insert(session: Session, table: Any, rows: Iterable[dict[str, Any]]) -> None:
    rest = iter(rows)
    while chunk := list(islice(rest, 10_000)):
        session.execute(insert(table), chunk)
