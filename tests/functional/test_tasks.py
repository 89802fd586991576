"""Tasks: list, live progress, retry (IC-15)."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from portal.core.access.models import Task, TaskStatus
from portal.core.database import Database
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.admin import Admin, sign_in
from tests.support.browser import Browser
from tests.support.granting import grant, make_configuration
from tests.support.make import Make


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    return sign_in(browser, make)


@pytest.fixture
def batch_id(admin: Admin, make: Make) -> str:
    """alice and bob in the account shop as Reader, waiting for the worker."""
    shop, reader = make.account(admin.space, "shop"), make_configuration(make, admin.space, "Reader")
    people = [make.user(admin.space, "alice"), make.user(admin.space, "bob")]
    return grant(make, admin.space, accounts=[shop], principals=people, configurations=[reader])


def fail(make: Make, name: str) -> None:
    with make.transaction() as session:
        session.execute(
            update(Task)
            .where(Task.principal_name == name)
            .values(status=TaskStatus.FAILED, reason="The account does not answer.")
        )


def test_the_empty_list_says_where_tasks_come_from(browser: Browser, admin: Admin) -> None:
    browser.open("/console/tasks")
    assert "No tasks yet" in browser.text


def test_ic_15_the_list_searches_and_filters(browser: Browser, batch_id: str, make: Make) -> None:
    fail(make, "bob")
    browser.open("/console/tasks")
    assert "Grant authorization" in browser.text
    assert "Waiting" in browser.text
    browser.open("/console/tasks?status=Failed")
    table = browser.page.find("tbody").get_text()
    assert "bob" in table
    assert "alice" not in table
    assert "The account does not answer." in table
    browser.open("/console/tasks").submit("Search", q="alice", type="DeleteRoleAssignment")
    assert "No task matches" in browser.text


def test_ic_15_progress_is_a_fragment_for_scripts_and_a_page_for_people(
    browser: Browser, batch_id: str, database: Database, settings: Settings
) -> None:
    url = f"/console/tasks/batches/{batch_id}"
    browser.open(url)
    assert browser.page.find(attrs={"data-poll": url})
    fragment = browser.client.get(url, headers={"X-Fragment": "1"}).get_data(as_text=True)
    assert "0 of 2 tasks done." in fragment
    assert "<html" not in fragment
    assert "data-settled" not in fragment
    run_until_idle(database, settings)
    assert "data-settled" in browser.client.get(url, headers={"X-Fragment": "1"}).get_data(as_text=True)


def test_ic_15_a_failed_task_runs_again(
    browser: Browser, batch_id: str, make: Make, database: Database, settings: Settings
) -> None:
    run_until_idle(database, settings)
    browser.open(f"/console/tasks/batches/{batch_id}")
    assert "Retry" not in browser.text
    with make.transaction() as session:
        session.query(Task).filter_by(principal_name="bob").one().status = TaskStatus.FAILED
    browser.open(f"/console/tasks/batches/{batch_id}").submit("Retry", status=409)
    assert "This authorization exists by now." in browser.text


def test_a_strangers_tasks_are_not_found(browser: Browser, admin: Admin, make: Make, database: Database) -> None:
    other = make.space("other")
    foreign = grant(
        make,
        other,
        accounts=[make.account(other)],
        principals=[make.user(other)],
        configurations=[make_configuration(make, other, "Reader")],
    )
    browser.open(f"/console/tasks/batches/{foreign}", status=404)
    with database.transaction(write=False) as session:
        task_id = session.query(Task.id).filter_by(batch_id=foreign).scalar()
    browser.open("/console/tasks")
    token = browser.page.find(attrs={"name": "csrf_token"})["value"]
    browser.post(f"/console/tasks/{task_id}/retry", {"csrf_token": token}, status=404)
