"""A space that a client pushes into."""

from __future__ import annotations

import pytest
from flask import Flask

from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import ScimClient, make_secret


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme", scim_enabled=True)


@pytest.fixture
def scim(app: Flask, make: Make, space: Space) -> ScimClient:
    return ScimClient(app, make_secret(make, space))
