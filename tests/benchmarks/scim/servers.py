"""Ours, the floor and the peers as processes of their own on the loopback, each with an empty database of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from tests.benchmarks.scim.client import Client
from tests.conftest import POSTGRESQL
from tests.support.need import need
from tests.support.processes import free_port, wait_for

ROOT = Path(__file__).parents[3]
SECRET = "a secret key of the benchmarks, long enough"


@dataclass
class Server:
    name: str
    client: Client
    process: subprocess.Popen[str]
    url: str = ""

    def workers(self) -> list[int]:
        return children(self.process.pid)

    def memory(self) -> float:
        """Resident memory of all its processes together, MiB; shared pages count once per process."""
        pages = sum(
            int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in [self.process.pid, *self.workers()]
        )
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def processor_seconds(self) -> float:
        ticks = 0
        for pid in self.workers():
            words = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            ticks += int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def database_url(kind: str, folder: Path) -> Iterator[str]:
    """An empty database of our own, gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    server = make_url(POSTGRESQL)
    address = server.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        admin = psycopg.connect(address, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        need(False, "PostgreSQL")
        raise
    name = f"portal_bench_{os.getpid()}_{folder.name.replace('-', '_')}"
    admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[call-overload]
    admin.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[call-overload]
        admin.close()


@contextmanager
def ours(kind: str, folder: Path) -> Iterator[Server]:
    """`portal serve --workers 2`, with a space and a credential."""
    with ExitStack() as stack:
        url = stack.enter_context(database_url(kind, folder))
        environment = {
            "PORTAL_DATA_DIR": str(folder),
            "PORTAL_DATABASE_URL": url,
            "PORTAL_SECRET_KEY": SECRET,
            "PORTAL_LIMITS__USERS_PER_SPACE": "1000000",
            "PORTAL_LIMITS__GROUPS_PER_SPACE": "1000000",
            "PORTAL_SCIM_REQUESTS_PER_MINUTE": "0",
        }
        portal = [sys.executable, "-m", "portal"]
        names = ["--organization", "Bench", "--space", "bench", "--admin", "root"]
        _command([*portal, "init", *names], environment, given="a good password\n")
        secret = _command([*portal, "scim-credential", "create", "--space", "bench"], environment).strip()
        port = free_port()
        arguments = [*portal, "serve", "--port", str(port), "--workers", "2"]
        process = stack.enter_context(_running(arguments, environment, folder))
        _await(process, port, "/healthz", 2)
        client = Client(port, f"Authorization: Bearer {secret}\r\n", prefix="/scim/v2")
        yield _server("ours", client, process, url)


@contextmanager
def floor(kind: str, folder: Path) -> Iterator[Server]:
    with database_url(kind, folder) as url, _gunicorn("floor", folder, {"BENCH_DATABASE_URL": url}) as server:
        yield server


@contextmanager
def scim2_server(_kind: str, folder: Path) -> Iterator[Server]:
    """Its store is the memory of one process, so there is one worker only."""
    folder.mkdir(parents=True, exist_ok=True)
    with _gunicorn("scim2_server", folder, {}, workers=1, prefix="/v2") as server:
        yield server


@contextmanager
def django_scim2(kind: str, folder: Path) -> Iterator[Server]:
    with database_url(kind, folder) as url:
        settings = {"BENCH_DATABASE_URL": url}
        with _gunicorn("django_scim2", folder, settings, prefix="/scim/v2") as server:
            yield server


@contextmanager
def _gunicorn(
    name: str, folder: Path, environment: dict[str, str], *, workers: int = 2, prefix: str = ""
) -> Iterator[Server]:
    """The same kind of workers, threads and keep-alive as `portal serve` has."""
    port = free_port()
    options = f"-k gthread --workers {workers} --threads 8 --keep-alive 15 --log-level warning --no-control-socket"
    arguments = [sys.executable, "-m", "gunicorn", *options.split(), "-b", f"127.0.0.1:{port}"]
    module = f"tests.benchmarks.peers.{name}"
    _command([sys.executable, "-m", module], environment)
    with _running([*arguments, f"{module}:app"], environment, folder) as process:
        _await(process, port, f"{prefix}/Users", workers)
        yield _server(
            name.replace("_", "-"), Client(port, prefix=prefix), process, environment.get("BENCH_DATABASE_URL", "")
        )


def _server(name: str, client: Client, process: subprocess.Popen[str], url: str) -> Server:
    server = Server(name, client, process, url)
    client.workers = server.workers
    return server


def _environment(own: dict[str, str]) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **own}


def _command(arguments: list[str], environment: dict[str, str], given: str = "") -> str:
    done = subprocess.run(
        arguments, env=_environment(environment), input=given, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _running(arguments: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            arguments, env=_environment(environment), stdout=log, stderr=log, text=True, cwd=ROOT
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[str], port: int, path: str, workers: int) -> None:
    wait_for(f"http://127.0.0.1:{port}{path}", process)
    while len(children(process.pid)) < workers:
        time.sleep(0.05)
    time.sleep(0.5)
