"""A page that posts a SAML message to another server; its button does it where scripts are off."""

from __future__ import annotations

from collections.abc import Mapping

from flask import render_template

from portal.web.headers import allow_form_to
from portal.web.targets import origin_of


def post_to(url: str, fields: Mapping[str, str], button: str) -> str:
    allow_form_to(origin_of(url))
    return render_template("home/post.html", url=url, fields=fields, button=button)
