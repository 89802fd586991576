"""The sample identity provider: a small web application of its own, with its own port and key.

    GET  /sso          the portal's request -> who are you? (or: continue as the one who signed in before)
    POST /sso          name and password    -> a signed answer, posted by the browser to the portal
    GET  /slo          the portal asks to sign out as well -> a signed answer to the portal
    GET  /metadata     what the portal trusts
    GET  /             who is signed in here; POST /sign-out

Only `portal demo` starts it, as `python -m portal.demo.idp PORT` with the settings of that demo.
"""

from __future__ import annotations

import re
import secrets
import signal
import sys
from dataclasses import dataclass
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server

from portal.addresses import login_url, service_provider
from portal.core import clock
from portal.core.secrets import derive
from portal.demo import company
from portal.demo.authn_request import read_logout, read_request
from portal.demo.keys import key_pair
from portal.paths import templates_dir
from portal.settings import Settings, load
from portal.web import headers, templating
from saml.errors import SamlError
from saml.issuing import issue_response
from saml.logout import logout_response
from saml.metadata import identity_provider_metadata
from saml.parties import IdentityProvider, KeyPair, ServiceProvider

blueprint = Blueprint("idp", __name__, static_folder="static", static_url_path="/idp")
_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")


@dataclass(frozen=True)
class SampleIdp:
    """Who it is, and the one service provider that it answers: the sample space."""

    url: str
    portal: str
    sp: ServiceProvider
    private_key: str
    certificate: str

    @property
    def entity_id(self) -> str:
        return f"{self.url}/metadata"

    @property
    def sso_url(self) -> str:
        return f"{self.url}/sso"

    @property
    def slo_url(self) -> str:
        return f"{self.url}/slo"

    @property
    def metadata(self) -> str:
        return identity_provider_metadata(
            entity_id=self.entity_id, sso_url=self.sso_url, slo_url=self.slo_url, certificates=[self.certificate]
        )

    def signed_out(self, request_id: str, relay_state: str) -> str:
        """Where to send the browser with the answer. Logout is the same both ways, only that we are the other side."""
        here = ServiceProvider(self.entity_id, self.sso_url, keys=(KeyPair(self.private_key, self.certificate),))
        there = IdentityProvider(
            self.sp.entity_id, self.sp.acs_url, "HTTP-Redirect", (), slo_url=f"{self.portal}/saml/{company.SPACE}/slo"
        )
        answer = logout_response(here, there, in_response_to=request_id, relay_state=relay_state, now=clock.now())
        return answer.url


@dataclass(frozen=True)
class Question:
    """A sign-in that a browser brought. The request goes with it from page to page; nothing is kept here."""

    saml_request: str
    relay_state: str
    request_id: str


def sample_idp(settings: Settings, *, port: int) -> SampleIdp:
    """`settings` are those of the portal, `port` the IdP's own on this machine."""
    sp = service_provider(settings.base_url, company.SPACE)
    return SampleIdp(f"http://127.0.0.1:{port}", settings.base_url, sp, *key_pair(settings.data_dir))


def create_idp(settings: Settings, *, port: int) -> Flask:
    app = Flask("portal", template_folder=str(templates_dir()))
    app.extensions["sample_idp"] = sample_idp(settings, port=port)
    app.config.update(
        SECRET_KEY=derive(settings.secret_key, "sample identity provider"),
        MAX_CONTENT_LENGTH=65_536,
        SESSION_COOKIE_NAME="sample_idp",  # cookies know no ports: the portal's have other names
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    CSRFProtect(app)
    headers.setup_headers(app, settings)
    templating.setup_templates(app)
    app.register_blueprint(blueprint)
    return app


def _idp() -> SampleIdp:
    found: SampleIdp = current_app.extensions["sample_idp"]
    return found


@blueprint.get("/")
def start() -> Any:
    return render_template("demo/start.html", name=session.get("name"), login=login_url(_idp().portal, company.SPACE))


@blueprint.get("/metadata")
def metadata() -> Response:
    return Response(_idp().metadata, content_type="application/xml; charset=utf-8")


@blueprint.get("/sso")
def ask() -> Any:
    asked = _question()
    if session.get("name") and "another" not in request.args:
        return render_template("demo/continue.html", asked=asked, name=session["name"])
    return _sign_in_page(asked, name=request.args.get("name", ""))


@blueprint.post("/sso")
def sign_in() -> Any:
    asked = _question()
    if "continue" in request.form and session.get("name"):
        return _answer(asked, session["name"])
    name = request.form.get("name", "").strip()
    password = request.form.get("password", "")
    right = secrets.compare_digest(password.encode(), company.EMPLOYEE_PASSWORD.encode())
    if not right or not _NAME.fullmatch(name):
        return _sign_in_page(asked, name=name, error="The user name or the password is wrong.")
    session["name"] = name
    return _answer(asked, name)


@blueprint.get("/slo")
def single_logout() -> Any:
    request_id = read_logout(request.args.get("SAMLRequest", ""), _idp().sp, slo_url=_idp().slo_url)
    session.clear()
    return redirect(_idp().signed_out(request_id, request.args.get("RelayState", "")))


@blueprint.post("/sign-out")
def sign_out() -> Any:
    session.clear()
    return redirect(url_for("idp.start"), 303)


@blueprint.app_errorhandler(SamlError)
@blueprint.app_errorhandler(HTTPException)
def refuse(error: SamlError | HTTPException) -> Any:
    if isinstance(error, SamlError):
        message, status = f"This is no sign-in request of the portal ({error.reason}).", 400
    else:
        message, status = error.description or "", error.code or 500
    return render_template("demo/refused.html", message=message, login=login_url(_idp().portal, company.SPACE)), status


def _question() -> Question:
    encoded = request.values.get("SAMLRequest", "")
    request_id = read_request(encoded, _idp().sp, sso_url=_idp().sso_url)
    return Question(encoded, request.values.get("RelayState", ""), request_id)


def _sign_in_page(asked: Question, *, name: str, error: str = "") -> Any:
    page = render_template(
        "demo/sign_in.html",
        asked=asked,
        people=company.PEOPLE,
        password=company.EMPLOYEE_PASSWORD,
        name=name,
        error=error,
    )
    return page, 400 if error else 200


def _answer(asked: Question, name: str) -> Any:
    idp = _idp()
    headers.allow_form_to(idp.portal)
    response = issue_response(
        issuer=idp.entity_id,
        recipient=idp.sp.acs_url,
        audience=idp.sp.entity_id,
        name_id=name,
        attributes={},
        in_response_to=asked.request_id,
        private_key=idp.private_key,
        certificate=idp.certificate,
        now=clock.now(),
    )
    return render_template("demo/answer.html", acs_url=idp.sp.acs_url, response=response, asked=asked, name=name)


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not worth a line: the terminal shows what `portal demo` printed."""


def main(port: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches `portal demo` as well, which ends us
    app = create_idp(load(), port=port)
    make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
