"""The worker on many machines: a message per task through the broker, running the same function as the embedded thread.

The rows stay the truth: a message that comes twice, or finds its account busy, does nothing. Whoever ends a task sends
the next ones of its account, and a sweep in every worker sends again what a crash or a lost message left behind.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from celery import Celery

from portal.core.database import Database
from portal.fetching import from_settings
from portal.settings import Settings
from portal.worker import engine
from portal.worker.checking import Checking
from portal.worker.housekeeping import Housekeeping
from portal.worker.refreshing import Refreshing

log = logging.getLogger(__name__)

RUN = "portal.run"
SWEEP_SECONDS = 10.0


def make_celery(settings: Settings) -> Celery:
    app = Celery("portal", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_default_queue="portal",
        worker_prefetch_multiplier=4,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"socket_timeout": 10, "socket_connect_timeout": 5},
    )
    return app


def dispatcher(settings: Settings) -> Callable[[list[str]], None]:
    """For `database.dispatch`. The request does not wait: a broker that is away takes seconds to say so."""
    app = make_celery(settings)

    def dispatch(ids: list[str]) -> None:
        threading.Thread(name="portal-dispatch", daemon=True, target=send, args=(app, ids)).start()

    return dispatch


def send(app: Celery, ids: list[str]) -> None:
    """A broker that does not answer is logged and no failure: the sweep sends again."""
    try:
        with app.producer_or_acquire() as producer:
            for task_id in ids:
                app.send_task(RUN, args=[task_id], producer=producer, retry=False)
    except Exception:
        log.exception("the broker does not take messages; %d tasks wait for the sweep", len(ids))


def register(app: Celery, database: Database, settings: Settings) -> None:
    """Let `app` run tasks."""

    @app.task(name=RUN, shared=False)  # type: ignore[untyped-decorator]
    def run_task(task_id: str) -> None:
        if engine.run(task_id, database, settings):
            send(app, engine.due(database, account_uin=engine.account_of(database, task_id))[:1])


def work(database: Database, settings: Settings) -> None:
    """Runs until it is told to stop."""
    app = make_celery(settings)
    register(app, database, settings)
    stopping = threading.Event()
    housekeeping = Housekeeping(database, settings)
    refreshing = Refreshing(database, from_settings(settings))
    checking = Checking(database, settings)

    def sweep() -> None:
        while not stopping.wait(SWEEP_SECONDS):
            try:
                send(app, engine.due(database))
                housekeeping.run_if_due(stopping.is_set)
                refreshing.start_if_due(stopping.is_set)
                checking.start_if_due(stopping.is_set)
            except Exception:
                log.exception("the sweep cannot look for tasks now; it tries again")

    threading.Thread(name="portal-sweep", daemon=True, target=sweep).start()
    try:
        app.worker_main(["worker", "--pool=threads", "--loglevel=WARNING", "--without-gossip", "--without-mingle"])
    finally:
        stopping.set()
