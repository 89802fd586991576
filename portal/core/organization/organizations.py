"""An organization begins with its admin account and Root (ORG-1)."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import audit
from portal.core.actor import Actor
from portal.core.organization import names
from portal.core.organization.models import Account, Department, Member, Organization
from portal.core.text import fold

ROOT_NAME = "Root"


def create_organization(
    session: Session, actor: Actor, *, name: str, admin_account_name: str | None = None
) -> Organization:
    """Makes the admin account, the organization, its Root department and the admin account's membership.

    Without `admin_account_name` the account is named after the organization. Raises Invalid.
    """
    name = names.organization_name(name)
    if admin_account_name is None:
        account_name = names.as_member_name(name, "-admin")
    else:
        account_name = names.member_name(admin_account_name)
    account = Account(name=account_name)
    session.add(account)
    session.flush()
    organization = Organization(name=name, admin_uin=account.uin)
    session.add(organization)
    session.flush()
    root = Department(organization_id=organization.id, parent_id=None, name=ROOT_NAME, name_key=fold(ROOT_NAME))
    session.add(root)
    session.flush()
    session.add(
        Member(
            account_uin=account.uin,
            organization_id=organization.id,
            department_id=root.id,
            name=account_name,
            name_key=fold(account_name),
            joined_by="Admin",
        )
    )
    audit.record(
        session,
        actor,
        "organization.create",
        target_type="organization",
        target_id=organization.id,
        target_name=name,
        account_uin=account.uin,
        organization_id=organization.id,
    )
    session.flush()
    return organization


def lock(session: Session, organization: Organization) -> None:
    """Let one transaction at a time change the tree, so that checked counts and names stay true."""
    lock_organization(session, organization.id)


def lock_organization(session: Session, organization_id: int) -> None:
    """The same, for who changes what departments grant, or what depends on it."""
    session.execute(select(Organization.id).where(Organization.id == organization_id).with_for_update())
