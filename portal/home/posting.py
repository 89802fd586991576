"""Pages that take a SAML message to another server; a button does it where the browser does not by itself."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, make_response, render_template

from portal.web.headers import allow_form_to
from portal.web.targets import origin_of
from saml.bindings import Outgoing


def post_to(url: str, fields: Mapping[str, str], button: str) -> str:
    allow_form_to(origin_of(url))
    return render_template("home/post.html", url=url, fields=fields, button=button)


def pass_on(message: Outgoing, button: str, explanation: str) -> Response:
    """A logout message on its way, by a page and not by a redirect.

    Browsers hold the whole chain of redirects that follows a form to the policy of the page with that form, and a
    logout may lead on to any number of other services: so a link leaves a page without a form, and a form may lead
    to every https address.
    """
    if message.form:
        allow_form_to(origin_of(message.url))
        allow_form_to("https:")
    page = render_template("home/pass_on.html", message=message, button=button, explanation=explanation)
    response = make_response(page)
    if not message.form:
        response.headers["Refresh"] = f"0;url={message.url}"
    return response
