"""An identity provider that is not our code, running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.simplesamlphp import SimpleSamlPhp, simplesamlphp


@pytest.fixture(scope="session")
def running_simplesamlphp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleSamlPhp]:
    with simplesamlphp(tmp_path_factory.mktemp("simplesamlphp")) as idp:
        yield idp


@pytest.fixture
def idp(running_simplesamlphp: SimpleSamlPhp) -> SimpleSamlPhp:
    """With its usual settings."""
    running_simplesamlphp.choose()
    return running_simplesamlphp
