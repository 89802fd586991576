"""Benchmarks report ratios to a floor that is measured in the same run, turn by turn; they never fail on time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

Report = Callable[..., None]


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Report:
    def measure(
        name: str, ours: Callable[[], object], floor: Callable[[], object], *, rounds: int = 15, calls: int = 50
    ) -> None:
        ours(), floor()
        pairs = []
        for _ in range(rounds):
            pairs.append((_time(ours, calls), _time(floor, calls)))
        ratio = statistics.median(a / b for a, b in pairs)
        mine, bare = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
        with capsys.disabled():
            print(f"\n{name}: {mine:.0f} µs, floor {bare:.0f} µs, ratio {ratio:.2f}")  # noqa: T201

    return measure


def _time(call: Callable[[], object], calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begin) / calls
