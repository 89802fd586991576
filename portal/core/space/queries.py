from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.errors import NotFound
from portal.core.organization.models import Organization
from portal.core.space.models import SPACE_NAME, Space


def find(session: Session, name: str) -> Space:
    """The space whose login URL carries `name`. NotFound when there is none."""
    wanted = select(Space).where(Space.name == name)
    space = session.scalars(wanted).one_or_none() if SPACE_NAME.fullmatch(name) else None
    if space is None:
        raise NotFound("There is no such space.")
    return space


def of_organization(session: Session, organization: Organization) -> Space | None:
    return session.scalars(select(Space).where(Space.organization_id == organization.id)).one_or_none()


def only_space(session: Session) -> Space | None:
    """The space of an installation that has exactly one, so that nobody has to type its name."""
    found = session.scalars(select(Space).limit(2)).all()
    return found[0] if len(found) == 1 else None
