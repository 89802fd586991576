"""A list of 100,000 users costs what one of 1,000 costs: two servers side by side, in turn."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.benchmarks.scim.loading import fill
from tests.benchmarks.scim.operations import user
from tests.benchmarks.scim.servers import Server, ours

pytestmark = pytest.mark.benchmark
FEW, MANY = 1_000, 100_000
ROUNDS, COUNT = 7, 100
MOST = 1.3


def _cursor(server: Server, size: int) -> str:
    """A cursor as deep in the list as one gets: from there on backwards a page would come again."""
    client, cursor = server.client, ""
    for _ in range(size // 200 // 2):
        answer = client.run([client.request("GET", f"/Users?count=200&cursor={cursor}&attributes=id")], connections=1)
        cursor = answer.json()[0]["nextCursor"]
    return str(cursor)


def _requests(server: Server, operation: str, size: int, cursor: str, turn: int) -> list[bytes]:
    client = server.client
    numbers = [size - 1 - (turn * COUNT + index) % (size // 2) for index in range(COUNT)]
    if operation == "create":
        return [client.request("POST", "/Users", user(f"-{turn}-{number}")) for number in range(COUNT)]
    if operation == "find by userName":
        filters = [f'userName eq "load{number}"' for number in numbers]
        return [client.request("GET", f"/Users?filter={quote(filter)}") for filter in filters]
    if operation == "first page":
        return [client.request("GET", "/Users?count=100")] * (COUNT // 4)
    if operation == "deep startIndex":
        return [client.request("GET", f"/Users?startIndex={size - 150 - n}&count=100") for n in range(COUNT // 4)]
    return [client.request("GET", f"/Users?count=100&cursor={cursor}")] * (COUNT // 4)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_size_does_not_slow_down(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    operations = ("create", "find by userName", "first page", "deep startIndex", "deep cursor")
    with ExitStack() as stack:
        small, big = (stack.enter_context(ours(kind, tmp_path / name)) for name in ("small", "big"))
        fill(small.url, 1, FEW)
        fill(big.url, 1, MANY)
        sides = [(small, FEW, _cursor(small, FEW)), (big, MANY, _cursor(big, MANY))]
        times: dict[str, list[tuple[float, ...]]] = {operation: [] for operation in operations}
        for turn in range(ROUNDS):
            for operation in operations:
                pair = []
                for server, size, cursor in sides:
                    run = server.client.run(_requests(server, operation, size, cursor, turn))
                    assert run.errors == 0, (operation, run.statuses, run.bodies[:2])
                    pair.append(1000 / run.rate)
                times[operation].append(tuple(pair))
    ratios = {operation: statistics.median(big / small for small, big in pairs) for operation, pairs in times.items()}
    with capsys.disabled():
        print(f"\n\n{kind}: ms a request with {FEW} and {MANY} users")  # noqa: T201
        for operation, pairs in times.items():
            few, many = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{operation:18} {few:7.2f} {many:7.2f}  ratio {ratios[operation]:.2f}")  # noqa: T201
    assert {operation: ratio for operation, ratio in ratios.items() if ratio > MOST} == {}
