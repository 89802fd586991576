from __future__ import annotations

import pytest

from portal.settings import Settings
from tests.support.make import Make
from tests.support.provisioning import Provisioning


@pytest.fixture
def house(make: Make, settings: Settings) -> Provisioning:
    return Provisioning(make, settings)
