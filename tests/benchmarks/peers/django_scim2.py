"""A minimal Django project for django-scim2: its own views and adapters, with the attributes it needs for our questions
(externalId, e-mail and the group's name) added to its filter maps. `python -m` makes the tables.
"""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from sqlalchemy.engine import make_url

_URL = make_url(os.environ["BENCH_DATABASE_URL"])
_PEERS = "tests.benchmarks.peers"
_DATABASE: dict[str, Any] = (
    {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _URL.database,
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
    if _URL.get_backend_name() == "sqlite"
    else {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _URL.database,
        "USER": _URL.username,
        "PASSWORD": _URL.password or "",
        "HOST": _URL.host,
        "PORT": _URL.port or 5432,
    }
)
_DATABASE["CONN_MAX_AGE"] = None

settings.configure(
    SECRET_KEY="of the benchmarks",
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": _DATABASE},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django_scim",
        f"{_PEERS}.django_people.apps.People",
    ],
    AUTH_USER_MODEL="people.User",
    ROOT_URLCONF=f"{_PEERS}.django_people.urls",
    MIDDLEWARE=[f"{_PEERS}.django_people.urls.everybody", "django_scim.middleware.SCIMAuthCheckMiddleware"],
    USE_TZ=True,
    SCIM_SERVICE_PROVIDER={
        "NETLOC": "localhost",
        "SCHEME": "http",
        "AUTHENTICATION_SCHEMES": [{"type": "oauthbearertoken", "name": "bearer", "description": "bearer"}],
        "GET_IS_AUTHENTICATED_PREDICATE": f"{_PEERS}.django_people.filters.let_in",
        "GROUP_MODEL": f"{_PEERS}.django_people.models.Group",
        "USER_FILTER_PARSER": f"{_PEERS}.django_people.filters.Users",
        "GROUP_FILTER_PARSER": f"{_PEERS}.django_people.filters.Groups",
    },
)
django.setup()

if __name__ == "__main__":
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
else:
    from django.core.wsgi import get_wsgi_application

    app = get_wsgi_application()
