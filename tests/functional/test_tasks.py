"""Tasks: list, live progress, retry (IC-15)."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from sqlalchemy import update

from portal.core import clock
from portal.core.access.models import Authorization, Task, TaskStatus
from portal.core.database import Database
from portal.core.directory.models import User
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


def url_for(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"


def same_page(one: str, other: str) -> bool:
    """Whether two URLs say the same, whichever way they are escaped."""
    parts = [urlsplit(url) for url in (one, other)]
    return len({(part.path, tuple(sorted(parse_qsl(part.query)))) for part in parts}) == 1


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
    for words in ("reader bob", "bob reader shop", "Bob"):
        browser.open("/console/tasks").submit("Search", q=words)
        assert "bob" in browser.page.find("tbody").get_text(), words
        assert "alice" not in browser.page.find("tbody").get_text(), words
    with make.transaction() as session:
        task = session.query(Task).filter_by(principal_name="bob").one()
    for text in (task.id, batch_id, task.configuration_id):
        browser.open("/console/tasks").submit("Search", q=text)
        assert "bob" in browser.page.find("tbody").get_text(), text
    browser.open("/console/tasks").submit("Search", q="bob nobody")
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
    browser.open(f"/console/tasks/batches/{batch_id}").submit("Retry Grant authorization bob shop", status=409)
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


def test_ic_15_what_has_not_begun_is_canceled_one_by_one_or_all_at_once(
    browser: Browser, batch_id: str, database: Database, settings: Settings
) -> None:
    url = f"/console/tasks/batches/{batch_id}"
    browser.open(url)
    assert "Cancel 2 tasks that have not begun" in browser.text
    browser.submit("Cancel Grant authorization alice shop")
    assert "The task is canceled." in browser.text
    assert "before it began." in browser.text
    browser.submit("Cancel the task that has not begun")
    assert "1 task is canceled." in browser.text
    assert "Canceled: none of 2 tasks was run." in browser.text
    assert run_until_idle(database, settings) == 0
    browser.open("/console/tasks?status=Canceled")
    assert "alice" in browser.page.find("tbody").get_text()
    token = browser.page.find(attrs={"name": "csrf_token"})["value"]
    browser.post(f"{url}/cancel", {"csrf_token": token}, status=409)
    assert "Everything in this batch has begun already." in browser.text


def test_ic_15_all_failed_tasks_run_again_and_who_cannot_is_told(
    browser: Browser, batch_id: str, make: Make, database: Database, settings: Settings
) -> None:
    run_until_idle(database, settings)
    with make.transaction() as session:
        session.query(Task).update({"status": TaskStatus.FAILED})
        alice = session.query(User).filter_by(user_name="alice").one()
        session.query(Authorization).filter_by(user_id=alice.id).delete()
    browser.open(f"/console/tasks/batches/{batch_id}").submit("Retry all 2 failed tasks")
    assert "1 task runs again." in browser.text
    assert "Task 2 cannot run again: This authorization exists by now." in browser.text
    assert "1 of 2 tasks done." in browser.text


def test_ic_15_a_task_that_waits_says_when_it_is_tried_again(
    browser: Browser, batch_id: str, make: Make, database: Database
) -> None:
    with make.transaction() as session:
        task = session.query(Task).filter_by(principal_name="bob").one()
        task.attempts, task.not_before = 2, clock.now() + timedelta(minutes=2)
        task.reason = "The account does not answer."
    browser.open(f"/console/tasks/batches/{batch_id}")
    assert f"Next attempt at {task.not_before:%H:%M:%S} UTC" in browser.text
    assert "Cancel the task that has not begun" in browser.text


def test_ic_15_a_batch_says_who_asked_and_how_fast_it_goes(
    browser: Browser, batch_id: str, make: Make, database: Database, settings: Settings
) -> None:
    with make.transaction() as session:
        task = session.query(Task).filter_by(principal_name="bob").one()
        task.status, task.attempts = TaskStatus.SUCCESS, 1
        task.started_at, task.ended_at = clock.now() - timedelta(seconds=30), clock.now()
    browser.open(f"/console/tasks/batches/{batch_id}")
    for words in ("Asked for by", "Identity Center", "Running for", "Tasks per minute", "Remaining, about"):
        assert words in browser.text, words
    run_until_idle(database, settings)
    browser.open(f"/console/tasks/batches/{batch_id}")
    assert "Took" in browser.text


def test_ic_15_tasks_of_an_account_and_of_a_user(browser: Browser, batch_id: str, make: Make) -> None:
    with make.transaction() as session:
        alice = session.query(User).filter_by(user_name="alice").one()
        uin = session.query(Task.account_uin).first()[0]
    browser.open(f"/console/users/{alice.id}").click("Tasks of this user")
    table = browser.page.find("tbody").get_text()
    assert "alice" in table
    assert "bob" not in table
    browser.open(f"/console/accounts/{uin}").click("Tasks in this account")
    assert "bob" in browser.page.find("tbody").get_text()


def test_tasks_are_counted_for_monitoring(browser: Browser, batch_id: str) -> None:
    text = browser.client.get("/metrics").get_data(as_text=True)
    assert 'portal_tasks{status="Queued"} 2.0' in text
    assert 'portal_tasks{status="Canceled"} 0.0' in text
    assert "portal_tasks_waiting_seconds" in text


def test_ic_15_retry_and_cancel_come_back_to_the_page_as_it_was(
    browser: Browser, batch_id: str, make: Make, database: Database, settings: Settings
) -> None:
    dialog = "/console/organization/members/remove?member=1&member=2"
    page = url_for(f"/console/tasks/batches/{batch_id}", wizard="remove", back=dialog)
    browser.open(page).submit("Cancel Grant authorization alice shop")
    assert same_page(browser.url, page)
    assert "The task is canceled." in browser.text
    browser.submit("Cancel the task that has not begun")
    assert same_page(browser.url, page)
    assert browser.page.find("a", string="Completed")["href"] == dialog
    with make.transaction() as session:
        session.query(Task).update({"status": TaskStatus.FAILED, "attempts": 1})
        session.query(Authorization).delete()
    for button in ("Retry Grant authorization bob shop", "Retry the failed task"):
        browser.open(f"{page}&status=Failed").submit(button)
        assert same_page(browser.url, f"{page}&status=Failed")
    browser.open("/console/tasks?status=Queued").submit("Cancel Grant authorization bob shop")
    assert browser.url == "/console/tasks?status=Queued"
