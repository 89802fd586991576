"""Redis, PostgreSQL and RabbitMQ of our own, on loopback and free ports: they are killed, the shared ones are not."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import psycopg

from tests.chaos.processes import Process, as_nobody, bare_environment, give_to_nobody
from tests.support.processes import free_port

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def postgresql_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def missing(*, broker: str) -> str:
    """The name of a program that a stack with this broker needs and that is not here."""
    if not broker:
        return ""
    if postgresql_programs() is None:
        return "PostgreSQL (initdb)"
    if broker == "redis" and not shutil.which("redis-server"):
        return "redis-server"
    if broker == "rabbitmq" and not (RABBITMQ.exists() and shutil.which("epmd")):
        return "rabbitmq-server"
    return ""


def redis(folder: Path) -> tuple[str, list[Process]]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    answers = lambda: _says(port, b"PING\r\n").startswith(b"+PONG")  # noqa: E731
    return f"redis://127.0.0.1:{port}/0", [Process("redis", command, folder, bare_environment(folder), answers)]


def rabbitmq(folder: Path) -> tuple[str, list[Process]]:
    """A node and the name service that it asks, which is its own as well. The last one is the broker."""
    port, names, distribution = free_port(), free_port(), free_port()
    home = folder / "rabbitmq"
    home.mkdir()
    give_to_nobody(home)
    environment = bare_environment(home) | {
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"chaos{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(home / "none"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    command = ["epmd", "-port", str(names), "-address", "127.0.0.1"]
    service = Process("epmd", command, home, environment, lambda: _listens(names), unprivileged=True)
    answers = lambda: _says(port, b"AMQP\x00\x00\x09\x01") != b""  # noqa: E731
    node = Process("rabbitmq", [str(RABBITMQ)], home, environment, answers, unprivileged=True)
    return f"amqp://guest:guest@127.0.0.1:{port}//", [service, node]


def postgresql(folder: Path) -> tuple[str, Process]:
    programs, port, home = postgresql_programs(), free_port(), folder / "postgresql"
    assert programs is not None
    home.mkdir()
    give_to_nobody(home)
    initdb = [str(programs / "initdb"), "-D", str(home / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    command = [*as_nobody(), *initdb, "--locale=C", "--no-sync"]
    subprocess.run(command, check=True, capture_output=True, cwd=home)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    # fsync guards against the end of the machine, not of the processes: what was written is in the system's memory
    options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=100"]
    run = [str(programs / "postgres"), "-D", str(home / "data"), "-p", str(port)]
    run += [part for option in options for part in ("-c", option)]

    def answers() -> bool:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    return url, Process("postgresql", run, home, bare_environment(home), answers, unprivileged=True)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _says(port: int, greeting: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(greeting)
            return connection.recv(64)
    except OSError:
        return b""
