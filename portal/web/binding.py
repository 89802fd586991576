"""The cookie that ties the IdP's answer to the browser that asked: a token per sign-in that is under way."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, current_app, request

from portal.core.secrets import hash_token

SIGN_IN = "portal_sign_in"
TEST = "portal_test_sign_in"
"""A cookie of its own: the console begins tests, and cannot see those of `/saml/<space>` to add to them."""
_TABS = 5  # sign-ins that one browser may have under way at the same time


def is_navigation() -> bool:
    """Whether the browser goes there, as far as it says so: what another site's page loads as a picture or a frame
    begins nothing, for it would push sign-ins that are under way out of the cookie."""
    return request.headers.get("Sec-Fetch-Dest", "document") == "document"


def bound(cookie: str = SIGN_IN) -> list[str]:
    """The tokens of what this browser has under way."""
    return [token for token in request.cookies.get(cookie, "").split(".") if token]


def bound_but(binding_hash: str, cookie: str = SIGN_IN) -> list[str] | None:
    """The tokens besides the one of that hash; None when this browser does not hold that one."""
    held = bound(cookie)
    left = [token for token in held if hash_token(token) != binding_hash]
    return left if len(left) < len(held) else None


def bind(response: Response, space: str, tokens: Sequence[str], cookie: str = SIGN_IN) -> None:
    """The IdP's answer is a cross-site POST, with which a Lax cookie is not sent: hence None, which needs https.

    On plain http it has no SameSite: browsers then send it for two minutes after it was set.
    """
    secure = current_app.config["SESSION_COOKIE_SECURE"]
    minutes = current_app.extensions["settings"].sign_in_minutes
    response.set_cookie(
        cookie,
        ".".join(tokens[-_TABS:]),
        path=f"/saml/{space}",
        max_age=minutes * 60 if tokens else 0,
        secure=secure,
        httponly=True,
        samesite="None" if secure else None,
    )
