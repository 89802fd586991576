"""`portal serve`: gunicorn with threads.

Each process makes its own app after the fork, and runs the embedded worker.
"""

from __future__ import annotations

import gc
import os
import shutil
import socket
import tempfile
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import TConn, ThreadWorker

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


class _Worker(ThreadWorker):  # type: ignore[misc]
    """Threads that wait for the rest of a request at most `request_seconds`, however slowly it drips in.

    gunicorn itself waits for ever, so that a handful of half-sent requests would hold every thread. What has arrived
    is still read after the reading side is shut, and an answer that takes longer is still written; it says that the
    connection ends with it.
    """

    request_seconds = 15

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reading: dict[TConn, float] = {}

    def handle(self, conn: TConn) -> Any:
        """In a thread: the time begins when one is free to read, not while the request waits for it."""
        self._reading[conn] = time.monotonic() + self.request_seconds
        return super().handle(conn)

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        self._reading.pop(conn, None)
        super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """gunicorn calls this about once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, latest in list(self._reading.items()) if latest < now]:
            self._reading.pop(conn, None)
            if conn.parser and conn.parser.mesg:
                conn.parser.mesg.force_close()
            with suppress(OSError):  # the client has gone already
                conn.sock.shutdown(socket.SHUT_RD)


def serve(*, host: str, port: int, workers: int, request_seconds: int) -> None:
    """Blocks until a signal ends it; requests under way are finished first (30 s at most)."""
    _Worker.request_seconds = request_seconds
    folder, arbiter = tempfile.mkdtemp(prefix="portal-metrics-"), os.getpid()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        _Server(
            listening=f"http://{_bracketed(_LOOPBACK.get(host, host))}:{port}",
            bind=f"{_bracketed(host)}:{port}",
            workers=workers,
            threads=8,
            worker_class=_Worker,
            timeout=60,
            graceful_timeout=30,
            keepalive=15,
            limit_request_line=8190,
            control_socket_disable=True,
            proc_name="portal",
            loglevel="warning",
            post_worker_init=_begin_work,
            worker_exit=_stop_embedded_worker,
            child_exit=_forget_metrics,
        ).run()
    finally:
        if os.getpid() == arbiter:  # a process that ends comes by here too, while the others go on counting
            shutil.rmtree(folder, ignore_errors=True)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _begin_work(process: Any) -> None:
    """What was loaded stays: the garbage collector need not walk through it again and again, after every few rows."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    _start_embedded_worker(process)


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
