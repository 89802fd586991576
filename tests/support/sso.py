"""A space with an enterprise IdP, and employees who sign in through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from werkzeug.test import TestResponse

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.federation import saml_keys, saml_settings
from portal.core.federation.identity_provider import TrustedCertificate, TrustedIdentityProvider, set_identity_provider
from portal.core.federation.models import KeyUse
from portal.core.federation.saml_settings import Choices
from portal.core.space import spaces
from portal.core.space.models import Space
from saml.keys import read_certificate
from tests.support.browser import Browser, query_of
from tests.support.make import Make
from tests.support.saml_idp import TestIdp, key_pair

BASE_URL = "http://localhost"


@dataclass
class Sso:
    """`space` trusts `idp`; the methods play the browser's part of a sign-in step by step."""

    make: Make
    name: str = "acme"
    idp: TestIdp = field(default_factory=TestIdp)

    def __post_init__(self) -> None:
        organization = self.make.organization()
        private_key, certificate = key_pair("space")
        with self.make.transaction() as session:
            self.space: Space = spaces.activate(
                session,
                SYSTEM,
                organization=organization,
                name=self.name,
                private_key=private_key,
                certificate=certificate,
                secret_key=self.make.secret_key,
            )
        self.trust(self.idp)
        self.switch(on=True)

    @property
    def audience(self) -> str:
        return f"{BASE_URL}/saml/{self.name}/metadata"

    @property
    def acs_url(self) -> str:
        return f"{BASE_URL}/saml/{self.name}/acs"

    @property
    def slo_url(self) -> str:
        return f"{BASE_URL}/saml/{self.name}/slo"

    def choose(self, **choices: Any) -> None:
        """Settings of sign-in; all others are the defaults."""
        with self.make.transaction() as session:
            saml_settings.choose(session, SYSTEM, space=self.space, choices=Choices(**choices))

    def give_key(self) -> str:
        """A key of the service provider; its certificate."""
        private_key, certificate = key_pair("service provider")
        with self.make.transaction() as session:
            saml_keys.create_key(
                session,
                space=self.space,
                private_key=private_key,
                certificate=certificate,
                secret_key=self.make.secret_key,
                use=KeyUse.SERVICE_PROVIDER,
            )
        return certificate

    def trust(self, idp: TestIdp, *, sso_binding: str = "HTTP-Redirect", **slo: str) -> None:
        """`slo`: slo_url, slo_binding, slo_response_url."""
        found = read_certificate(idp.certificate)
        trusted = TrustedCertificate(found.pem, found.fingerprint, found.subject, found.not_before, found.not_after)
        with self.make.transaction() as session:
            set_identity_provider(
                session,
                SYSTEM,
                space=self.space,
                idp=TrustedIdentityProvider(
                    entity_id=idp.entity_id,
                    sso_url=idp.sso_url,
                    sso_binding=sso_binding,
                    certificates=(trusted,),
                    updated_at=clock.now(),
                    **slo,  # type: ignore[arg-type]
                ),
            )

    def switch(self, *, on: bool) -> None:
        with self.make.transaction() as session:
            space = session.get_one(Space, self.space.id)
            spaces.set_sso_enabled(session, SYSTEM, space=space, enabled=on)

    def begin(self, browser: Browser, target: str = "") -> str:
        """The IdP's URL to which /saml/<space>/login redirects."""
        query = {"next": target} if target else {}
        response = browser.client.get(f"/saml/{self.name}/login", query_string=query)
        assert response.status_code == 302, response.get_data(as_text=True)
        return response.location

    def answer(self, asked: str, name_id: str, **lies: Any) -> dict[str, str]:
        """The form that the IdP lets the browser post."""
        audience = lies.pop("audience", self.audience)
        response = self.idp.respond(asked, self.acs_url, audience, name_id, **lies)
        return {"SAMLResponse": response, "RelayState": query_of(asked)["RelayState"]}

    def unasked(self, name_id: str, relay_state: str | None = None, **lies: Any) -> dict[str, str]:
        """What the IdP lets the browser post when the person begins there."""
        response = self.idp.respond(None, self.acs_url, self.audience, name_id, **lies)
        return {"SAMLResponse": response} | ({"RelayState": relay_state} if relay_state is not None else {})

    def post(self, browser: Browser, form: dict[str, Any]) -> TestResponse:
        return browser.client.post(f"/saml/{self.name}/acs", data=form)

    def sign_in(self, browser: Browser, user_name: str, target: str = "") -> TestResponse:
        """All of it; the answer is the redirect to the portal."""
        response = self.post(browser, self.answer(self.begin(browser, target), user_name))
        assert response.status_code == 303, response.get_data(as_text=True)
        return response


@dataclass
class SsoTrial:
    """An administrator in `browser` who tests the sign-in of the space `name`; `idp` answers."""

    browser: Browser
    idp: TestIdp = field(default_factory=TestIdp)
    name: str = "acme"

    def keep(self, metadata: str = "") -> None:
        """Bring new identity provider data, up to the page where it waits."""
        self.browser.open("/console/sso/identity-provider")
        self.browser.submit("Preview", metadata=("idp.xml", (metadata or self.idp.metadata()).encode()))
        self.browser.click("Keep and test")

    def begin(self, button: str = "Test sign-in", within: str = "") -> str:
        """The IdP's URL to which the link leads."""
        self.browser.submit(button, within=within)
        link = self.browser.page.find("a", string="Continue to the identity provider")
        assert link is not None, self.browser.text
        return str(link["href"])

    def answer(self, asked: str, name_id: str, *, by: Browser | None = None, expected: int = 200, **lies: Any) -> None:
        """The IdP's answer comes to a browser, to that of the administrator unless `by` says otherwise."""
        audience = lies.pop("audience", f"{BASE_URL}/saml/{self.name}/metadata")
        acs_url = f"{BASE_URL}/saml/{self.name}/acs"
        response = self.idp.respond(asked, acs_url, audience, name_id, **lies)
        form = {"SAMLResponse": response, "RelayState": query_of(asked)["RelayState"]}
        (by or self.browser).post(f"/saml/{self.name}/acs", form, status=expected)

    def run(self, name_id: str, *, button: str = "Test sign-in", **lies: Any) -> None:
        """All of it; the browser stands on the page that tells the verdict."""
        self.answer(self.begin(button), name_id, **lies)
