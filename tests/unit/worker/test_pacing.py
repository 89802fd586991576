"""Calls per second into one account."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from portal.clouds.local import LocalConnector
from portal.core import clock
from portal.core.access.models import AccountClaim, TaskStatus
from portal.worker import visits
from portal.worker.pacing import Pace
from tests.support.provisioning import Provisioning


@given(
    per_second=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 1.5, allow_nan=False), min_size=1, max_size=60),
)
def test_within_any_second_no_more_than_twice_and_on_average_no_more_than_allowed(
    per_second: int, pauses: list[float]
) -> None:
    """A second's worth at once, then one by one."""
    pace, at, calls = Pace(per_second, None), 0.0, []
    for pause in pauses:
        at += pause
        with clock.shifted(timedelta(seconds=at)):
            at += pace.wait().total_seconds()
        with clock.shifted(timedelta(seconds=at)):
            pace.called()
        calls.append(at)
    for first in range(len(calls)):
        for last in range(first, len(calls)):
            allowed = per_second * (calls[last] - calls[first]) + per_second
            assert last - first + 1 <= allowed + 1 + 0.01 * per_second  # the real clock goes on meanwhile


def test_without_a_limit_nobody_waits() -> None:
    pace = Pace(0, clock.now() + timedelta(hours=1))
    for _ in range(1000):
        pace.called()
    assert not pace.wait()
    assert pace.rested_at() is None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the account was called for a role."""
    made: list[float] = []
    original = LocalConnector.ensure_role

    def ensure_role(self: LocalConnector, role: Any) -> None:
        made.append(time.monotonic())
        original(self, role)

    monkeypatch.setattr(LocalConnector, "ensure_role", ensure_role)
    return made


def test_an_account_is_not_called_more_often_than_it_takes(house: Provisioning, calls: list[float]) -> None:
    house.settings.account_calls_per_second = 20
    account = house.account()
    roles = [house.configuration(f"role{number}") for number in range(40)]
    batch = house.grant([account], [house.user()], roles)
    assert house.done(batch) == ["Success"] * 40
    assert len(calls) == 40
    assert calls[-1] - calls[0] >= (40 - 20) / 20


def test_an_account_that_takes_no_more_calls_now_is_left_and_not_due(house: Provisioning, calls: list[float]) -> None:
    house.settings.account_calls_per_second = 0.5
    account = house.account()
    batch = house.grant([account], [house.user()], [house.configuration("one"), house.configuration("two")])
    first = visits.visit(account.uin, house.database, house.settings)
    assert first == 1, "identity provider and role, two seconds apart"
    assert house.work() == 0
    assert sorted(house.results(batch)) == ["Queued", "Success"]
    [next_call_at] = house.rows(select(AccountClaim.next_call_at))
    assert next_call_at > clock.now() + timedelta(seconds=1)
    with clock.shifted(timedelta(seconds=3)):
        house.work()
    assert len(calls) == 2
    assert not house.tasks(batch, TaskStatus.QUEUED)


def test_what_needs_no_calls_does_not_wait_for_them(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration()
    house.done(house.grant([account], [house.user()], [reader]))
    house.settings.account_calls_per_second = 0.5
    batch = house.grant([account], [house.user() for _ in range(12)], [reader])
    assert visits.visit(account.uin, house.database, house.settings) == 12
    assert set(house.results(batch)) == {"Success"}


def test_a_long_wait_keeps_the_account(house: Provisioning, monkeypatch: pytest.MonkeyPatch) -> None:
    house.settings.account_calls_per_second = 1
    house.settings.task_lease_seconds = 5
    naps: list[float] = []
    visit = house.enter(house.tasks(house.grant([house.account()], [house.user()], [house.configuration()]))[0])
    visit.lease.pace.next_call_at = clock.now() + timedelta(seconds=4)
    shift = timedelta(0)

    def sleep(seconds: float) -> None:
        nonlocal shift
        naps.append(seconds)
        shift += timedelta(seconds=seconds)
        monkeypatch.setattr(clock, "_shift", shift)

    monkeypatch.setattr("portal.worker.pacing.time.sleep", sleep)
    until = visit.lease.until
    visits.perform(visit, house.database, house.settings)
    visits.go_on(visit, house.database, house.settings)
    assert max(naps) <= 1.25
    assert visit.lease.until > until + timedelta(seconds=3)
    assert visit.ran == 1
