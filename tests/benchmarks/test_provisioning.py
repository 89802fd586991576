"""Tasks a second, against the same connector calls in a bare loop and against bare updates of single rows.

PORTAL_BENCH_ACCOUNTS and PORTAL_BENCH_PEOPLE (default 10 and 10; 100 and 100 is the full size) make the triples of one
permission configuration; PORTAL_BENCH_ROLES (default 4 configurations) times five accounts each are deployments.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url

from portal.clouds import RoleSpec, connector_for
from portal.core.access import deployments
from portal.core.access.models import Authorization, AuthorizationStatus, Configuration, Task, TaskStatus
from portal.core.access.queries import entries_of_user
from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.core.directory.models import User
from portal.core.organization.models import Account
from portal.core.paging import Search
from portal.migrations import upgrade
from portal.settings import Settings, load
from portal.worker import embedded, setup_dispatch
from portal.worker.kinds import provider_of
from tests.support.make import Make
from tests.support.processes import running
from tests.support.provisioning import Provisioning

pytestmark = pytest.mark.benchmark
ACCOUNTS = int(os.environ.get("PORTAL_BENCH_ACCOUNTS", "10"))
PEOPLE = int(os.environ.get("PORTAL_BENCH_PEOPLE", "10"))
ROLES = int(os.environ.get("PORTAL_BENCH_ROLES", "4"))
POSTGRESQL = os.environ.get("PORTAL_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("PORTAL_BENCH_REDIS", "redis://127.0.0.1:6379/8")
SECRET = "a secret key of the benchmarks, long enough"


@pytest.fixture
def url() -> Iterator[str]:
    """A PostgreSQL database of our own, with the durability of a real one."""
    server, name = make_url(POSTGRESQL), f"portal_bench_{secrets.token_hex(4)}"
    with psycopg.connect(
        server.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
    ) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class Bench:
    def __init__(self, url: str) -> None:
        self.database = Database(url)
        upgrade(self.database)
        self.settings: Settings = load(
            environment="test", database_url=url, secret_key=SECRET, base_url="http://localhost", **UNLIMITED
        )
        self.house = Provisioning(Make(self.database, SECRET), self.settings)
        self.people = [self.house.user() for _ in range(PEOPLE)]
        self._number = 0

    def accounts(self, count: int) -> list[Account]:
        return [self.house.account() for _ in range(count)]

    def configuration(self) -> Configuration:
        self._number += 1
        return self.house.configuration(f"role{self._number}")

    def bare_calls(self, accounts: list[Account], configurations: list[Configuration]) -> float:
        """The calls into accounts of the same size, and nothing else; seconds."""
        with self.database.transaction() as session:
            provider = provider_of(session, self.house.space, base_url=self.settings.base_url)
        begin = time.perf_counter()
        for account in accounts:
            connector = connector_for(self.database, account, base_url=self.settings.base_url)
            provider.ensure(connector)
            for configuration in configurations:
                connector.ensure_role(
                    RoleSpec(
                        name=configuration.role_name,
                        description="",
                        provider_name=provider.name,
                        session_duration=3600,
                        policies=("ReadOnlyAccess",),
                        managed_by=self.house.space.id,
                    )
                )
        return time.perf_counter() - begin

    def bare_updates(self, count: int) -> float:
        """Transactions that each update one row; seconds."""
        with self.database.engine.connect() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS bare (id integer PRIMARY KEY, state integer)"))
            connection.execute(
                text("INSERT INTO bare SELECT n, 0 FROM generate_series(1, :n) n ON CONFLICT DO NOTHING"), {"n": count}
            )
            connection.commit()
            begin = time.perf_counter()
            for number in range(1, count + 1):
                connection.execute(text("UPDATE bare SET state = state + 1 WHERE id = :id"), {"id": number})
                connection.commit()
            return time.perf_counter() - begin

    def finish(self, batch_id: str) -> tuple[float, float | None, float | None]:
        """Seconds until all is done, until the portal showed a user the first new grant, and all of them."""
        begin, first, last = time.perf_counter(), None, None
        watched, wanted = self.people[0], self._wanted(batch_id, self.people[0])
        while True:
            with self.database.transaction(write=False) as session:
                shown = self._shown(session, watched)
                left = session.scalar(
                    select(func.count()).where(
                        Task.batch_id == batch_id, Task.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING])
                    )
                )
            now = time.perf_counter() - begin
            first = now if first is None and shown > self.before else first
            last = now if last is None and wanted and shown >= self.before + wanted else last
            if not left:
                return now, first, last
            time.sleep(0.02)

    def remember(self) -> None:
        """What the portal shows now is no new grant."""
        with self.database.transaction(write=False) as session:
            self.before = self._shown(session, self.people[0])

    def _wanted(self, batch_id: str, user: User) -> int:
        return len(self.house.rows(select(Task.id).where(Task.batch_id == batch_id, Task.principal_id == user.id)))

    def _shown(self, session: object, user: User) -> int:
        return entries_of_user(session, user, Search()).total  # type: ignore[arg-type]


UNLIMITED = {"account_calls_per_second": 0}


@contextmanager
def threads(bench: Bench, count: int) -> Iterator[list[int]]:
    bench.settings.worker_threads = count
    handle = embedded.start(bench.database, bench.settings)
    try:
        yield [os.getpid()]
    finally:
        handle.stop()
        bench.database.dispatch = None


@contextmanager
def workers(bench: Bench, count: int, folder: Path) -> Iterator[list[int]]:
    client = Redis.from_url(REDIS)
    client.delete("portal")
    with ExitStack() as stack:
        started = []
        for number in range(count):
            home = folder / f"worker{number}"
            home.mkdir(exist_ok=True)
            process = stack.enter_context(
                running(
                    home,
                    "worker",
                    database_url=bench.database.url,
                    broker_url=REDIS,
                    secret_key=SECRET,
                    base_url="http://localhost",
                    account_calls_per_second="0",
                )
            )
            started.append(process)
            threading.Thread(target=_drain, args=(process,), daemon=True).start()
        _wait_until_ready(bench, client, started)
        yield [process.pid for process in started]
    client.delete("portal")
    client.close()


def _drain(process: subprocess.Popen[str]) -> None:
    for _line in process.stdout or ():
        pass


def _wait_until_ready(bench: Bench, client: Redis, started: list[subprocess.Popen[str]]) -> None:
    """The workers run: they have done something, and take messages."""
    batch = bench.house.grant(bench.accounts(1), bench.people[:1], [bench.configuration()])
    while set(bench.house.results(batch)) != {"Success"} or client.llen("portal"):
        assert all(process.poll() is None for process in started), "a worker did not start"
        time.sleep(0.05)
    time.sleep(2)


def memory(pids: list[int]) -> float:
    """Resident, MiB, of all together."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_triples_and_deployments_a_second(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(url)
    triples, pairs = ACCOUNTS * PEOPLE, ROLES * ACCOUNTS
    calls = bench.bare_calls(bench.accounts(ACCOUNTS), [bench.configuration()])
    updates = bench.bare_updates(triples)
    roles = [bench.configuration() for _ in range(ROLES)]
    role_calls = bench.bare_calls(bench.accounts(ACCOUNTS), roles)
    lines = [
        f"{triples} triples ({PEOPLE} users x {ACCOUNTS} accounts): bare calls {calls:.2f} s,"
        f" bare updates {updates:.2f} s ({triples / updates:.0f}/s);"
        f" {pairs} deployments: bare calls {role_calls:.2f} s ({pairs / role_calls:.0f}/s)"
    ]
    for count in (0, 1, 2, 4):
        name = f"{count} workers, Redis" if count else "1 embedded thread"
        bench.settings.broker_url = REDIS if count else ""
        with workers(bench, count, tmp_path) if count else threads(bench, 1) as pids:
            setup_dispatch(bench.database, bench.settings)  # with a broker; the embedded thread has said so itself
            bench.remember()
            begin = time.perf_counter()
            batch = bench.house.grant(bench.accounts(ACCOUNTS), bench.people, [bench.configuration()])
            submitted = time.perf_counter() - begin
            took, first, last = bench.finish(batch)
            held = memory(pids)
            with bench.database.transaction() as session:
                accounts = [account.uin for account in bench.accounts(ACCOUNTS)]
                batches = [
                    deployments.deploy(
                        session, SYSTEM, space=bench.house.space, configurations=[role.id], accounts=accounts
                    )
                    for role in roles
                ]
            begin = time.perf_counter()
            for one in batches:
                bench.finish(one)
            deployed = time.perf_counter() - begin
        assert set(bench.house.results(batch)) == {"Success"}
        lines.append(
            f"{name:20} {triples / took:6.0f} triples/s, {took / (calls + updates):5.2f} x both floors,"
            f" shown after {first or took:5.2f} s, all after {last or took:5.2f} s (submit {submitted:.2f} s);"
            f" {pairs / deployed:5.0f} deployments/s, {deployed / role_calls:5.2f} x bare calls; {held:4.0f} MiB"
        )
    active = select(func.count()).select_from(Authorization).where(Authorization.status != AuthorizationStatus.ACTIVE)
    assert bench.house.rows(active) == [0]
    bench.database.dispose()
    with capsys.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201
