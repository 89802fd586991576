"""The sample company as rows, made by the product's own verbs, once per database."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.activation import activate_space
from portal.core.access import authorizations, configurations, syncs
from portal.core.access.models import DeletionStrategy, DuplicationStrategy
from portal.core.actor import Actor
from portal.core.cam.users import create_cam_user
from portal.core.directory import groups, nesting, users
from portal.core.directory.models import Source
from portal.core.errors import Conflict
from portal.core.organization.departments import create_department
from portal.core.organization.members import create_member
from portal.core.organization.models import Department, Organization
from portal.core.organization.organizations import create_organization
from portal.core.push import credentials
from portal.core.space.models import Space
from portal.demo import company

ACTOR = Actor("command", "portal", "portal demo")


@dataclass
class Loaded:
    """What was made so far, found by the names that company.py uses."""

    space: Space
    actor: Actor
    accounts: dict[str, int] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    configurations: dict[str, str] = field(default_factory=dict)


def find_space(session: Session) -> Space | None:
    """The sample space; None in an empty database. Conflict when the database belongs to somebody else."""
    found = session.execute(
        select(Space).join(Organization).where(Space.name == company.SPACE, Organization.name == company.ORGANIZATION)
    ).scalar_one_or_none()
    other = session.scalar(select(Organization.name).limit(1))
    if found is None and other is not None:
        raise Conflict(
            f"The database holds the organization {other} already. "
            "The sample data goes only into a database of its own."
        )
    return found


def load(session: Session, *, secret_key: str) -> tuple[Space, str]:
    """Make the sample company in an empty database; its provisioning tasks are queued.

    Returns the space and the secret of its SCIM credential.
    """
    organization = create_organization(session, ACTOR, name=company.ORGANIZATION)
    actor = replace(ACTOR, organization_id=organization.id)
    create_cam_user(
        session,
        actor,
        account_uin=organization.admin_uin,
        name=company.ADMINISTRATOR,
        password=company.ADMINISTRATOR_PASSWORD,
        policies=["AdministratorAccess"],
    )
    space = activate_space(session, actor, organization=organization, name=company.SPACE, secret_key=secret_key)
    credential, secret = credentials.create_credential(session, actor, space=space)
    credentials.set_scim_enabled(session, actor, space=space, enabled=True)
    loaded = Loaded(space, actor)
    _make_accounts(session, loaded, organization)
    _make_people(session, loaded, replace(actor, kind="scim", id=credential.id, name="SCIM"))
    _make_access(session, loaded)
    return space, secret


def _make_accounts(session: Session, loaded: Loaded, organization: Organization) -> None:
    root = session.scalars(
        select(Department).where(Department.organization_id == organization.id, Department.parent_id.is_(None))
    ).one()
    departments = {"": root}
    for name, parent in company.DEPARTMENTS.items():
        departments[name] = create_department(
            session, loaded.actor, organization=organization, parent=departments[parent], name=name
        )
    for name, department in company.ACCOUNTS.items():
        account = create_member(
            session, loaded.actor, organization=organization, department=departments[department], name=name
        )
        loaded.accounts[name] = account.uin
    account_name, user_name = company.OWN_CAM_USER
    create_cam_user(session, loaded.actor, account_uin=loaded.accounts[account_name], name=user_name)


def _make_people(session: Session, loaded: Loaded, scim: Actor) -> None:
    """Those of source SCIM as the enterprise IdP would push them, the others as an administrator makes them."""
    actors = {Source.SCIM: scim, Source.MANUAL: loaded.actor}
    for number, person in enumerate(company.PEOPLE, start=1001):
        user = users.create_user(
            session,
            actors[person.source],
            space=loaded.space,
            user_name=person.user_name,
            display_name=person.display_name,
            given_name=person.given_name,
            family_name=person.family_name,
            email=f"{person.user_name}@acme.example",
            remarks=person.job if person.source == Source.MANUAL else "",
            enabled=person.enabled,
            source=person.source,
            external_id=f"acme-{number}" if person.source == Source.SCIM else None,
        )
        loaded.users[person.user_name] = user.id
    for name, (source, members) in company.GROUPS.items():
        group = groups.create_group(session, actors[source], space=loaded.space, name=name, source=source)
        groups.add_members(session, actors[source], group=group, user_ids=[loaded.users[each] for each in members])
        loaded.groups[name] = group.id
    for name, inside in company.NESTED_GROUPS.items():
        group = groups.get_group(session, loaded.space, loaded.groups[name])
        nesting.change_groups(session, scim, group=group, add=[loaded.groups[each] for each in inside])


def _make_access(session: Session, loaded: Loaded) -> None:
    for role in company.CONFIGURATIONS:
        configuration = configurations.create_configuration(
            session,
            loaded.actor,
            space=loaded.space,
            name=role.name,
            description=role.description,
            session_duration=role.session_duration,
            policies=role.policies,
        )
        loaded.configurations[role.name] = configuration.id
    for grant in company.GRANTS:
        authorizations.grant(
            session,
            loaded.actor,
            space=loaded.space,
            accounts=[loaded.accounts[name] for name in grant.accounts],
            users=[loaded.users[name] for name in grant.users],
            groups=[loaded.groups[name] for name in grant.groups],
            configurations=[loaded.configurations[name] for name in grant.roles],
        )
    for name, account in company.SYNCED_USERS.items():
        _synchronize(session, loaded, account, users=[loaded.users[name]])
    for name, account in company.SYNCED_GROUPS.items():
        _synchronize(session, loaded, account, groups=[loaded.groups[name]])


def _synchronize(
    session: Session, loaded: Loaded, account: str, *, users: list[str] | None = None, groups: list[str] | None = None
) -> None:
    syncs.synchronize(
        session,
        loaded.actor,
        space=loaded.space,
        accounts=[loaded.accounts[account]],
        users=users or [],
        groups=groups or [],
        description="",
        duplication_strategy=DuplicationStrategy.KEEP_BOTH,
        deletion_strategy=DeletionStrategy.DELETE,
    )
