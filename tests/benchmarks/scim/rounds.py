"""Rounds in turn, ours, floor, ours, floor: what else the machine does at that moment disturbs both alike."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.scim.client import Run
from tests.benchmarks.scim.operations import Scim

PEERS_SECONDS = 0.6


@dataclass
class Measured:
    """Runs by (server, operation); the first named is ours, the second its floor."""

    names: list[str]
    runs: dict[tuple[str, str], list[Run]] = field(default_factory=lambda: defaultdict(list))

    def rate(self, name: str, operation: str) -> float:
        return statistics.median(run.rate for run in self.runs[name, operation])

    def p99(self, name: str, operation: str) -> float:
        return statistics.median(run.p99 for run in self.runs[name, operation])

    def errors(self, name: str, operation: str) -> int:
        return sum(run.errors for run in self.runs[name, operation])

    def ratio(self, operation: str, to: str = "") -> float:
        """Round by round, then the median."""
        pairs = zip(self.runs[self.names[0], operation], self.runs[to or self.names[1], operation], strict=True)
        return statistics.median(mine.rate / its.rate for mine, its in pairs)

    def table(self, operations: Sequence[str]) -> str:
        ours, *others = self.names
        head = f"{'':20}{ours:>18}" + "".join(f"{name:>18}{'ratio':>7}" for name in others)
        lines = [head]
        for operation in operations:
            line = f"{operation:20}{self._cell(ours, operation):>18}"
            for name in others:
                line += f"{self._cell(name, operation):>18}{self.ratio(operation, name):>7.2f}"
            lines.append(line)
        return "\n".join(lines)

    def _cell(self, name: str, operation: str) -> str:
        failed = "!" if self.errors(name, operation) else ""
        return f"{failed}{self.rate(name, operation):.0f}/s p99 {self.p99(name, operation):.0f}"


def measure(sides: Sequence[Scim], operations: Sequence[str], *, rounds: int, count: int) -> Measured:
    """`count` requests of each operation a round; of a peer as many as it does in PEERS_SECONDS."""
    names = [side.server.name for side in sides]
    measured = Measured(names)
    for turn in range(rounds):
        for operation in operations:
            for place, side in enumerate(sides):
                requests = side.requests(operation, turn, count)
                run = side.server.client.run(requests, seconds=60 if place < 2 else PEERS_SECONDS)
                if place < 2:
                    assert run.errors == 0, (side.server.name, operation, run.statuses, run.bodies[:3])
                measured.runs[names[place], operation].append(run)
    return measured
