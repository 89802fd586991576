"""The `portal` command. Each subcommand: one transaction, one verb.

A refusal is a sentence on standard error and exit code 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Any, NoReturn

import click
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.database import Database
from portal.core.errors import Conflict, Error, NotFound
from portal.core.organization.models import Organization
from portal.settings import Settings, SettingsFault, load

POLICY = "QcloudOrganizationFullAccess"
LOOKING = "QcloudOrganizationReadOnlyAccess"


class _Commands(click.Group):
    """A database that is not there is a sentence, too."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OperationalError as error:
            _fail(f"PORTAL_DATABASE_URL: the database does not answer ({type(error.orig).__name__}).")


@click.group(cls=_Commands)
@click.version_option(package_name="identity-center")
def main() -> None:
    """The Identity Center: one sign-in for a company's employees into all its cloud accounts."""
    os.umask(0o077)  # what we write, such as the database file, is nobody else's to read


def _settings() -> Settings:
    try:
        return load()
    except SettingsFault as fault:
        for line in fault.faults:
            click.echo(line, err=True)
        sys.exit(2)


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)


@contextmanager
def _work(settings: Settings) -> Iterator[Session]:
    """The transaction of a command on an up-to-date database."""
    from portal.core.limits import set_limits
    from portal.worker import setup_dispatch

    set_limits(settings.limits)
    database = Database(settings.database_url)
    setup_dispatch(database, settings)
    try:
        _prepare(settings, database)
        with database.transaction() as session:
            yield session
    except Error as error:
        _fail(error.message)
    finally:
        database.dispose()


def _prepare(settings: Settings, database: Database) -> None:
    """A SQLite file is brought to this version without being asked.

    A server's schema is changed by `portal db upgrade` only.
    """
    from portal import migrations

    if settings.is_sqlite:
        migrations.upgrade(database)
    elif not migrations.is_current(database):
        _fail("The database schema is not this version's. Run: portal db upgrade")


def _upgrade(settings: Settings) -> None:
    from portal import migrations

    database = Database(settings.database_url)
    migrations.upgrade(database)
    database.dispose()


def _actor(organization: Organization | None = None) -> Actor:
    return Actor("command", "portal", "portal command", organization.id if organization else None)


def _space_option(command: click.decorators.FC) -> click.decorators.FC:
    return click.option("--space", required=True, help="Name of the space.")(command)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes; each runs 8 threads."
)
def serve(host: str, port: int, workers: int) -> None:
    """Serve the portal (gunicorn)."""
    from portal.serving import serve

    settings = _settings()
    database = Database(settings.database_url)
    _prepare(settings, database)
    database.dispose()
    serve(host=host, port=port, workers=workers, request_seconds=settings.request_seconds)


@main.command()
def worker() -> None:
    """Run provisioning tasks: by Celery with PORTAL_BROKER_URL, otherwise from the database."""
    from portal import worker
    from portal.web.observing import setup_logging

    settings = _settings()
    database = Database(settings.database_url)
    _prepare(settings, database)
    setup_logging(settings)
    worker.main(settings, database)


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--idp-port", default=8001, show_default=True, type=click.IntRange(1, 65535), help="Port of the sample IdP."
)
def demo(port: int, idp_port: int) -> None:
    """Serve the portal with sample data and a sample identity provider. Never for production."""
    from portal.demo.running import run

    run(port=port, idp_port=idp_port)


@main.command()
def check() -> None:
    """Tell every fault of the configuration at once; exit code 2 when there is one."""
    from portal.checking import faults, remarks

    settings = _settings()
    found = faults(settings)
    for line in found:
        click.echo(f"fault: {line}", err=True)
    for line in remarks(settings):
        click.echo(f"remark: {line}")
    if found:
        sys.exit(2)
    click.echo("The configuration is sound.")


