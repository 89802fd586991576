"""The whole product in one of its shapes, every part of it a process that can be killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos import servers
from tests.chaos.processes import Process, bare_environment
from tests.support.processes import free_port, status

SHAPES = {"thread": "", "redis": "redis", "rabbitmq": "rabbitmq"}
"""SQLite with the thread of `portal serve`; PostgreSQL with two `portal worker` and a broker."""
LEASE_SECONDS = 5
_LAUNCH = [sys.executable, str(Path(__file__).with_name("launch.py"))]


@dataclass
class Stack:
    folder: Path
    url: str
    database_url: str
    environment: dict[str, str]
    parts: dict[str, list[Process]]
    helpers: list[Process]

    def command(self, *arguments: str, given: str = "") -> str:
        """One `portal` command to its end; what it printed."""
        done = subprocess.run(
            [*_LAUNCH, *arguments], env=self.environment, cwd=self.folder, input=given, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def processes(self) -> list[Process]:
        return [process for processes in self.parts.values() for process in processes]

    def kill(self, kind: str, random: Random) -> Process | None:
        """What is to be started again; None for one process of the web server, which gunicorn itself replaces."""
        if kind == "web process":
            children = self.parts["web"][0].below()
            if children:
                subprocess.run(["kill", "-KILL", str(random.choice(children))], check=False, capture_output=True)
            return None
        process = random.choice(self.parts[kind])
        process.kill()
        return process

    @property
    def kinds(self) -> list[str]:
        return [*self.parts, "web process"]

    def up(self) -> None:
        for process in self.processes:
            if process.started is None or process.has_ended:
                process.start()
        for process in self.processes:
            process.wait()


@contextmanager
def stack(shape: str, folder: Path) -> Iterator[Stack]:
    """With its servers running and the portal not yet started: the database is empty."""
    parts: dict[str, list[Process]] = {}
    helpers: list[Process] = []
    port = free_port()
    settings = {"data_dir": str(folder), "secret_key": "k" * 40, "log_format": "text", "scim_requests_per_minute": "0"}
    settings |= {"task_lease_seconds": str(LEASE_SECONDS), "base_url": f"http://127.0.0.1:{port}"}
    settings |= {"account_calls_per_second": "50"}
    settings |= {"database_url": f"sqlite:///{folder / 'portal.db'}"}
    if broker := SHAPES[shape]:
        settings["database_url"], database = servers.postgresql(folder)
        settings["broker_url"], (*helpers, node) = getattr(servers, broker)(folder)
        parts |= {"database": [database], "broker": [node]}
    environment = bare_environment(folder, **settings)
    try:
        for process in (*helpers, *(part[0] for part in parts.values())):
            process.start()
        for process in (*helpers, *(part[0] for part in parts.values())):
            process.wait()
        url = settings["base_url"]
        serve = [*_LAUNCH, "serve", "--port", str(port), "--workers", "2"]
        parts["web"] = [Process("web", serve, folder, environment, lambda: status(f"{url}/readyz") == 200)]
        if broker:
            parts["worker"] = [_worker(folder, environment, number) for number in (1, 2)]
        database_url = settings["database_url"].replace("postgresql://", "postgresql+psycopg://")
        yield Stack(folder, url, database_url, environment, parts, helpers)
    finally:
        for process in [process for part in reversed(parts.values()) for process in part] + helpers:
            process.stop()


def _worker(folder: Path, environment: dict[str, str], number: int) -> Process:
    process = Process(f"worker-{number}", [*_LAUNCH, "worker"], folder, environment, lambda: not process.has_ended)
    return process
