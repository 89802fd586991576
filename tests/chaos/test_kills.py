"""A few kills in every shape; `make chaos ROUNDS=n` does the same for as long as wanted."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import rounds, servers
from tests.chaos.stack import SHAPES, stack
from tests.support.need import need


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that servers of another user reach, too."""
    with tempfile.TemporaryDirectory(prefix="portal-chaos-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_is_killed_everything_comes_to_what_was_asked_for(shape: str, folder: Path) -> None:
    missing = servers.missing(broker=SHAPES[shape])
    need(not missing, missing)
    seed = int(os.environ.get("PORTAL_CHAOS_SEED") or secrets.randbelow(10**6))
    print(f"PORTAL_CHAOS_SEED={seed}")  # noqa: T201
    with stack(shape, folder) as started:
        summary = rounds.run(started, seed=seed, rounds=1, kills=len(started.kinds))
    assert summary.kills.total() == len(started.kinds)
