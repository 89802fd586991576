"""Rounds of kills: under a running company parts are killed and started again; then all must come to rest, right."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from sqlalchemy import func, select

from portal.core.access.models import Task, TaskStatus
from tests.chaos.company import Company
from tests.chaos.driving import Driver
from tests.chaos.stack import Stack
from tests.support.invariants import lost, unsettled, violations

DEADLINE = 120.0
"""Seconds within which a round must come to rest once everything runs again."""


@dataclass
class Summary:
    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    tasks: int = 0
    failed: int = 0
    answered: int = 0
    refused: int = 0
    unanswered: int = 0
    longest_recovery: float = 0.0

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        return (
            f"{self.rounds} rounds, {self.kills.total()} kills ({kills}), {self.answered} requests answered "
            f"({self.refused} refused), {self.unanswered} not, {self.tasks} tasks ({self.failed} failed with a "
            f"reason), longest recovery {self.longest_recovery:.1f} s"
        )


class Chaos:
    def __init__(self, stack: Stack, random: Random) -> None:
        self.stack, self.random, self.summary = stack, random, Summary()
        self.company = Company(stack)
        stack.up()
        self.company.move_in()

    def round(self, kills: int) -> None:
        """Raises AssertionError with everything that does not hold."""
        driver = Driver(self.company, Random(self.random.random()))
        thread = threading.Thread(target=driver.run, name="driver")
        thread.start()
        try:
            for kind in self._kinds(kills):
                self._let_work(driver)
                self._kill(kind)
            self._let_work(driver)
        finally:
            driver.stopping.set()
            thread.join()
        if driver.failure:
            raise driver.failure
        self.stack.up()
        self.summary.longest_recovery = max(self.summary.longest_recovery, self._come_to_rest())
        self._check()
        self._sum_up()

    def _let_work(self, driver: Driver) -> None:
        """Some requests are answered before the next kill, unless what was killed before keeps them from it."""
        answered = self.company.ledger.answered + self.random.randint(0, 6)
        begun, longest = time.monotonic(), self.random.uniform(0.5, 8.0)
        while self.company.ledger.answered < answered and time.monotonic() - begun < longest and not driver.failure:
            time.sleep(0.02)
        time.sleep(self.random.uniform(0.0, 0.3))

    def _kinds(self, kills: int) -> list[str]:
        """Each kind once before chance decides alone."""
        kinds = self.random.sample(self.stack.kinds, len(self.stack.kinds))
        return [*kinds, *self.random.choices(self.stack.kinds, k=kills)][:kills]

    def _kill(self, kind: str) -> None:
        self.summary.kills[kind] += 1
        killed = self.stack.kill(kind, self.random)
        if killed is None:
            return
        time.sleep(self.random.uniform(0.0, 0.5))
        killed.start()
        if self.random.random() < 0.8:  # otherwise the next kill meets a portal that is not yet whole again
            self.stack.up()

    def _come_to_rest(self) -> float:
        """Seconds until no task waits or runs."""
        begun = time.monotonic()
        while left := unsettled(self.company.database):
            if time.monotonic() - begun > DEADLINE:
                raise AssertionError("\n".join(["still not at rest:", *left, *self._tails()]))
            time.sleep(0.1)
        return time.monotonic() - begun

    def _check(self) -> None:
        company, ledger = self.company, self.company.ledger
        found = violations(company.database, company.space.id, self.stack.url)
        found += lost(company.database, ledger.batches, ledger.switched)
        found += [f"{process.name} ended by itself" for process in self.stack.processes if process.has_ended]
        if found:
            raise AssertionError("\n".join([*found, *self._tails()]))

    def _sum_up(self) -> None:
        with self.company.database.transaction(write=False) as session:
            by_status = dict(session.execute(select(Task.status, func.count()).group_by(Task.status)).all())
        self.summary.rounds += 1
        self.summary.tasks, self.summary.failed = sum(by_status.values()), by_status.get(TaskStatus.FAILED, 0)
        ledger = self.company.ledger
        self.summary.answered, self.summary.refused = ledger.answered, ledger.refused
        self.summary.unanswered = ledger.unanswered

    def _tails(self) -> list[str]:
        return [f"--- {process.name}\n{process.tail()}" for process in self.stack.processes]


def run(stack: Stack, *, seed: int, rounds: int, kills: int, told: Callable[[str], None] = print) -> Summary:
    random = Random(seed)
    chaos = Chaos(stack, random)
    try:
        for number in range(rounds):
            chaos.round(kills)
            told(f"round {number + 1}: {chaos.summary}")
    finally:
        chaos.company.database.dispose()
    return chaos.summary
