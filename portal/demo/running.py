"""`portal demo`: data, then the portal and the sample IdP as two processes that begin and end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from portal.core.errors import Error
from portal.demo.greeting import greeting
from portal.demo.preparing import prepare
from portal.settings import Settings, SettingsFault, load

START_SECONDS = 60
STOP_SECONDS = 15
CREATED_MEMBERS = "20"  # the sample company has more accounts than the limit for one verified entity lets create


class Stopped(Exception):
    """Somebody asked us to stop."""


def run(*, port: int, idp_port: int) -> None:
    """Blocks until Ctrl+C or SIGTERM; exits with 1 when one of the two processes ends by itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        _check_ports(port, idp_port)
        settings = _settings(port)
        click.echo("Preparing the sample data ...")
        prepared = prepare(settings, idp_port=idp_port)
        _start(processes, port=port, idp_port=idp_port)
        click.echo(greeting(settings, prepared, idp_port=idp_port))
        _fail(f"{_first_that_ended(processes)} has ended; the demo stops.")
    except Stopped:
        click.echo("Stopped.")
    except Error as error:
        _fail(error.message)
    finally:
        _end(processes)


def _settings(port: int) -> Settings:
    """Those of this demo, for us and both processes. Its data lives apart from that of `portal serve`."""
    environment = {
        "PORTAL_DATA_DIR": str(Path(os.environ.get("PORTAL_DATA_DIR") or "var/demo").resolve()),
        "PORTAL_BASE_URL": f"http://127.0.0.1:{port}",
        "PORTAL_BROKER_URL": "",  # tasks run in the portal itself
        "PORTAL_LOG_LEVEL": os.environ.get("PORTAL_LOG_LEVEL") or "WARNING",
        "PORTAL_LOG_FORMAT": os.environ.get("PORTAL_LOG_FORMAT") or "text",
        "PORTAL_LIMITS__CREATED_MEMBERS_PER_ENTITY": CREATED_MEMBERS,
    }
    os.environ.update(environment)
    try:
        stated = load()
        if stated.environment == "production" and "environment" in stated.model_fields_set:
            _fail("PORTAL_ENVIRONMENT is production: the sample identity provider never runs there.")
        os.environ["PORTAL_ENVIRONMENT"] = "demo"
        return load()
    except SettingsFault as fault:
        _fail("\n".join(fault.faults), code=2)


def _check_ports(port: int, idp_port: int) -> None:
    if port == idp_port:
        _fail("The portal and the sample identity provider need two different ports.")
    for option, number in (("--port", port), ("--idp-port", idp_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                _fail(f"Port {number} of this machine is not free. Choose another one with {option}.")


def _start(processes: dict[str, subprocess.Popen[bytes]], *, port: int, idp_port: int) -> None:
    """Returns when both answer."""
    commands = {
        "The sample identity provider": ["portal.demo.idp", str(idp_port)],
        "The portal": ["portal", "serve", "--port", str(port)],
    }
    for name, command in commands.items():
        processes[name] = subprocess.Popen([sys.executable, "-m", *command])  # noqa: S603
    deadline = time.monotonic() + START_SECONDS
    for url in (f"http://127.0.0.1:{idp_port}/metadata", f"http://127.0.0.1:{port}/readyz"):
        while not _answers(url):
            if ended := [name for name, process in processes.items() if process.poll() is not None]:
                _fail(f"{ended[0]} did not start.")
            if time.monotonic() > deadline:
                _fail(f"{url} does not answer after {START_SECONDS} seconds.")
            time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 -- our own http URL
            return bool(answer.status == 200)
    except OSError:
        return False


def _first_that_ended(processes: dict[str, subprocess.Popen[bytes]]) -> str:
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                return name
        time.sleep(0.5)


def _end(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for process in processes.values():
        process.terminate()
    for process in processes.values():
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped


def _fail(message: str, *, code: int = 1) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
