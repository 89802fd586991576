"""Programs that tests need and that may be missing: skipped by name on a desk, a failure in CI."""

from __future__ import annotations

import os

import pytest


def need(condition: object, name: str) -> None:
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{name} is needed in CI and was not found")
    pytest.skip(f"{name} was not found")