@main.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the schema to this version."""
    _upgrade(_settings())
    click.echo("The database schema is up to date.")


@main.command()
@click.option("--organization", required=True, help="Name of the organization.")
@click.option(
    "--space", help="Name of the space; left out, an administrator activates the Identity Center in the console."
)
@click.option(
    "--admin", required=True, help="Name of the first administrator. The password is read from standard input."
)
def init(organization: str, space: str | None, admin: str) -> None:
    """A new installation: organization, admin account, space, first administrator."""
    from portal.activation import activate_space
    from portal.core.cam.users import create_cam_user
    from portal.core.organization.organizations import create_organization

    settings = _settings()
    password = _password()
    _upgrade(settings)
    with _work(settings) as session:
        if session.scalar(select(Organization).where(Organization.name == organization)):
            raise Conflict(f"There is an organization {organization} already. Its administrators: portal admin create")
        made = create_organization(session, _actor(), name=organization)
        if space:
            activate_space(session, _actor(made), organization=made, name=space, secret_key=settings.secret_key)
        create_cam_user(
            session, _actor(made), account_uin=made.admin_uin, name=admin, password=password, policies=[POLICY]
        )
    click.echo(f"Organization {organization}, admin account {made.admin_uin}, administrator {admin}.")
    click.echo(f"Console: {settings.base_url}/console")
    if space:
        click.echo(f"User login URL: {settings.base_url}/login/{space}")


@main.group()
def admin() -> None:
    """Administrators: CAM users of the admin account."""


@admin.command("create")
@click.argument("name")
@click.option("--organization", help="Name of the organization; may be left out when there is one.")
@click.option("--read-only", is_flag=True, help="May look at everything and change nothing.")
def admin_create(name: str, organization: str | None, read_only: bool) -> None:
    """Make an administrator. The password is read from standard input."""
    from portal.core.cam.users import create_cam_user

    settings = _settings()
    password = _password()
    with _work(settings) as session:
        found = _organization(session, organization)
        create_cam_user(
            session,
            _actor(found),
            account_uin=found.admin_uin,
            name=name,
            password=password,
            policies=[LOOKING if read_only else POLICY],
        )
    click.echo(f"Administrator {name} of account {found.admin_uin}. Console: {settings.base_url}/console")


@main.group()
def idp() -> None:
    """The enterprise identity provider."""


@idp.command("set")
@_space_option
@click.option("--metadata", type=click.File("rb"), help="The IdP's metadata file; - for standard input.")
@click.option("--metadata-url", help="Where its metadata stands (https); it is read again every day.")
@click.option("--signed-by", type=click.File("rb"), help="Certificate with which metadata by URL must be signed.")
def idp_set(space: str, metadata: IO[bytes] | None, metadata_url: str | None, signed_by: IO[bytes] | None) -> None:
    """Trust the IdP of a metadata file or address at once; the console keeps it until a test sign-in has passed."""
    from portal.core.federation.identity_provider import set_identity_provider
    from portal.core.space.queries import find
    from portal.refreshing import offered

    if bool(metadata) == bool(metadata_url) or (signed_by and not metadata_url):
        raise click.UsageError("Give --metadata, or --metadata-url (with --signed-by if need be).")
    settings = _settings()
    with _work(settings) as session:
        trusted = offered(settings, file=metadata, url=metadata_url, signed_by=signed_by)  # before the first statement
        found = find(session, space)
        set_identity_provider(session, _space_actor(session, found.organization_id), space=found, idp=trusted)
    click.echo(f"Space {space} trusts {trusted.entity_id}.")


@idp.command("refresh")
@_space_option
def idp_refresh(space: str) -> None:
    """Read the IdP's metadata again from its address, now."""
    from portal.core.space.queries import find
    from portal.refreshing import refresh_once

    settings = _settings()
    with _work(settings) as session:
        found = find(session, space)
        actor = _space_actor(session, found.organization_id)
    outcome = refresh_once(settings, found.id, actor)
    if outcome is None or outcome.problem:
        _fail(outcome.problem if outcome else f"Space {space} has no metadata by URL.")
    click.echo(outcome.words)


@main.group()
def sso() -> None:
    """Single sign-on of a space."""


