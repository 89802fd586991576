"""Processes that are killed without a warning, with everything below them, and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds until what was started must answer."""


@dataclass
class Process:
    """`answers` says whether it does its work. What ends while it starts is started again, as systemd would."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    answers: Callable[[], bool]
    unprivileged: bool = False
    started: subprocess.Popen[bytes] | None = None
    ready: bool = False
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / f"{self.name}.log"

    def start(self) -> None:
        command = [*(as_nobody() if self.unprivileged else ()), *self.command]
        self.ready = False
        with self.log.open("ab") as log:
            self.started = subprocess.Popen(
                command, cwd=self.folder, env=dict(self.environment), stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            assert time.monotonic() < deadline, f"{self.name} does not answer: {self.tail()}"
            if self.has_ended:
                self.start()
            time.sleep(0.05)
        self.ready = True

    @property
    def has_ended(self) -> bool:
        return self.started is not None and self.started.poll() is not None

    def kill(self) -> None:
        """All of it in one moment, as when the machine goes."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        if self.started is not None and not self.has_ended:
            self.started.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.started.wait(10)
        self._end(signal.SIGKILL)

    def below(self) -> list[int]:
        """The ids of its children and of theirs."""
        return _below(self.started.pid) if self.started else []

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def _end(self, number: signal.Signals) -> None:
        if self.started is None:
            return
        for pid in [self.started.pid, *self.below()]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        self.started.wait(10)


def bare_environment(folder: Path, **settings: str) -> dict[str, str]:
    """Nothing but a home folder, a path, this checkout, and PORTAL_* settings (named without the prefix)."""
    return {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": str(ROOT),
        **{f"PORTAL_{name.upper()}": value for name, value in settings.items()},
    }


def as_nobody() -> tuple[str, ...]:
    """For servers that refuse to run as root."""
    return ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.geteuid() == 0 else ()


def give_to_nobody(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")


def _below(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, look = [], [pid]
    while look:
        children = parents.get(look.pop(), [])
        found += children
        look += children
    return found
