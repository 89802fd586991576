"""Who may change what came from where (IC-5).

    source   SCIM is on          SCIM is off
    Manual   the console         the console
    SCIM     the IdP, by SCIM    the console; switched on again, the IdP overwrites and makes anew as it pleases

A Manual object becomes one of SCIM by adoption only, never by a push of the same name.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.directory.models import Group, Source, User
from portal.core.errors import Forbidden
from portal.core.space.models import Space


def is_read_only(session: Session, found: User | Group) -> bool:
    """Whether everybody but SCIM may only look at it."""
    return found.source == Source.SCIM and session.get_one(Space, found.space_id).scim_enabled


def check_source(session: Session, actor: Actor, found: User | Group) -> None:
    """Raises Forbidden: SCIM may not touch Manual objects, nobody else may touch SCIM objects while SCIM is on."""
    what = "user group" if isinstance(found, Group) else "user"
    if actor.kind == "scim" and found.source != Source.SCIM:
        raise Forbidden(f"This {what} was made by hand in the console; SCIM may not change it. {adoption_of(found)}")
    if actor.kind != "scim" and is_read_only(session, found):
        raise Forbidden(
            f"This {what} comes from SCIM and is read-only while SCIM is on. Change it at the identity provider."
        )


def adoption_of(found: User | Group) -> str:
    """What to do about a Manual object that a push runs into."""
    what = "user group" if isinstance(found, Group) else "user"
    return f"An administrator can hand it over to SCIM on the page of the {what} {found.id} in the console."


def of_other(other: User | Group, source: Source) -> str:
    """Whose the name is that something of `source` should get: the end of the sentence that refuses it."""
    if source == Source.SCIM and other.source == Source.MANUAL:
        return f" ({other.id}, source Manual: made by hand in the console). {adoption_of(other)}"
    return f" ({other.id}, source {other.source})."
