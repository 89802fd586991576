"""A space that a client pushes into, and an identity provider that is not our code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import ScimClient, make_secret
from tests.support.simplesamlphp import SimpleSamlPhp, simplesamlphp


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme", scim_enabled=True)


@pytest.fixture
def scim(app: Flask, make: Make, space: Space) -> ScimClient:
    return ScimClient(app, make_secret(make, space))


@pytest.fixture(scope="session")
def running_simplesamlphp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleSamlPhp]:
    with simplesamlphp(tmp_path_factory.mktemp("simplesamlphp")) as idp:
        yield idp


@pytest.fixture
def idp(running_simplesamlphp: SimpleSamlPhp) -> SimpleSamlPhp:
    """With its usual settings."""
    running_simplesamlphp.choose()
    return running_simplesamlphp
