"""The same tasks by Celery and Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import worker_shutting_down
from redis import Redis
from redis.exceptions import RedisError

from portal.settings import Settings
from portal.worker import celery_app, embedded, setup_dispatch
from portal.worker.celery_app import WAKE, make_celery, register, work
from portal.worker.engine import Turns
from tests.support.need import need
from tests.support.provisioning import Provisioning

REDIS = os.environ.get("PORTAL_TEST_REDIS", "redis://127.0.0.1:6379/9")


@pytest.fixture
def with_broker(settings: Settings) -> Iterator[Settings]:
    client = Redis.from_url(REDIS)
    try:
        client.ping()
    except RedisError:
        need(False, "Redis")
    client.delete("portal")
    settings.broker_url = REDIS
    yield settings
    client.delete("portal")
    client.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_committed_batch_is_run_by_a_worker_of_the_broker(house: Provisioning, with_broker: Settings) -> None:
    setup_dispatch(house.database, with_broker)
    app = make_celery(with_broker)
    register(app, Turns(house.database, with_broker))
    accounts = [house.account(), house.account()]
    batch = house.grant(accounts, [house.user(), house.user(), house.user()], [house.configuration()])
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False, shutdown_timeout=20):
        for _ in range(200):
            if set(house.results(batch)) == {"Success"}:
                break
            time.sleep(0.05)
    assert house.results(batch) == ["Success"] * 6
    house.database.dispatch = None


def test_a_broker_that_is_away_does_not_fail_the_request(house: Provisioning, settings: Settings) -> None:
    settings.broker_url = "redis://127.0.0.1:1/0"
    setup_dispatch(house.database, settings)
    batch = house.grant([house.account()], [house.user()], [house.configuration()])
    assert house.results(batch) == ["Queued"]
    assert house.done(batch) == ["Success"]
    house.database.dispatch = None


def test_a_message_that_got_lost_costs_a_moment(house: Provisioning) -> None:
    """One thread of every worker looks for itself."""
    house.database.dispatch = None
    batch = house.grant([house.account()], [house.user()], [house.configuration()])
    looking = embedded.begin(Turns(house.database, house.settings), 1, chores=lambda _stopping: None)
    try:
        for _ in range(200):
            if house.results(batch) == ["Success"]:
                break
            time.sleep(0.05)
        assert house.results(batch) == ["Success"]
    finally:
        looking.stop()


def test_whoever_sees_more_than_one_account_wakes_one_more(house: Provisioning) -> None:
    house.grant([house.account(), house.account(), house.account()], [house.user()], [house.configuration()])
    woken: list[int] = []
    assert Turns(house.database, house.settings).run(more=lambda: woken.append(1)) == 3
    assert woken == [1]
    assert Turns(house.database, house.settings).run(more=lambda: woken.append(1)) == 0
    assert woken == [1]


def test_a_message_is_not_worked_on_for_long(house: Provisioning, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that waits too long for its acknowledgement closes the channel; another message goes on instead."""
    sent: list[Celery] = []
    monkeypatch.setattr(celery_app, "send", sent.append)
    batch = house.grant([house.account()], [house.user()], [house.configuration()])
    app = make_celery(house.settings)
    register(app, Turns(house.database, house.settings))
    with monkeypatch.context() as patched:
        patched.setattr(celery_app, "_TURN_SECONDS", -1.0)
        app.tasks[WAKE]()
    assert (house.results(batch), sent) == (["Queued"], [app])
    app.tasks[WAKE]()
    assert (house.results(batch), sent) == (["Success"], [app])


def test_a_worker_that_ends_by_itself_says_so_to_who_starts_it_again(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "chores", lambda *_args: lambda _stopping: None)
    monkeypatch.setattr(Celery, "worker_main", lambda *_args: None)
    with pytest.raises(SystemExit, match="without being asked to"):
        work(house.database, house.settings)

    def asked(*_args: object) -> None:
        worker_shutting_down.send(sender=None)

    monkeypatch.setattr(Celery, "worker_main", asked)
    work(house.database, house.settings)
