"""The `portal` command: each test runs it as a process with an empty environment, where that is what can break."""

from __future__ import annotations

import json
import re
import stat
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from portal.cli import main
from portal.core import clock
from portal.core.access.models import DeployedProvider, Task, TaskStatus
from portal.core.cam.models import CamUser
from portal.core.database import Database
from portal.core.federation.models import SamlKey
from portal.core.push.models import ScimCredential, ScimRequest
from portal.core.secrets import hash_token
from portal.core.space.models import Space
from portal.migrations import is_current
from portal.settings import Settings
from saml.keys import make_key_pair
from tests.support.make import Make
from tests.support.processes import free_port, portal, running, status, wait_for
from tests.support.saml_idp import TestIdp
from tests.support.trust import certificate, trust

PASSWORD = "correct horse battery"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def run(settings: Settings, *arguments: str, stdin: str | bytes = "", **env: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command on the database of `settings`."""
    names = {
        "PORTAL_DATA_DIR": str(settings.data_dir),
        "PORTAL_DATABASE_URL": settings.database_url,
        "PORTAL_SECRET_KEY": settings.secret_key,
        "PORTAL_BASE_URL": settings.base_url,
    }
    return invoke(*arguments, stdin=stdin, **{**names, **env})


def invoke(*arguments: str, stdin: str | bytes = "", **env: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments), input=stdin, env=env)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def silent() -> dict[str, str]:
    """Settings of a database where nobody listens."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    return {"PORTAL_DATABASE_URL": url, "PORTAL_SECRET_KEY": "s" * 32}


def init(settings: Settings, *, organization: str = "Acme", space: str = "acme") -> None:
    code, _output, error = run(
        settings, "init", "--organization", organization, "--space", space, "--admin", "root", stdin=PASSWORD
    )
    assert (code, error) == (0, "")


def test_a_new_installation_without_a_browser(tmp_path: Path) -> None:
    """init, idp set, sso enable, scim-credential create, serve: the whole way, from nothing."""
    made = portal(
        tmp_path, "init", "--organization", "Acme", "--space", "acme", "--admin", "root", stdin=f"{PASSWORD}\n"
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert "administrator root" in made.stdout
    assert PASSWORD not in made.stdout

    (tmp_path / "idp.xml").write_text(TestIdp().metadata())
    trusted = portal(tmp_path, "idp", "set", "--space", "acme", "--metadata", "idp.xml")
    assert (trusted.returncode, trusted.stdout) == (0, "Space acme trusts https://idp.example.test/metadata.\n")
    enabled = portal(tmp_path, "sso", "enable", "--space", "acme")
    assert (enabled.returncode, enabled.stderr) == (0, "")
    credential = portal(tmp_path, "scim-credential", "create", "--space", "acme")
    assert re.fullmatch(r"\S{40,}\n", credential.stdout)

    port = free_port()
    with running(tmp_path, "serve", "--port", str(port), "--workers", "1") as process:
        base = f"http://127.0.0.1:{port}"
        wait_for(f"{base}/readyz", process)
        metadata = urllib.request.urlopen(f"{base}/saml/acme/metadata").read().decode()
        assert f"{base}/saml/acme/acs" in metadata
        request = urllib.request.Request(
            f"{base}/scim/v2/Users", headers={"Authorization": f"Bearer {credential.stdout.strip()}"}
        )
        assert json.load(urllib.request.urlopen(request))["totalResults"] == 0
        assert status(f"{base}/scim/v2/Users") == 401
        process.terminate()
        assert process.wait(45) == 0
    database = Database(f"sqlite:///{tmp_path / 'portal.db'}")
    with database.transaction(write=False) as session:  # what still waited was written at the end
        assert sorted(session.scalars(select(ScimRequest.status))) == [200, 401]
    database.dispose()


def test_init_makes_organization_space_and_first_administrator(settings: Settings, database: Database) -> None:
    code, output, _error = run(
        settings, "init", "--organization", "Acme", "--space", "acme", "--admin", "root", stdin=f"{PASSWORD}\n"
    )
    assert code == 0
    assert f"{settings.base_url}/login/acme" in output
    with database.transaction(write=False) as session:
        user = session.query(CamUser).filter_by(name="root").one()
        assert user.password_hash.startswith("$argon2id$")
        assert str(user.account_uin) in output
        assert session.query(Space).one().name == "acme"


@pytest.mark.parametrize(
    ("options", "password", "word"),
    [
        (["--space", "Not A Space"], PASSWORD, "space name"),
        (["--space", "acme"], "short", "password"),
        (["--space", "acme"], "", "password"),
        (["--space", "taken"], PASSWORD, "taken"),
    ],
)
def test_a_refused_init_changes_nothing(
    settings: Settings, database: Database, make: Make, options: list[str], password: str, word: str
) -> None:
    make.space("taken")
    with database.transaction(write=False) as session:
        before = session.query(CamUser).count(), session.query(Space).count()
    code, output, error = run(
        settings, "init", "--organization", "Acme", *options, "--admin", "root", stdin=f"{password}\n"
    )
    assert (code, output) == (1, "")
    assert word in error
    assert "Traceback" not in error
    with database.transaction(write=False) as session:
        assert (session.query(CamUser).count(), session.query(Space).count()) == before


@ON_SQLITE
def test_further_administrators_of_the_one_organization(settings: Settings, database: Database) -> None:
    code, _output, error = run(settings, "admin", "create", "second", stdin=PASSWORD)
    assert (code, error) == (1, "There is no organization yet. Run: portal init\n")
    init(settings)
    assert run(settings, "admin", "create", "second", stdin=PASSWORD)[0] == 0
    code, _output, error = run(settings, "admin", "create", "Second", stdin=PASSWORD)
    assert code == 1
    assert "already" in error
    init(settings, organization="Other", space="other")
    assert "several organizations" in run(settings, "admin", "create", "third", stdin=PASSWORD)[2]
    assert run(settings, "admin", "create", "third", "--organization", "Other", stdin=PASSWORD)[0] == 0
    assert run(settings, "admin", "create", "looker", "--organization", "Other", "--read-only", stdin=PASSWORD)[0] == 0
    assert "no organization Nobody" in run(settings, "admin", "create", "x", "--organization", "Nobody", stdin="p")[2]


@ON_SQLITE
def test_metadata_may_come_from_standard_input(settings: Settings) -> None:
    init(settings)
    code, output, _error = run(settings, "idp", "set", "--space", "acme", "--metadata", "-", stdin=TestIdp().metadata())
    assert (code, output) == (0, "Space acme trusts https://idp.example.test/metadata.\n")


@ON_SQLITE
@pytest.mark.parametrize("document", ["", "no xml", "<html/>", "<!DOCTYPE x []><x/>"])
def test_what_is_no_metadata_is_refused_in_a_sentence(settings: Settings, document: str) -> None:
    init(settings)
    code, _output, error = run(settings, "idp", "set", "--space", "acme", "--metadata", "-", stdin=document)
    assert code == 1
    assert error.startswith(("The metadata", "This is XML"))


@ON_SQLITE
def test_sso_is_not_enabled_without_an_identity_provider_nor_in_an_unknown_space(settings: Settings) -> None:
    init(settings)
    assert "identity provider first" in run(settings, "sso", "enable", "--space", "acme")[2]
    assert run(settings, "sso", "enable", "--space", "nowhere")[2] == "There is no such space.\n"


def test_a_scim_credential_is_printed_alone_and_stored_hashed(settings: Settings, database: Database) -> None:
    init(settings)
    code, output, _error = run(settings, "scim-credential", "create", "--space", "acme", "--days", "30")
    assert code == 0
    secret = output.strip()
    with database.transaction(write=False) as session:
        credential = session.query(ScimCredential).one()
        assert secret not in (credential.secret_hash, credential.id)
        assert (credential.expires_at - credential.created_at).days in (29, 30)
        assert session.query(Space).one().scim_enabled
    assert run(settings, "scim-credential", "create", "--space", "acme")[0] == 0
    assert "limit" in run(settings, "scim-credential", "create", "--space", "acme")[2]


def test_client_credentials_are_printed_as_two_lines(settings: Settings, database: Database) -> None:
    init(settings)
    command = ("scim-credential", "create", "--space", "acme")
    code, output, _error = run(settings, *command, "--oauth", "--token-minutes", "120", "--strict")
    assert code == 0
    client_id, secret = output.splitlines()
    with database.transaction(write=False) as session:
        credential = session.query(ScimCredential).one()
        assert (credential.id, credential.secret_hash) == (client_id, hash_token(secret))
        assert (credential.type, credential.token_minutes, credential.strict) == ("ClientCredentials", 120, True)
    assert run(settings, *command, "--oauth", "--token-minutes", "361")[0] == 2


def test_the_database_file_is_its_owners_alone(tmp_path: Path) -> None:
    assert portal(tmp_path, "db", "upgrade").returncode == 0
    for path in tmp_path.glob("portal.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_db_upgrade_makes_the_schema(tmp_path: Path) -> None:
    code, output, _error = invoke("db", "upgrade", PORTAL_DATA_DIR=str(tmp_path))
    assert (code, output) == (0, "The database schema is up to date.\n")
    database = Database(f"sqlite:///{tmp_path / 'portal.db'}")
    assert is_current(database)
    database.dispose()


@ON_SQLITE
def test_check_says_that_all_is_sound(settings: Settings) -> None:
    init(settings)
    code, output, error = run(settings, "check", PORTAL_BASE_URL="https://ic.example.com")
    assert (code, error) == (0, "")
    assert output.endswith("The configuration is sound.\n")


@ON_SQLITE
def test_a_roll_over_of_the_signing_key_step_by_step(settings: Settings, database: Database) -> None:
    init(settings)
    accounts = "accounts: 0 up to date, 0 waiting, 0 failed"
    first = run(settings, "saml-key", "show", "--space", "acme")[1].splitlines()
    assert re.fullmatch(r"current: [0-9A-F:]{95}, valid until \d{4}-\d\d-\d\d", first[0])
    assert first[1:] == [accounts]
    code, _output, error = run(settings, "saml-key", "switch", "--space", "acme")
    assert (code, error) == (1, "There is no new key to switch to.\n")
    assert run(settings, "saml-key", "introduce", "--space", "acme")[0] == 0
    with database.transaction(write=False) as session:
        space = session.scalars(select(Space)).one()
    shop = Make(database, settings.secret_key).account(space, "shop")
    with database.transaction() as session:
        session.add(DeployedProvider(account_uin=shop.uin, space_id=space.id, certificates=""))
    code, _output, error = run(settings, "saml-key", "switch", "--space", "acme")
    assert (code, error) == (1, "The new certificate did not get into 1 accounts (shop).\n")
    assert "accounts: 0 up to date, 1 waiting" in run(settings, "saml-key", "retry", "--space", "acme")[1]
    with database.transaction() as session:
        session.execute(update(Task).values(status=TaskStatus.FAILED, reason="No answer."))
    number = str(shop.uin)
    code, output, _error = run(settings, "saml-key", "switch", "--space", "acme", "--without", number)
    assert code == 0
    assert output.splitlines()[1].replace("previous", "current") == first[0]
    assert output.splitlines()[-1] == f"failed: {number} shop: No answer."
    assert "previous" not in run(settings, "saml-key", "retire", "--space", "acme", "--at-once")[1]


@ON_SQLITE
def test_check_tells_an_expired_signing_key(settings: Settings, database: Database) -> None:
    init(settings)
    _private_key, certificate = make_key_pair("old", years=0, now=clock.now())
    with database.transaction() as session:
        session.execute(update(SamlKey).values(certificate=certificate))
    code, _output, error = run(settings, "check")
    assert code == 2
    assert "the certificate of the signing key has expired" in error


@ON_SQLITE
def test_check_tells_expired_certificates_of_the_identity_provider(settings: Settings, database: Database) -> None:
    init(settings)
    with database.transaction() as session:
        space = session.scalars(select(Space)).one()
        space.sso_enabled = True
    trust(Make(database, settings.secret_key), space, certificate("gone", -5))
    _code, _output, error = run(settings, "check")
    assert "every certificate of the identity provider has expired. Sign-ins are still accepted" in error


@ON_SQLITE
def test_check_tells_faults_and_remarks(settings: Settings, database: Database) -> None:
    init(settings)
    code, output, error = run(
        settings,
        "check",
        PORTAL_SECRET_KEY="another" * 8,
        PORTAL_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0",
        PORTAL_BASE_URL="http://ic.example.com",
    )
    assert code == 2
    assert "PORTAL_SECRET_KEY" in error
    assert "PORTAL_BROKER_URL: the broker does not answer" in error
    assert "remark: PORTAL_BASE_URL begins with http://" in output


def test_check_tells_an_old_schema_and_a_silent_database(
    tmp_path: Path, silent: dict[str, str], postgresql_url: str
) -> None:
    assert invoke("check", PORTAL_DATA_DIR=str(tmp_path))[0] == 0, "a SQLite file is brought up to date by itself"
    without_tables = postgresql_url.rsplit("/", 1)[0] + "/postgres"
    code, _output, error = invoke("check", PORTAL_DATABASE_URL=without_tables, PORTAL_SECRET_KEY="x" * 32)
    assert (code, error) == (2, "fault: The database schema is not this version's. Run: portal db upgrade\n")
    code, _output, error = invoke("check", **silent)
    assert code == 2
    assert error.startswith("fault: PORTAL_DATABASE_URL: the database does not answer")


COMMANDS = [("check",), ("serve",), ("worker",), ("db", "upgrade"), ("sso", "enable", "--space", "acme"), ("demo",)]


@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
def test_every_fault_of_the_settings_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    wrong = {"PORTAL_SIGN_IN_MINUTES": "0", "PORTAL_LOG_LEVEL": "LOUD", "PORTAL_DATA_DIR": str(tmp_path)}
    code, output, error = invoke(*command, **wrong)
    assert (code, output) == (2, "")
    assert sorted(line.partition(":")[0] for line in error.splitlines()) == [
        "PORTAL_LOG_LEVEL",
        "PORTAL_SIGN_IN_MINUTES",
    ]


@pytest.mark.parametrize("command", COMMANDS[1:-1], ids=" ".join)
def test_a_silent_database_is_one_sentence(silent: dict[str, str], command: tuple[str, ...]) -> None:
    code, _output, error = invoke(*command, **silent)
    assert code == 1
    assert error == "PORTAL_DATABASE_URL: the database does not answer (OperationalError).\n"


def test_both_are_told_by_a_process_too(tmp_path: Path, silent: dict[str, str]) -> None:
    wrong = portal(tmp_path, "demo", sign_in_minutes="0")
    assert (wrong.returncode, wrong.stderr.partition(":")[0]) == (2, "PORTAL_SIGN_IN_MINUTES")
    url, secret_key = silent["PORTAL_DATABASE_URL"], silent["PORTAL_SECRET_KEY"]
    ports = ("--port", str(free_port()), "--idp-port", str(free_port()))
    failed = portal(tmp_path, "demo", *ports, database_url=url, secret_key=secret_key)
    assert failed.returncode == 1
    assert failed.stderr.startswith("PORTAL_DATABASE_URL: the database does not answer")
    assert "Traceback" not in failed.stderr


def test_help_and_version_need_no_settings() -> None:
    code, output, _error = invoke("--help", PORTAL_BASE_URL="nonsense")
    assert code == 0
    for name in ("serve", "worker", "demo", "check", "db", "init", "admin", "idp", "sso", "scim-credential"):
        assert name in output
    assert re.search(r", version \d", invoke("--version", PORTAL_BASE_URL="nonsense")[1])
