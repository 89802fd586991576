"""Member accounts of an organization (MEM-1, MEM-2, MEM-4, DEP-2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, literal, select, true, union_all, update
from sqlalchemy.orm import Session

from portal.core import audit, limits
from portal.core.access.departments import follow_moves
from portal.core.access.models import Authorization, DeployedProvider, Deployment, SyncedUser, UserSync
from portal.core.access.picking import chunks
from portal.core.actor import Actor
from portal.core.cam import roles
from portal.core.database import flush_or
from portal.core.drift.models import AccountCheck, Difference
from portal.core.errors import Conflict, Invalid
from portal.core.guardrails import bindings
from portal.core.organization import names, queries
from portal.core.organization.models import Account, Department, Member, Organization
from portal.core.organization.organizations import lock
from portal.core.organization.queries import MemberRow
from portal.core.text import fold

ACCESS_ROLE = "OrganizationAccessControlRole"
MANAGER = "organization"
"""Roles of the organization are read-only in the account, like those of the Identity Center (CAM-4)."""


def create_member(
    session: Session, actor: Actor, *, organization: Organization, department: Department, name: str
) -> Account:
    """A new account in the embedded cloud, with the role by which the admin account reaches it (MEM-4).

    It cannot quit, begins with pay-on-behalf, and gets what its department and those above it grant.
    Raises Invalid, Conflict (the name is taken) or LimitReached (ORG-7).
    """
    name = names.member_name(name)
    lock(session, organization)
    made = (
        select(func.count())
        .select_from(Member)
        .where(Member.organization_id == organization.id, Member.joined_by == "Create")
    )
    limits.check("created_members_per_entity", (session.scalar(made) or 0) + 1, what="created member accounts")
    _check_unique(session, organization, name)
    account = Account(name=name)
    session.add(account)
    session.flush()
    session.add(
        Member(
            account_uin=account.uin,
            organization_id=organization.id,
            department_id=department.id,
            name=name,
            name_key=fold(name),
            joined_by="Create",
            payment_mode="pay-on-behalf",
            may_quit=False,
        )
    )
    flush_or(session, _taken(name))
    bindings.cover(session, organization=organization, accounts=[account.uin])
    _trust_admin_account(session, actor, account, organization)
    _record(session, actor, "member.create", organization, account.uin, name, department=department.name)
    follow_moves(session, actor, organization=organization, accounts=[account.uin])
    return account


def rename_member(session: Session, actor: Actor, *, organization: Organization, uin: int, name: str) -> MemberRow:
    """Raises NotFound, Invalid or Conflict."""
    before = queries.member(session, organization, uin)
    name = names.member_name(name)
    if name == before.name:
        return before
    lock(session, organization)
    _check_unique(session, organization, name, but=uin)
    session.execute(update(Member).where(Member.account_uin == uin).values(name=name, name_key=fold(name)))
    session.execute(update(Account).where(Account.uin == uin).values(name=name))
    _record(session, actor, "member.update", organization, uin, name, old_name=before.name)
    return queries.member(session, organization, uin)


@dataclass(frozen=True)
class Moved:
    """Those that moved, as they were; `batch_id` has the tasks by which their authorizations follow, "" for none."""

    rows: Sequence[MemberRow]
    batch_id: str


def move_members(
    session: Session, actor: Actor, *, organization: Organization, department: Department, uins: Sequence[int]
) -> Moved:
    """Into `department`; who is there already stays. What departments grant follows (access.departments).

    Raises NotFound, LimitReached, or Invalid when none is named.
    """
    _check_chosen(uins)
    lock(session, organization)
    moved = [row for row in queries.members_of(session, organization, uins) if row.department_id != department.id]
    for chunk in chunks(row.uin for row in moved):
        session.execute(update(Member).where(Member.account_uin.in_(chunk)).values(department_id=department.id))
    targets = [
        _target(row.uin, row.name, {"old_department": row.department_name, "department": department.name})
        for row in moved
    ]
    audit.record_each(session, actor, "member.move", targets, organization_id=organization.id)
    accounts = [row.uin for row in moved]
    return Moved(moved, follow_moves(session, actor, organization=organization, accounts=accounts) if moved else "")


def remove_members(
    session: Session, actor: Actor, *, organization: Organization, uins: Sequence[int]
) -> list[MemberRow]:
    """Takes accounts out of the organization, all of them or none.

    Raises Conflict for the admin account and for one in which the Identity Center still holds something,
    saying what; NotFound; Invalid when none is named. The accounts themselves stay.
    """
    _check_chosen(uins)
    rows = queries.members_of(session, organization, uins)
    for row in rows:
        if row.uin == organization.admin_uin:
            raise Conflict(f"{row.name} is the admin account of the organization and cannot be removed.")
    # who grants something there meanwhile holds the rows, too: either the grant waits, or we do and find it
    session.execute(
        select(Member.account_uin).where(Member.account_uin.in_(uins)).order_by(Member.account_uin).with_for_update()
    )
    held = _held(session, uins)
    for row in rows:
        if row.uin in held:
            raise Conflict(
                f"{row.name} cannot be removed: the Identity Center still has {', '.join(held[row.uin])} "
                "there. Remove these first."
            )
    for table in (AccountCheck, Difference):
        session.execute(delete(table).where(table.account_uin.in_(uins)))
    bindings.uncover(session, accounts=uins)
    session.execute(delete(Member).where(Member.account_uin.in_(uins)))
    for row in rows:
        _record(session, actor, "member.remove", organization, row.uin, row.name, department=row.department_name)
    return rows


def _held(session: Session, uins: Sequence[int]) -> dict[int, list[str]]:
    """What the Identity Center has in accounts, in words, by account.

    The identity provider goes with the last of what needs it, and is named only where it was left alone.
    """
    kinds: list[tuple[str, str, Any, Any]] = [
        ("authorization", "authorizations", Authorization.account_uin, Authorization.direct.is_(True)),
        (
            "authorization by a department",
            "authorizations by departments",
            Authorization.account_uin,
            Authorization.direct.is_(False),
        ),
        ("deployed configuration", "deployed configurations", Deployment.account_uin, true()),
        ("user synchronization", "user synchronizations", UserSync.account_uin, true()),
        ("synchronized user", "synchronized users", SyncedUser.account_uin, true()),
        ("identity provider", "identity providers", DeployedProvider.account_uin, true()),
    ]
    counts = [
        select(column.label("uin"), func.count().label("number"), literal(index).label("kind"))
        .where(column.in_(uins), of_the_kind)
        .group_by(column)
        for index, (_one, _many, column, of_the_kind) in enumerate(kinds)
    ]
    found: dict[int, list[str]] = {}
    for uin, number, index in sorted(session.execute(union_all(*counts)).all(), key=lambda row: (row.uin, row.kind)):
        one, many, column, _of_the_kind = kinds[index]
        if column is not DeployedProvider.account_uin or uin not in found:
            found.setdefault(uin, []).append(f"{number} {one if number == 1 else many}")
    return found


def _trust_admin_account(session: Session, actor: Actor, account: Account, organization: Organization) -> None:
    roles.ensure_role(
        session,
        actor,
        account_uin=account.uin,
        name=ACCESS_ROLE,
        description="The admin account of the organization reaches this account by it.",
        role_type="user",
        trust={
            "version": "2.0",
            "statement": [
                {
                    "action": "name/sts:AssumeRole",
                    "effect": "allow",
                    "principal": {"qcs": [f"qcs::cam::uin/{organization.admin_uin}:root"]},
                }
            ],
        },
        session_duration=3600,
        policies=("AdministratorAccess",),
        manager=MANAGER,
    )


def _check_chosen(uins: Sequence[int]) -> None:
    if not uins:
        raise Invalid("Choose at least one member account.", field="members")


def _check_unique(session: Session, organization: Organization, name: str, *, but: int = 0) -> None:
    taken = select(Member.account_uin).where(
        Member.organization_id == organization.id, Member.name_key == fold(name), Member.account_uin != but
    )
    if session.scalar(taken) is not None:
        raise _taken(name)


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a member named {name} in the organization already.", field="name")


def _record(
    session: Session,
    actor: Actor,
    action: str,
    organization: Organization,
    uin: int,
    name: str,
    **details: Any,
) -> None:
    audit.record(session, actor, action, organization_id=organization.id, **_target(uin, name, details))


def _target(uin: int, name: str, details: dict[str, Any]) -> dict[str, Any]:
    return {
        "target_type": "member",
        "target_id": uin,
        "target_name": name,
        "account_uin": uin,
        "details": details,
    }
