"""`portal serve` as a process: what slow clients and slow answers do to the others."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from portal.core.database import Database
from portal.core.space.models import Space
from portal.settings import Settings
from tests.support.make import Make
from tests.support.processes import free_port, running, status, wait_for
from tests.support.scim import make_secret


@pytest.mark.parametrize(
    "sent", ["Host: x\r\nX-Slow: ", "Content-Length: 100\r\nHost: x\r\n\r\n{"], ids=["head", "body"]
)
def test_requests_that_never_end_hold_the_threads_for_a_while_only(tmp_path: Path, sent: str) -> None:
    port = free_port()
    options = ("--port", str(port), "--workers", "1")
    with running(tmp_path, "serve", *options, request_seconds="1") as process, ExitStack() as stack:
        wait_for(f"http://127.0.0.1:{port}/healthz", process)
        stalled = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=8)) for _ in range(12)]
        for client in stalled:
            client.sendall(f"POST /login/acme HTTP/1.1\r\n{sent}".encode())
        begun = time.monotonic()
        dripping = threading.Thread(target=_drip, args=(stalled[0], begun + 4))
        dripping.start()
        assert status(f"http://127.0.0.1:{port}/healthz") == 200
        assert time.monotonic() - begun < 4
        for client in stalled[1:]:
            assert client.recv(4096)[:10] in (b"", b"HTTP/1.1 4")
        dripping.join()
        process.terminate()
        assert "Traceback" not in process.communicate(timeout=45)[0]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_answer_that_takes_longer_says_that_the_connection_ends(
    settings: Settings, database: Database, make: Make, space: Space
) -> None:
    headers = {"Authorization": f"Bearer {make_secret(make, space)}", "Content-Type": "application/scim+json"}
    port = free_port()
    serve = ("serve", "--port", str(port), "--workers", "1")
    with (
        running(settings.data_dir, *serve, request_seconds="1", secret_key=settings.secret_key) as process,
        ExitStack() as stack,
    ):
        wait_for(f"http://127.0.0.1:{port}/healthz", process)
        client = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)))
        with database.transaction() as session:
            session.execute(select(1))
            client.request("POST", "/scim/v2/Users", json.dumps({"userName": "ann"}), headers)
            time.sleep(3)
        answer = client.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (201, "close")
        answer.read()
        client.request("GET", "/scim/v2/Users", headers=headers)
        answer = client.getresponse()
        assert (json.loads(answer.read())["totalResults"], answer.headers["Connection"]) == (1, "keep-alive")
        process.terminate()
        process.communicate(timeout=45)


def _drip(client: socket.socket, end: float) -> None:
    """A client that is never silent for long."""
    with suppress(OSError):
        while time.monotonic() < end:
            client.sendall(b"x")
            time.sleep(0.1)
