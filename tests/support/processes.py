"""The `portal` command as a person starts it: a process of its own, with nothing of ours in its environment."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PORTAL = [sys.executable, "-m", "portal"]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """What a bare login has: a home folder and a path; `settings` are PORTAL_* without the prefix."""
    return {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "PORTAL_DATA_DIR": str(folder),
        **{f"PORTAL_{name.upper()}": value for name, value in settings.items()},
    }


def portal(folder: Path, *arguments: str, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in `folder`."""
    return subprocess.run(
        [*PORTAL, *arguments],
        cwd=folder,
        env=environment(folder, **settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def running(folder: Path, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command that goes on; ended, by its own id, when the block ends."""
    process = subprocess.Popen(
        [*PORTAL, *arguments],
        cwd=folder,
        env=environment(folder, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=45)
        except (subprocess.TimeoutExpired, ValueError):  # ValueError: the output was read and closed already
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[str], *, seconds: float = 60) -> None:
    """Until `url` answers with 200."""
    deadline = time.monotonic() + seconds
    while status(url) != 200:
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.1)


def status(url: str) -> int:
    """0 when nobody listens there."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
