"""Pages over 200,000 authorizations, 5,000 accounts and 100,000 users cost what they cost over ten of each.

The floor of each page is the same page over a company of ten, opened in turn; so many SQL statements each takes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.core.database import Database
from portal.core.organization.models import Organization
from portal.core.space.models import Space
from portal.migrations import upgrade
from portal.settings import load
from tests.benchmarks.pages.estate import BIG, SMALL, Size, fill, uin
from tests.benchmarks.scim.servers import SECRET, database_url
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.sso import Sso
from tests.support.statements import statements

pytestmark = pytest.mark.benchmark
ROUNDS = 15


@dataclass
class Company:
    database: Database
    employee: FlaskClient
    administrator: FlaskClient
    size: Size
    star: str


def company(url: str, folder: Path, size: Size) -> Company:
    settings = load(
        environment="test", data_dir=folder, database_url=url, secret_key=SECRET, base_url="http://localhost",
        embedded_worker=False, log_level="ERROR",
    )  # fmt: skip
    database = Database(settings.database_url)
    upgrade(database)
    app = create_app(settings, database)
    app.testing = True
    make = Make(database, SECRET)
    sso = Sso(make)
    star = make.user(sso.space, "alice")
    fill(database, sso.space, star.id, size)
    return Company(database, _employee(app, sso), _administrator(app, make, sso.space), size, star.id)


def _employee(app: Flask, sso: Sso) -> FlaskClient:
    browser = Browser(app)
    sso.sign_in(browser, "alice")
    return browser.client


def _administrator(app: Flask, make: Make, space: Space) -> FlaskClient:
    browser = Browser(app)
    with make.transaction() as session:
        organization = session.get_one(Organization, space.organization_id)
    admin.make_administrator(make, organization)
    admin.enter(browser, space.name, "admin")
    return browser.client


Open = Callable[[Company], str]
PAGES: dict[str, Open] = {
    "portal": lambda one: "/home",
    "portal, last page": lambda one: f"/home?page={one.size.star_accounts // 20}",
    "portal, search": lambda one: f"/home?q=account-{one.size.star_accounts - 1:05}",
    "overview": lambda one: "/console/",
    "accounts and tree": lambda one: "/console/accounts",
    "organization": lambda one: "/console/organization",
    "account": lambda one: f"/console/accounts/{uin(1)}",
    "account, deployments": lambda one: f"/console/accounts/{uin(1)}?tab=deployments",
    "user, permissions": lambda one: f"/console/users/{one.star}?tab=permissions",
    "users": lambda one: "/console/users",
    "users, search": lambda one: f"/console/users?q=person{one.size.users - 1}",
    "groups": lambda one: "/console/groups",
    "configurations": lambda one: "/console/configurations",
    "tasks": lambda one: "/console/tasks",
    "tasks, failed": lambda one: "/console/tasks?status=Failed",
    "tasks, search": lambda one: f"/console/tasks?q=person{one.size.users - 1}",
    "batch": lambda one: "/console/tasks/batches/b-000000000000",
}


def opened(one: Company, page: str) -> float:
    client = one.employee if page.startswith("portal") else one.administrator
    begin = time.perf_counter()
    answer = client.get(PAGES[page](one))
    seconds = time.perf_counter() - begin
    assert answer.status_code == 200, (page, answer.status_code, answer.headers.get("Location"))
    return seconds


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_pages_of_a_big_company(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        sides = []
        for name, size in (("small", SMALL), ("big", BIG)):
            url = stack.enter_context(database_url(kind, tmp_path / name))
            sides.append(company(url, tmp_path / name, size))
            stack.callback(sides[-1].database.dispose)
        lines = []
        for page in PAGES:
            counts = []
            for one in sides:
                opened(one, page)
                with statements(one.database) as seen:
                    opened(one, page)
                counts.append(len(seen))
            pairs = [[opened(one, page) for one in sides] for _ in range(ROUNDS)]
            few, many = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
            ratio = statistics.median(big / small for small, big in pairs)
            lines.append(f"{page:22} {few:7.1f} {many:7.1f}  ratio {ratio:6.2f}  statements {counts[0]} {counts[1]}")
        with capsys.disabled():
            print(f"\n\n{kind}: ms a page, small and big company", *lines, sep="\n")  # noqa: T201
