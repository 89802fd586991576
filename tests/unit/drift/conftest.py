from __future__ import annotations

import pytest

from portal.settings import Settings
from tests.support.drift import Drift
from tests.support.make import Make


@pytest.fixture
def house(make: Make, settings: Settings) -> Drift:
    return Drift(make, settings)
