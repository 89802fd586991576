"""Security headers of every answer. The content policy allows our own origin only, nothing inline."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from portal.settings import Settings
from portal.web.targets import origin_of


def allow_form_to(origin: str) -> None:
    """Let a form of this answer post to another origin: the cloud account that a sign-on goes to."""
    g.setdefault("form_origins", []).append(origin)


def allow_form_chain(url: str) -> None:
    """Let a form post to `url`, which may redirect: browsers hold the whole chain to the policy of the page with the
    form, and an identity provider may lead on to hosts that nobody has told us. So every address of its scheme counts.
    """
    allow_form_to(origin_of(url))
    allow_form_to(f"{urlsplit(url).scheme}:")


def setup_headers(app: Flask, settings: Settings) -> None:
    always = [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
    if settings.secure_cookies:
        always.append(("Strict-Transport-Security", "max-age=31536000"))

    @app.after_request
    def add(response: Response) -> Response:
        response.headers.extend([("Content-Security-Policy", _policy(g.get("form_origins", []))), *always])
        if not request.path.startswith(("/static/", "/bootstrap/")):
            response.headers.setdefault("Cache-Control", "no-store" if not _is_step() else "private, no-cache")
        return response


def _policy(form_origins: list[str]) -> str:
    origins = " ".join(["'self'", *form_origins])
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"connect-src 'self'; form-action {origins}; frame-ancestors 'none'; base-uri 'none'"
    )


def _is_step() -> bool:
    """A page of the console that answers a POST: a step of a wizard, a form with errors.

    The browser may keep it for its Back button, which could show nothing otherwise. A page with a secret says
    no-store itself.
    """
    return request.method == "POST" and request.path.startswith("/console/")
