"""The sample data, and `portal demo` as a person starts it."""

from __future__ import annotations

import ast
import http.cookiejar
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

import portal as portal_package
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    Deployment,
    DeploymentStatus,
    SyncStatus,
    Task,
    TaskStatus,
    UserSync,
)
from portal.core.access.queries.entries import entries_of_user, user_entries_of_user
from portal.core.actor import SYSTEM
from portal.core.cam.models import CamIdentityProvider
from portal.core.database import Database
from portal.core.directory.models import Group, Source, User
from portal.core.errors import Conflict
from portal.core.federation import identity_provider
from portal.core.limits import Limits, set_limits
from portal.core.organization.models import Department, Member, Organization
from portal.core.paging import Search
from portal.core.space.models import Space
from portal.core.space.queries import find
from portal.demo import company
from portal.demo.preparing import prepare
from portal.demo.running import CREATED_MEMBERS
from portal.settings import Settings
from portal.trust import from_metadata
from tests.support.make import Make
from tests.support.processes import environment, free_port, portal, running, status
from tests.support.saml_idp import TestIdp

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def demo(settings: Settings) -> Iterator[Settings]:
    settings.limits.created_members_per_entity = int(CREATED_MEMBERS)
    yield settings
    set_limits(Limits())


def doors(session: Session, user_name: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Account -> roles, and account -> CAM user, that stand open to an employee."""
    user = session.scalars(select(User).where(User.user_name == user_name)).one()
    roles = entries_of_user(session, user, Search()).rows
    users = user_entries_of_user(session, user, Search()).rows
    return (
        {row.account_name: [role.name for role in row.roles] for row in roles},
        {row.account_name: row.cam_user_name for row in users},
    )


def count(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_the_sample_company_is_complete_and_alice_has_many_doors_bob_one_carol_none(
    demo: Settings, database: Database
) -> None:
    prepare(demo, idp_port=8001)
    with database.transaction(write=False) as session:
        assert count(session, Department) == 4
        assert count(session, Member) == 9
        assert Counter(session.scalars(select(User.source))) == {Source.SCIM: 9, Source.MANUAL: 3}
        assert Counter(session.scalars(select(Group.source))) == {Source.SCIM: 3, Source.MANUAL: 2}
        assert count(session, Configuration) == 5
        assert set(session.scalars(select(Authorization.status))) == {AuthorizationStatus.ACTIVE}
        assert set(session.scalars(select(Deployment.status))) == {DeploymentStatus.DEPLOYED}
        assert list(session.scalars(select(UserSync.status))) == [SyncStatus.ENABLED] * 3
        assert set(session.scalars(select(Task.status))) == {TaskStatus.SUCCESS}
        space = find(session, company.SPACE)
        assert space.sso_enabled
        assert space.scim_enabled
        roles, users = doors(session, "alice")
        assert roles["production"] == ["Administrator", "ReadOnly"]
        assert len(roles) == 4
        assert users == {"production": "alice_cic", "sandbox": "alice"}
        assert doors(session, "bob") == ({"sandbox": ["Developer"]}, {})
        assert doors(session, "carol") == ({}, {})
        assert not session.scalars(select(User.enabled).where(User.user_name == "heidi")).one()


@ON_SQLITE
def test_a_second_start_keeps_what_is_there(demo: Settings, database: Database) -> None:
    first = prepare(demo, idp_port=8001)
    with database.transaction() as session:
        session.execute(update(User).where(User.user_name == "bob").values(remarks="changed by somebody"))
        session.execute(update(Space).values(sso_enabled=False))
        tasks = count(session, Task)
    second = prepare(demo, idp_port=8001)
    assert first.scim_secret
    assert second.scim_secret is None
    assert second.admin_uin == first.admin_uin
    with database.transaction(write=False) as session:
        assert session.scalars(select(User.remarks).where(User.user_name == "bob")).one() == "changed by somebody"
        assert count(session, User) == len(company.PEOPLE)
        assert count(session, Task) == tasks
        assert not find(session, company.SPACE).sso_enabled


@ON_SQLITE
def test_other_ports_are_told_to_the_space_and_to_the_accounts(demo: Settings, database: Database) -> None:
    prepare(demo, idp_port=8001)
    prepare(demo.model_copy(update={"base_url": "http://127.0.0.1:9000"}), idp_port=9001)
    with database.transaction(write=False) as session:
        trusted = identity_provider.current(session, find(session, company.SPACE))
        assert trusted is not None
        assert (trusted.entity_id, trusted.sso_url) == (
            "http://127.0.0.1:9001/metadata",
            "http://127.0.0.1:9001/sso",
        )
        providers = set(session.scalars(select(CamIdentityProvider.entity_id)))
        assert providers == {"http://127.0.0.1:9000/saml/acme/idp-metadata"}


@ON_SQLITE
def test_an_identity_provider_of_somebody_s_own_is_left_alone(demo: Settings, database: Database) -> None:
    prepare(demo, idp_port=8001)
    with database.transaction() as session:
        other = from_metadata(TestIdp().metadata())
        identity_provider.set_identity_provider(session, SYSTEM, space=find(session, company.SPACE), idp=other)
    prepare(demo, idp_port=9001)
    with database.transaction(write=False) as session:
        trusted = identity_provider.current(session, find(session, company.SPACE))
        assert trusted is not None
        assert trusted.entity_id == TestIdp().entity_id


@ON_SQLITE
def test_a_database_of_another_organization_is_refused_and_stays_as_it_is(
    demo: Settings, database: Database, make: Make
) -> None:
    make.space("acme", make.organization("Real Company"))
    with pytest.raises(Conflict, match="Real Company"):
        prepare(demo, idp_port=8001)
    with database.transaction(write=False) as session:
        assert count(session, Organization) == 1
        assert count(session, User) == 0


def test_nothing_but_the_command_knows_the_demo() -> None:
    root = Path(portal_package.__file__).resolve().parent
    found = set()
    for path in [*root.rglob("*.py"), *(root.parent / "scim").rglob("*.py"), *(root.parent / "saml").rglob("*.py")]:
        if root / "demo" in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            if any(name == "portal.demo" or name.startswith("portal.demo.") for name in names):
                found.add(path.name)
    assert found == {"cli.py"}


class Visitor:
    """A browser without JavaScript that keeps cookies, for servers that run."""

    def __init__(self) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar)

    def open(self, url: str, data: dict[str, str] | None = None) -> BeautifulSoup:
        body = urllib.parse.urlencode(data).encode() if data is not None else None
        with self.opener.open(url, body, timeout=30) as answer:
            self.url = answer.geturl()
            self.page = BeautifulSoup(answer.read(), "html.parser")
        return self.page

    def follow(self, link: str) -> BeautifulSoup:
        found = next(each for each in self.page.find_all("a", href=True) if link in each.get_text())
        return self.open(urllib.parse.urljoin(self.url, found["href"]))

    def send(self, button: str, **fields: str) -> BeautifulSoup:
        """The first form that has this button."""
        pressed = next(each for each in self.page.find_all("button") if button in each.get_text(" ", strip=True))
        form = pressed.find_parent("form")
        values = {each["name"]: each.get("value", "") for each in form.find_all("input") if each.get("name")}
        return self.open(urllib.parse.urljoin(self.url, form["action"]), values | fields)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, str, int, int]]:
    """The process, everything it said at the start, and the ports of portal and sample IdP."""
    port, idp_port = free_port(), free_port()
    with running(tmp_path, "demo", "--port", str(port), "--idp-port", str(idp_port)) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl+C" in line:
                break
        assert "Ctrl+C" in said, said
        yield process, said, f"http://127.0.0.1:{port}", port, idp_port


def test_it_starts_says_where_to_go_lets_alice_in_and_stops(
    started: tuple[subprocess.Popen[str], str, str, int, int], tmp_path: Path
) -> None:
    process, said, base, _port, idp_port = started
    for word in (f"{base}/login/acme", f"{base}/console", f"{base}/scim/v2", f"http://127.0.0.1:{idp_port}"):
        assert word in said
    for word in (company.EMPLOYEE_PASSWORD, company.ADMINISTRATOR_PASSWORD, "alice", "bob", "carol"):
        assert word in said

    visitor = Visitor()
    visitor.open(f"{base}/login/acme")
    visitor.follow("Redirect")
    visitor.send("Sign in", name="alice", password=company.EMPLOYEE_PASSWORD)
    visitor.send("Go to the portal")
    assert visitor.url == f"{base}/home"
    assert "production" in visitor.page.get_text()

    assert (tmp_path / "portal.db").exists()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert status(f"{base}/readyz") == 0
    assert status(f"http://127.0.0.1:{idp_port}/metadata") == 0


def test_when_the_sample_idp_ends_the_portal_ends_with_it(
    started: tuple[subprocess.Popen[str], str, str, int, int],
) -> None:
    process, _said, base, _port, _idp_port = started
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    idp = next(pid for pid, command in commands.items() if "portal.demo.idp" in command)
    subprocess.run(["kill", "-KILL", idp], check=True)
    assert process.wait(45) == 1
    assert process.stdout is not None
    assert "The sample identity provider has ended" in process.stdout.read()
    assert status(f"{base}/readyz") == 0


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        failed = portal(tmp_path, "demo", "--port", str(number), "--idp-port", str(free_port()))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"Port {number} of this machine is not free. Choose another one with --port.\n"
    same = portal(tmp_path, "demo", "--port", "8000", "--idp-port", "8000")
    assert (same.returncode, same.stderr) == (
        1,
        "The portal and the sample identity provider need two different ports.\n",
    )


def test_it_never_runs_where_production_is_set(tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--idp-port", str(free_port()))
    by_environment = portal(tmp_path, "demo", *ports, environment="production")
    (tmp_path / "own.toml").write_text('environment = "production"\n')
    by_file = portal(tmp_path, "demo", *ports, config=str(tmp_path / "own.toml"))
    for failed in (by_environment, by_file):
        assert failed.returncode == 1
        assert failed.stderr.startswith("PORTAL_ENVIRONMENT is production")
    assert not (tmp_path / "portal.db").exists()


def test_its_data_is_not_that_of_portal_serve(tmp_path: Path) -> None:
    bare = environment(tmp_path)
    del bare["PORTAL_DATA_DIR"]
    code = "from portal.demo.running import _settings; s = _settings(8000); print(s.environment, s.database_url)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=bare, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["demo", f"sqlite:///{tmp_path}/var/demo/portal.db"]
