"""scim2-server as its own command sets it up, its store in memory, under gunicorn."""

from __future__ import annotations

import secrets
from typing import Any

from scim2_models import ScimProvider
from scim2_server.applications.wsgi import WSGIApplication
from scim2_server.memory import InMemoryStorage
from scim2_server.service import ScimService
from scim2_server.utils import (
    load_default_resource_types,
    load_default_schemas,
    load_default_service_provider_config,
)


def _application() -> Any:
    provider = ScimProvider.from_discovery(
        load_default_schemas().values(),
        load_default_resource_types().values(),
        config=load_default_service_provider_config(),
    )
    return WSGIApplication(InMemoryStorage(), provider, service=ScimService(provider, secret=secrets.token_urlsafe(32)))


if __name__ != "__main__":
    app = _application()
