"""`portal serve`: gunicorn with threads.

Each process makes its own app after the fork, and runs the embedded worker.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from gunicorn.app.base import BaseApplication

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- a browser needs an address, not "all of them"


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, *, listening: str, **options: Any) -> None:
        self._listening = listening
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from portal import create_app
        from portal.settings import load
        from portal.web.observing import setup_logging

        settings = load(listening=self._listening)
        setup_logging(settings)
        return create_app(settings)


def serve(*, host: str, port: int, workers: int) -> None:
    """Blocks until a signal ends it; requests under way are finished first (30 s at most)."""
    folder, arbiter = tempfile.mkdtemp(prefix="portal-metrics-"), os.getpid()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        _Server(
            listening=f"http://{_bracketed(_LOOPBACK.get(host, host))}:{port}",
            bind=f"{_bracketed(host)}:{port}",
            workers=workers,
            threads=8,
            worker_class="gthread",
            timeout=60,
            graceful_timeout=30,
            keepalive=15,
            limit_request_line=8190,
            control_socket_disable=True,
            proc_name="portal",
            loglevel="warning",
            post_worker_init=_start_embedded_worker,
            worker_exit=_stop_embedded_worker,
            child_exit=_forget_metrics,
        ).run()
    finally:
        if os.getpid() == arbiter:  # a process that ends comes by here too, while the others go on counting
            shutil.rmtree(folder, ignore_errors=True)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _start_embedded_worker(process: Any) -> None:
    from portal.worker import embedded

    app = process.app.callable
    settings = app.extensions["settings"]
    if settings.embedded_worker and not settings.broker_url:
        process.portal_worker = embedded.start(app.extensions["database"], settings)


def _stop_embedded_worker(_arbiter: Any, process: Any) -> None:
    handle = getattr(process, "portal_worker", None)
    if handle is not None:
        handle.stop()


def _forget_metrics(_arbiter: Any, process: Any) -> None:
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
