"""A whole company pushed by Bulk: rates, memory of the server and what bounds them.

PORTAL_BENCH_USERS sets the number of users (default 2,000; 100,000 is the full size), each in ten groups.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.scim.operations import user
from tests.benchmarks.scim.servers import Server, ours

pytestmark = pytest.mark.benchmark
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
USERS = int(os.environ.get("PORTAL_BENCH_USERS", "2000"))
GROUPS_EACH, AT_ONCE, OPERATIONS = 10, 1_000, 500


def pieces(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def timed(server: Server, requests: list[bytes], things: int, what: str, lines: list[str]) -> list[Any]:
    """Run them on four connections; the line says the rate, and how much of two processors the server had."""
    begin, busy = time.perf_counter(), server.processor_seconds()
    run = server.client.run(requests, seconds=10_000)
    took, busy = time.perf_counter() - begin, server.processor_seconds() - busy
    assert run.errors == 0, (what, run.statuses, run.bodies[:1])
    bound = "Python" if busy / took > 0.8 else "the database and its lock"
    lines.append(
        f"{what:44} {things / took:9.0f}/s  p99 {run.p99:7.0f} ms  server {busy / took:4.1f} processors"
        f" (bound by {bound})  {server.memory():5.0f} MiB"
    )
    return run.json() if run.bodies[0] else []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_company_is_pushed(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with ours(kind, tmp_path / "ours") as server:
        lines.append(f"memory at the start: {server.memory():.0f} MiB")
        client = server.client
        bodies = [
            {"method": "POST", "path": "/Users", "bulkId": str(number), "data": user(number)} for number in range(USERS)
        ]
        requests = [
            client.request("POST", "/Bulk", {"schemas": [BULK], "Operations": piece})
            for piece in pieces(bodies, OPERATIONS)
        ]
        answers = timed(server, requests, USERS, f"{USERS} users, {OPERATIONS} in a Bulk request", lines)
        outcomes = [outcome for answer in answers for outcome in answer["Operations"]]
        assert [outcome["status"] for outcome in outcomes] == ["201"] * USERS
        ids = [outcome["location"].rsplit("/", 1)[1] for outcome in outcomes]

        size = min(AT_ONCE, USERS)
        count = max(1, USERS * GROUPS_EACH // size)
        made = client.run([client.request("POST", "/Groups", {"displayName": f"Group {n}"}) for n in range(count)])
        joins = []
        for number, group in enumerate(made.json()):
            members = [{"value": ids[(number * size + place) % USERS]} for place in range(size)]
            operation = {"op": "add", "path": "members", "value": members}
            joins.append(
                client.request("PATCH", f"/Groups/{group['id']}", {"schemas": [PATCH], "Operations": [operation]})
            )
        timed(server, joins, count * size, f"{count * size} memberships, {size} in a PATCH", lines)
        found = client.run([client.request("GET", "/Users?count=0"), client.request("GET", "/Groups?count=0")])
        assert sorted(answer["totalResults"] for answer in found.json()) == sorted([USERS, count])
        whole = client.run([client.request("GET", f"/Groups/{made.json()[0]['id']}")])
        assert len(whole.json()[0]["members"]) == size
        lines.append(f"one group of {size} read: {whole.p99:.0f} ms")
    with capsys.disabled():
        print(f"\n\n{kind}\n" + "\n".join(lines))  # noqa: T201
