"""The worker on many machines: messages through the broker wake it, and it runs what the embedded threads would run.

The rows stay the truth: a message says only that there is something to do, and whoever gets it takes the account whose
turn it is. So a message that comes twice or too late does nothing, and one that is lost or cannot be sent costs two
seconds: one thread of every worker looks for itself. Whoever sees more than it can do wakes one more. Nobody works on
one message for long: RabbitMQ closes the channel of who has not acknowledged one for half an hour (consumer_timeout).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.signals import worker_shutting_down

from portal.core.database import Database
from portal.settings import Settings
from portal.worker import embedded
from portal.worker.engine import Turns

log = logging.getLogger(__name__)

WAKE = "portal.wake"
_TURN_SECONDS = 60.0


def make_celery(settings: Settings) -> Celery:
    app = Celery("portal", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_default_queue="portal",
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,  # its queue shuts a second worker on the same machine out of RabbitMQ
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_timeout": 10, "socket_connect_timeout": 5},
    )
    return app


def dispatcher(settings: Settings) -> Callable[[list[str]], None]:
    """For `database.dispatch`. The request does not wait: a broker that is away takes seconds to say so."""
    app = make_celery(settings)

    def dispatch(_ids: list[str]) -> None:
        threading.Thread(name="portal-dispatch", daemon=True, target=send, args=(app,)).start()

    return dispatch


def send(app: Celery) -> None:
    """Wake one thread of some worker. A broker that does not answer is logged and no failure."""
    try:
        app.send_task(WAKE, retry=False)
    except Exception:
        log.exception("the broker does not take messages; the tasks wait for a worker to look")


def register(app: Celery, turns: Turns, stopping: Callable[[], bool] = lambda: False) -> None:
    """Let `app` run tasks."""

    @app.task(name=WAKE, shared=False)  # type: ignore[untyped-decorator]
    def wake() -> None:
        end = time.monotonic() + _TURN_SECONDS
        turns.run(lambda: stopping() or time.monotonic() > end, more=lambda: send(app))
        if time.monotonic() > end and not stopping():
            send(app)


def work(database: Database, settings: Settings) -> None:
    """Runs until it is told to stop; then what is under way in each account is finished first.

    Raises SystemExit when it ended by itself, so that who looks after the process starts it again.
    """
    app, turns = make_celery(settings), Turns(database, settings)
    looking = embedded.begin(turns, 1, chores=embedded.chores(database, settings), more=lambda: send(app))
    register(app, turns, looking.stopping.is_set)

    def stop(**_signal: Any) -> None:
        looking.ask_to_stop()

    worker_shutting_down.connect(stop)
    options = ["--pool=threads", f"--concurrency={settings.threads}", "--loglevel=WARNING"]
    try:
        app.worker_main(["worker", *options, "--without-gossip", "--without-mingle"])
        asked = looking.stopping.is_set()
    finally:
        looking.stop()
    if not asked:
        raise SystemExit("The worker stopped without being asked to.")
