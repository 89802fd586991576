"""Verbs on permission configurations (IC-8): templates of a role, which deployments turn into CAM roles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.access.models import (
    Authorization,
    Configuration,
    ConfigurationPolicy,
    DepartmentAuthorization,
    Deployment,
)
from portal.core.actor import Actor
from portal.core.cam import presets
from portal.core.database import flush_or
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.space.models import Space
from portal.core.text import fold

# 112, because the role's name has a prefix of 16 characters and CAM allows 128
_NAME = re.compile(r"[A-Za-z0-9-]{1,112}")
SESSION_DURATION = range(900, 43_201)


def get_configuration(session: Session, space: Space, configuration_id: str) -> Configuration:
    found = session.scalar(
        select(Configuration).where(Configuration.space_id == space.id, Configuration.id == configuration_id)
    )
    if found is None:
        raise NotFound("There is no such permission configuration in this space.")
    return found


def create_configuration(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    name: str,
    description: str = "",
    session_duration: int = 3600,
    relay_state: str = "",
    policies: Sequence[str] = (),
) -> Configuration:
    """`session_duration` in seconds, 900 to 43200. Raises Invalid, Conflict (name taken), LimitReached."""
    name = (name or "").strip()
    if not _NAME.fullmatch(name):
        raise Invalid("A name has 1 to 112 letters, digits and hyphens.", field="name")
    mine = Configuration.space_id == space.id
    taken = Conflict(f"A permission configuration named {name} exists already in this space.", field="name")
    if session.scalar(select(Configuration.id).where(mine, Configuration.name_key == fold(name))):
        raise taken
    count = session.scalar(select(func.count()).select_from(Configuration).where(mine)) or 0
    limits.check("configurations_per_space", count + 1, what="permission configurations")
    configuration = Configuration(space_id=space.id, name=name, name_key=fold(name), revision=1)
    _apply(configuration, description=description, session_duration=session_duration, relay_state=relay_state)
    session.add(configuration)
    flush_or(session, taken)
    _add_policies(session, configuration, policies)
    _record(session, actor, "configuration.create", configuration, policies=list(policies))
    return configuration


def update_configuration(
    session: Session, actor: Actor, *, configuration: Configuration, **changes: Any
) -> Configuration:
    """Changes `description`, `session_duration` (asks for redeployment, IC-10) or `relay_state`. Raises Invalid."""
    before = {name: getattr(configuration, name) for name in changes}
    _apply(configuration, **changes)
    changed = sorted(name for name, value in before.items() if getattr(configuration, name) != value)
    if changed:
        configuration.updated_at = clock.now()
        if "session_duration" in changed:
            _revise(configuration)
        session.flush()
        _record(session, actor, "configuration.update", configuration, changed=changed)
    return configuration


def add_policies(
    session: Session, actor: Actor, *, configuration: Configuration, names: Sequence[str]
) -> Configuration:
    """Add preset policies; deployed accounts ask for redeployment (IC-10). Raises Invalid, Conflict, LimitReached."""
    if not names:
        raise Invalid("Choose at least one preset policy.", field="policies")
    _add_policies(session, configuration, names)
    _revise(configuration)
    session.flush()
    _record(session, actor, "configuration.add_policies", configuration, policies=list(names))
    return configuration


def remove_policy(session: Session, actor: Actor, *, configuration: Configuration, name: str) -> Configuration:
    """Deployed accounts ask for redeployment (IC-10). Raises NotFound."""
    policy = session.get(ConfigurationPolicy, (configuration.id, name))
    if policy is None:
        raise NotFound(f"{configuration.name} has no policy {name}.")
    session.delete(policy)
    _revise(configuration)
    session.flush()
    _record(session, actor, "configuration.remove_policy", configuration, policies=[name])
    return configuration


def delete_configuration(session: Session, actor: Actor, *, configuration: Configuration) -> None:
    """Raises Conflict while it has policies, deployments or authorizations, naming their numbers (IC-8)."""
    uses = [
        _some(session, ConfigurationPolicy, configuration, "preset policy", "preset policies"),
        _some(session, Deployment, configuration, "deployment", "deployments"),
        _some(session, Authorization, configuration, "authorization", "authorizations"),
        _some(
            session,
            DepartmentAuthorization,
            configuration,
            "department authorization",
            "department authorizations",
        ),
    ]
    if found := [use for use in uses if use]:
        raise Conflict(f"{configuration.name} is still in use: {', '.join(found)}. Remove these first.")
    session.execute(delete(Configuration).where(Configuration.id == configuration.id))
    session.expunge(configuration)
    _record(session, actor, "configuration.delete", configuration)


def role_description(configuration: str, space: str) -> str:
    """What the role says of itself in an account."""
    return f"Permission configuration {configuration} of Identity Center space {space}"


def policy_names(session: Session, configuration_id: str) -> list[str]:
    """All of them, sorted."""
    return list(
        session.scalars(
            select(ConfigurationPolicy.policy_name)
            .where(ConfigurationPolicy.configuration_id == configuration_id)
            .order_by(ConfigurationPolicy.policy_name)
        )
    )


def _apply(configuration: Configuration, **changes: Any) -> None:
    for name, value in changes.items():
        if name == "description":
            value = (value or "").strip()
            if len(value) > 1024:
                raise Invalid("At most 1024 characters are allowed.", field=name)
        elif name == "session_duration":
            if value not in SESSION_DURATION:
                raise Invalid("A session lasts 900 to 43200 seconds (15 minutes to 12 hours).", field=name)
        elif name == "relay_state":
            value = (value or "").strip()
            _check_relay_state(value)
        else:
            raise Invalid(f"{name} of a permission configuration cannot be changed.", field=name)
        setattr(configuration, name, value)


def _check_relay_state(value: str) -> None:
    """A page of the account's console: a path of this site, or a full https address."""
    local = value.startswith("/") and not value.startswith("//")
    if value and not ((local or value.startswith("https://")) and value.isprintable() and "\\" not in value):
        raise Invalid(
            "The initial page is a path that begins with / or an address that begins with https://.",
            field="relay_state",
        )
    if len(value) > 512 or any(char.isspace() for char in value):
        raise Invalid("The initial page has at most 512 characters and no blanks.", field="relay_state")


def _add_policies(session: Session, configuration: Configuration, names: Sequence[str]) -> None:
    present = set(policy_names(session, configuration.id))
    for name in dict.fromkeys(names):
        if presets.find(name) is None:
            raise Invalid(f"There is no preset policy named {name[:128]}.", field="policies")
        if name in present:
            raise Conflict(f"{configuration.name} has the policy {name} already.", field="policies")
        present.add(name)
        session.add(ConfigurationPolicy(configuration_id=configuration.id, policy_name=name))
    limits.check("policies_per_configuration", len(present), what="preset policies of a permission configuration")
    flush_or(session, Conflict(f"Somebody else changed {configuration.name} at the same moment. Try again."))


def _revise(configuration: Configuration) -> None:
    """In SQL, so that two changes at the same time make two revisions."""
    configuration.revision = Configuration.revision + 1
    configuration.updated_at = clock.now()


def _some(session: Session, table: Any, configuration: Configuration, one: str, many: str) -> str:
    statement = select(func.count()).select_from(table).where(table.configuration_id == configuration.id)
    count = session.scalar(statement) or 0
    return f"{count} {one if count == 1 else many}" if count else ""


def _record(session: Session, actor: Actor, action: str, configuration: Configuration, **details: Any) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="configuration",
        target_id=configuration.id,
        target_name=configuration.name,
        details=details,
    )
