"""Pages that take a SAML message to another server; a button does it where the browser does not by itself."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, make_response, render_template

from portal.web.headers import allow_form_chain
from saml.bindings import Outgoing


def post_to(url: str, fields: Mapping[str, str], button: str) -> str:
    allow_form_chain(url)
    return render_template("home/post.html", url=url, fields=fields, button=button)


def pass_on(message: Outgoing, button: str, explanation: str) -> Response:
    """A logout message on its way, by a page and not by a redirect: a logout may lead on to any number of other
    services, to which a link on a page without a form may always lead (see allow_form_chain).
    """
    if message.form:
        allow_form_chain(message.url)
    page = render_template("home/pass_on.html", message=message, button=button, explanation=explanation)
    response = make_response(page)
    if not message.form:
        response.headers["Refresh"] = f"0;url={message.url}"
    return response
