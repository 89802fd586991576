"""The Identity Center.

home      employees: sign-in by the enterprise IdP, user portal          /login /home /saml
scim      the IdP pushes users and groups                                /scim/v2 /oauth/token
console   administrators                                                 /console
account   the console of one account of the embedded cloud               /accounts/<uin>
worker    runs provisioning tasks through the accounts' connectors (clouds)
core      tables and rules; everything above calls it, it calls nothing above
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from portal.core.database import Database
from portal.core.limits import set_limits
from portal.core.secrets import derive
from portal.paths import templates_dir
from portal.settings import Settings


class _Portal(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing here is asynchronous: not worth asking of every function that a request passes."""
        return func


def create_app(settings: Settings, database: Database | None = None) -> Flask:
    app = _Portal("portal", template_folder=str(templates_dir()))
    database = database or Database(settings.database_url)
    setup_configuration(app, settings)
    setup_web(app, settings, database)
    setup_doors(app)
    setup_worker(app, settings, database)
    return app


def setup_configuration(app: Flask, settings: Settings) -> None:
    app.extensions["settings"] = settings
    app.config.update(
        SECRET_KEY=derive(settings.secret_key, "cookies"),
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=settings.max_body_bytes,
        SESSION_COOKIE_NAME="portal_form",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.url_map.strict_slashes = False
    set_limits(settings.limits)
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


def setup_web(app: Flask, settings: Settings, database: Database) -> None:
    from portal.web import errors, headers, inputs, observing, permissions, sessions, templating, transactions

    observing.setup_observing(app)
    transactions.setup_transactions(app, database)
    headers.setup_headers(app, settings)
    inputs.setup_inputs(app)
    sessions.setup_sessions(app)
    permissions.setup_permissions(app)
    templating.setup_templates(app)
    errors.setup_errors(app)
    app.extensions["csrf"] = CSRFProtect(app)


def setup_doors(app: Flask) -> None:
    import scim.oauth
    import scim.routes
    from portal import account, console, home
    from portal.web import operations

    app.register_blueprint(home.blueprint)
    app.register_blueprint(console.blueprint, url_prefix="/console")
    app.register_blueprint(account.blueprint, url_prefix="/accounts")
    app.register_blueprint(operations.blueprint)
    scim.routes.setup_scim(app)
    scim.oauth.setup_oauth(app)


def setup_worker(app: Flask, settings: Settings, database: Database) -> None:
    from portal import worker

    worker.setup_dispatch(database, settings)
