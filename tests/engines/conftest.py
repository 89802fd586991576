"""The three ways in which tasks come to run: the thread of `portal serve` on SQLite, and workers of Celery on
PostgreSQL by Redis and by RabbitMQ. All is as in production: rows are committed, the rest happens by itself.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from amqp import ChannelError
from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu import Connection
from redis import Redis
from redis.exceptions import RedisError

from portal.core.access.models import TaskStatus
from portal.core.database import Database
from portal.core.models import Base
from portal.settings import Settings, load
from portal.worker import celery_app, embedded, setup_dispatch
from portal.worker.engine import Turns
from tests.chaos import servers
from tests.support.make import Make
from tests.support.need import need
from tests.support.provisioning import Provisioning

REDIS = os.environ.get("PORTAL_TEST_REDIS", "redis://127.0.0.1:6379/8")
RABBITMQ = os.environ.get("PORTAL_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//")
ENGINES = ("thread", "redis", "rabbitmq")
QUEUE = f"portal-test-{os.getpid()}"
TABLES = Base.metadata.sorted_tables


@dataclass(frozen=True)
class Running:
    database: Database
    settings: Settings


class Engine:
    """An organization whose tasks run by themselves, somewhere else."""

    def __init__(self, house: Provisioning) -> None:
        self.house = house

    def settled(self, batch_id: str = "") -> list[str]:
        """The results of the batch when no task waits or runs any more."""
        self.until(lambda: not {TaskStatus.QUEUED, TaskStatus.RUNNING} & {task.status for task in self.house.tasks()})
        return self.house.results(batch_id) if batch_id else []

    def until(self, holds: Callable[[], Any]) -> None:
        for _ in range(2400):
            if holds():
                return
            time.sleep(0.025)
        raise AssertionError([f"{task.type} {task.status} {task.reason}" for task in self.house.tasks()])


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    client = Redis.from_url(REDIS)
    try:
        client.ping()
    except RedisError:
        need(False, "Redis")
    yield REDIS
    client.delete(QUEUE)
    client.close()


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """The one of this machine, or one of our own."""
    try:
        with Connection(RABBITMQ, connect_timeout=2) as connection:
            connection.connect()
            yield RABBITMQ
            connection.default_channel.queue_delete(QUEUE)
            connection.default_channel.exchange_delete(QUEUE)
        return
    except OSError:
        missing = servers.missing(broker="rabbitmq")
        need(not missing, missing)
    with tempfile.TemporaryDirectory(prefix="portal-rabbitmq-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        url, processes = servers.rabbitmq(Path(name))
        try:
            for process in processes:
                process.start()
                process.wait()
            yield url
        finally:
            for process in reversed(processes):
                process.stop()


@pytest.fixture(scope="module", params=ENGINES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With everything that a process has which runs tasks, looking around more often."""
    with pytest.MonkeyPatch.context() as patched, _running(request, tmp_path_factory) as found:
        patched.setattr(embedded, "SWEEP_SECONDS", 0.5)
        if found.settings.broker_url:
            with by_celery(found, patched, looks_around=True):
                yield found
        else:
            handle = embedded.start(found.database, found.settings)
            yield found
            handle.stop()


@pytest.fixture
def engine(running: Running) -> Engine:
    return _engine(running)


@pytest.fixture(params=["redis", "rabbitmq"])
def messages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Workers that do only what messages tell them."""
    with (
        pytest.MonkeyPatch.context() as patched,
        _running(request, tmp_path_factory) as found,
        by_celery(found, patched, looks_around=False),
    ):
        yield _engine(found)


@contextmanager
def by_celery(found: Running, monkeypatch: pytest.MonkeyPatch, *, looks_around: bool) -> Iterator[None]:
    """As `portal worker` does it, on a queue of this test run."""
    original = celery_app.make_celery

    def make_celery(settings: Settings) -> Celery:
        app = original(settings)
        app.conf.task_default_queue = QUEUE
        return app

    monkeypatch.setattr(celery_app, "make_celery", make_celery)
    setup_dispatch(found.database, found.settings)
    app, turns = celery_app.make_celery(found.settings), Turns(found.database, found.settings)
    celery_app.register(app, turns)
    handle = embedded.begin(turns, int(looks_around), chores=lambda _stopping: None)
    options: dict[str, Any] = {"pool": "threads", "concurrency": 2, "perform_ping_check": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Celery's own, about what it will do in its next version
            with start_worker(app, **options, shutdown_timeout=30):
                yield
    finally:
        handle.stop()


@contextmanager
def _running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("engine")
    own: dict[str, Any] = {"data_dir": folder, "base_url": "http://localhost", "log_format": "text"}
    own |= {"secret_key": "a secret key of the tests, long enough", "account_calls_per_second": 0}
    if request.param == "thread":
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "portal.db")
        database = Database(f"sqlite:///{folder / 'portal.db'}")
    else:
        own["broker_url"] = request.getfixturevalue(f"{request.param}_url")
        database = Database(request.getfixturevalue("postgresql_url"))
    yield Running(database, load(environment="test", database_url=database.url, **own))
    database.dispatch = None
    database.dispose()


def _engine(running: Running) -> Engine:
    """Nothing runs now; the rows of the test before go."""
    with running.database.transaction() as session:
        for table in reversed(TABLES):
            session.execute(table.delete())
    return Engine(Provisioning(Make(running.database, running.settings.secret_key), running.settings))


def waiting(url: str) -> int:
    """Messages in the queue; Redis knows no queue without any."""
    with Connection(url) as connection:
        try:
            return connection.default_channel.queue_declare(QUEUE, passive=True).message_count
        except ChannelError:
            return 0
