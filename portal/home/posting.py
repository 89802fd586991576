"""A page that posts a SAML message to another server; its button does it where scripts are off."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import render_template

from portal.web.headers import allow_form_to


def post_to(url: str, fields: Mapping[str, str], button: str) -> str:
    parts = urlsplit(url)
    allow_form_to(f"{parts.scheme}://{parts.netloc}")
    return render_template("home/post.html", url=url, fields=fields, button=button)
