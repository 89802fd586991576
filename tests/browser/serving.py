"""The product as processes of its own, on free ports, with a data folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen


@dataclass(frozen=True)
class Site:
    url: str
    idp_url: str
    data_dir: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**own: str) -> dict[str, str]:
    """That of the tests without their settings of the portal."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | own


def run(*arguments: str, data_dir: Path, given: str = "") -> str:
    """One `portal` command to its end; what it printed. `given` is its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "portal", *arguments],
        env=environment(PORTAL_DATA_DIR=str(data_dir)),
        input=given,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@contextmanager
def served(*arguments: str, data_dir: Path, until: Sequence[str]) -> Iterator[None]:
    """A `portal` command that goes on, from when the addresses `until` answer."""
    with (data_dir / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "portal", *arguments],
            env=environment(PORTAL_DATA_DIR=str(data_dir)),
            stdout=log,
            stderr=log,
        )
    try:
        for url in until:
            _wait_for(url, process, data_dir / "log")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer: {log.read_text()}")
