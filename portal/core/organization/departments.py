"""The tree of departments below Root (DEP-1, DEP-3)."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core import audit, limits
from portal.core.access.models import DepartmentAuthorization
from portal.core.actor import Actor
from portal.core.errors import Conflict, Invalid
from portal.core.guardrails import bindings
from portal.core.organization import names, queries
from portal.core.organization.models import Department, Member, Organization
from portal.core.organization.organizations import lock
from portal.core.text import fold


def create_department(
    session: Session,
    actor: Actor,
    *,
    organization: Organization,
    parent: Department,
    name: str,
    description: str = "",
) -> Department:
    """Raises Invalid, Conflict (a sibling has that name) or LimitReached (levels, children of one parent)."""
    name, description = names.department_name(name), names.description(description)
    lock(session, organization)
    depth = len(queries.path(session, organization, parent.id))
    limits.check("department_levels", depth, what="department levels below Root")
    children = session.scalar(select(func.count()).where(Department.parent_id == parent.id)) or 0
    limits.check("departments_per_parent", children + 1, what="departments directly below one department")
    _check_unique(session, parent.id, name)
    department = Department(
        organization_id=organization.id,
        parent_id=parent.id,
        name=name,
        name_key=fold(name),
        description=description,
    )
    session.add(department)
    session.flush()
    bindings.cover(session, organization=organization, departments=[department.id])
    _record(session, actor, "department.create", department, parent=parent.name)
    return department


def update_department(
    session: Session,
    actor: Actor,
    *,
    organization: Organization,
    department: Department,
    name: str | None = None,
    description: str | None = None,
) -> Department:
    """Renames or describes; what is None stays. Raises Invalid or Conflict."""
    lock(session, organization)
    changes: dict[str, str] = {}
    if name is not None and (name := names.department_name(name)) != department.name:
        _check_unique(session, department.parent_id, name, but=department.id)
        changes |= {"old_name": department.name, "name": name}
        department.name, department.name_key = name, fold(name)
    if description is not None and (description := names.description(description)) != department.description:
        changes["description"] = department.description = description
    if changes:
        session.flush()
        _record(session, actor, "department.update", department, **changes)
    return department


def delete_department(session: Session, actor: Actor, *, organization: Organization, department: Department) -> None:
    """Only an empty one, and never Root. Raises Conflict or Invalid with the reason."""
    if department.parent_id is None:
        raise Invalid("Root is the organization's own department and cannot be deleted.")
    lock(session, organization)
    below = session.scalar(select(func.count()).where(Department.parent_id == department.id)) or 0
    if below:
        raise Conflict(f"{department.name} still has {below} {'department' if below == 1 else 'departments'} below it.")
    held = session.scalar(select(func.count()).where(Member.department_id == department.id)) or 0
    if held:
        raise Conflict(f"{department.name} still has {held} {'member' if held == 1 else 'members'}. Move them first.")
    granted = session.scalar(select(func.count()).where(DepartmentAuthorization.department_id == department.id)) or 0
    if granted:
        what = "authorization" if granted == 1 else "authorizations"
        raise Conflict(f"{department.name} still grants {granted} {what}. Remove these first.")
    bindings.uncover(session, departments=[department.id])
    _record(session, actor, "department.delete", department)
    session.delete(department)
    session.flush()


def _check_unique(session: Session, parent_id: int | None, name: str, *, but: int | None = None) -> None:
    taken = select(Department.id).where(
        Department.parent_id == parent_id, Department.name_key == fold(name), Department.id != (but or 0)
    )
    if parent_id is not None and session.scalar(taken) is not None:
        raise Conflict(f"There is a department named {name} at this place already.", field="name")


def _record(session: Session, actor: Actor, action: str, department: Department, **details: str) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="department",
        target_id=department.id,
        target_name=department.name,
        organization_id=department.organization_id,
        details=dict(details),
    )