@sso.command("enable")
@_space_option
def sso_enable(space: str) -> None:
    """Switch SSO on, whether a test sign-in has passed or not (the console asks for one)."""
    from portal.core.space.queries import find
    from portal.core.space.spaces import set_sso_enabled

    settings = _settings()
    with _work(settings) as session:
        found = find(session, space)
        set_sso_enabled(session, _space_actor(session, found.organization_id), space=found, enabled=True)
    click.echo(f"SSO is on. User login URL: {settings.base_url}/login/{space}")


@main.group("scim-credential")
def scim_credential() -> None:
    """SCIM credentials of a space."""


@scim_credential.command("create")
@_space_option
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 36135), help="Lifetime.")
@click.option("--oauth", is_flag=True, help="Client credentials (OAuth 2.0) instead of a bearer token.")
@click.option(
    "--token-minutes",
    default=60,
    show_default=True,
    type=click.IntRange(60, 360),
    help="Lifetime of the access tokens; with --oauth.",
)
@click.option("--strict", is_flag=True, help="Refuse what the RFCs do not allow instead of guessing what is meant.")
def scim_credential_create(space: str, days: int, oauth: bool, token_minutes: int, strict: bool) -> None:
    """Make a credential, switch SCIM on, and print only the secret; with --oauth the client id in a line before it."""
    from portal.core.push import credentials
    from portal.core.push.models import CredentialType
    from portal.core.space.queries import find

    with _work(_settings()) as session:
        found = find(session, space)
        actor = _space_actor(session, found.organization_id)
        credential, secret = credentials.create_credential(
            session,
            actor,
            space=found,
            lifetime=timedelta(days=days),
            type=CredentialType.CLIENT_CREDENTIALS if oauth else CredentialType.BEARER_TOKEN,
            token_minutes=token_minutes,
            strict=strict,
        )
        credentials.set_scim_enabled(session, actor, space=found, enabled=True)
        client_id = credential.id
    if oauth:
        click.echo(client_id)
    click.echo(secret)


@main.command("saml-key")
@click.argument("step", type=click.Choice(["show", "introduce", "switch", "retire", "give-up", "retry"]))
@_space_option
@click.option("--without", multiple=True, type=int, help="With switch: an account that may stay behind (its number).")
@click.option("--at-once", is_flag=True, help="With retire: shortly after the switch, too (a compromised key).")
def saml_key(step: str, space: str, without: tuple[int, ...], at_once: bool) -> None:
    """The key that signs log-ins to accounts: show it, or take the next STEP of a roll-over."""
    from portal import signing
    from portal.core.access import roll_over
    from portal.core.space.queries import find

    settings = _settings()
    with _work(settings) as session:
        found = find(session, space)
        asked: dict[str, Any] = {"space": found}
        actor = _space_actor(session, found.organization_id)
        if step == "introduce":
            signing.introduce(session, actor, secret_key=settings.secret_key, **asked)
        elif step == "switch":
            roll_over.switch(session, actor, without=without, **asked)
        elif step == "retire":
            roll_over.retire(session, actor, at_once=at_once, **asked)
        elif step != "show":
            verbs: dict[str, Any] = {
                "give-up": roll_over.give_up,
                "retry": roll_over.repeat,
            }
            verbs[step](session, actor, **asked)
        lines = signing.report(session, found)
    click.echo("\n".join(lines))


def _organization(session: Session, name: str | None) -> Organization:
    statement = select(Organization)
    if name:
        statement = statement.where(Organization.name == name)
    found = session.scalars(statement.limit(2)).all()
    if len(found) > 1:
        raise NotFound("There are several organizations; name one with --organization.")
    if not found:
        raise NotFound(
            f"There is no organization {name}." if name else "There is no organization yet. Run: portal init"
        )
    return found[0]


def _space_actor(session: Session, organization_id: int) -> Actor:
    return _actor(session.get(Organization, organization_id))


def _password() -> str:
    if sys.stdin.isatty():
        entered: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return entered
    return sys.stdin.readline().rstrip("\r\n")
