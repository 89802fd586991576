"""A portal with two spaces that is made once for a module of attacks on its SAML pages."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from jinja2 import FileSystemBytecodeCache
from lxml import etree
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from portal import create_app
from portal.core.audit import AuditEvent
from portal.core.database import Database
from portal.core.federation.models import SignInAttempt
from portal.settings import Settings, load
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import TestIdp, decoded, encoded
from tests.support.sign_ins import assert_refused, is_signed_in, refusals_counted
from tests.support.sso import Sso

SECRET = "a secret key of the attacks, long enough"


@dataclass(frozen=True)
class Attack:
    """What is wrong with an answer, and the code that the administrator reads. All but `lies` come after signing."""

    reason: str
    lies: dict[str, Any] = field(default_factory=dict)
    """See TestIdp.respond."""
    tree: Callable[[etree._Element], etree._Element | None] | None = None
    """Changes the tree, or gives back another."""
    raw: Callable[[bytes], bytes] | None = None
    sign: tuple[str, ...] = ("assertion",)

    def response(self, sso: Sso, asked: str | None, name_id: str = "alice") -> str:
        lies = {"sign": self.sign, **self.lies}
        audience = lies.pop("audience", sso.audience)
        response = sso.idp.respond(asked, sso.acs_url, audience, name_id, **lies)
        if self.tree:
            root = decoded(response)
            changed = self.tree(root)
            response = encoded(root if changed is None else changed)
        if self.raw:
            response = base64.b64encode(self.raw(base64.b64decode(response))).decode()
        return response


class Doors:
    """`acme` and `beta` trust IdPs of their own; in both there is an alice, and a root who is worth being."""

    def __init__(self, folder: Path, template: Path, compiled: FileSystemBytecodeCache) -> None:
        self._compiled = compiled
        shutil.copy(template, folder / "portal.db")
        self.settings: Settings = load(
            environment="test",
            data_dir=folder,
            database_url=f"sqlite:///{folder / 'portal.db'}",
            secret_key=SECRET,
            base_url="http://localhost",
            embedded_worker=False,
            log_format="text",
        )
        self.database = Database(self.settings.database_url)
        self.app = self.process(self.database)
        self.make = Make(self.database, SECRET)
        self.acme = Sso(self.make)
        self.beta = Sso(self.make, "beta", TestIdp("https://beta.example.test/metadata"))
        for space in (self.acme.space, self.beta.space):
            for name in ("alice", "root"):
                self.make.user(space, name)

    def process(self, database: Database | None = None) -> Flask:
        """One more process of the portal, as far as it shares nothing but the database."""
        app = create_app(self.settings, database or Database(self.settings.database_url))
        app.jinja_env.bytecode_cache = self._compiled
        app.testing = True
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app

    def browser(self) -> Browser:
        return Browser(self.app)

    def form(self, sso: Sso, browser: Browser, attack: Attack) -> dict[str, str]:
        """The answer to a request of this browser."""
        asked = sso.begin(browser)
        return sso.answer(asked, "alice") | {"SAMLResponse": attack.response(sso, asked)}

    def honest(self, attack: Attack) -> None:
        """The positive control: the same without what is wrong."""
        browser = self.browser()
        response = self.acme.post(browser, self.form(self.acme, browser, Attack("", sign=attack.sign)))
        assert response.status_code == 303, response.get_data(as_text=True)
        assert is_signed_in(browser)

    def is_told(self, response: TestResponse, reason: str, sso: Sso | None = None) -> SignInAttempt:
        """The neutral page; its reference finds the reason."""
        return assert_refused(response, self.make, sso or self.acme, reason)

    def is_untold(self, browser: Browser, form: dict[str, Any], reason: str) -> None:
        """The neutral page; the reason is in the log and counted, and nothing grows that anybody could fill."""
        before, kept = refusals_counted(browser, reason), self.kept()
        response = self.acme.post(browser, form)
        page = response.get_data(as_text=True)
        assert response.status_code == 403, page
        assert f">{response.headers['X-Request-Id']}<" in page
        assert refusals_counted(browser, reason) == before + 1
        assert self.kept() == kept

    def kept(self) -> tuple[int, int]:
        with self.make.transaction() as session:
            events = session.scalar(select(func.count()).select_from(AuditEvent)) or 0
            return events, session.scalar(select(func.count()).select_from(SignInAttempt)) or 0
