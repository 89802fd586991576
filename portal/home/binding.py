"""The cookie that ties an answer to the browser that asked: tokens of the sign-ins that it has under way."""

from __future__ import annotations

from flask import Response, current_app, request

from portal.core.federation.models import PendingSignIn
from portal.core.federation.sign_ins import SignInRefused
from portal.core.secrets import hash_token
from portal.core.space.models import Space
from portal.home.trusting import settings

BINDING_COOKIE = "portal_sign_in"
_TABS = 5  # sign-ins that one browser may have under way at the same time


def bind(response: Response, space: Space, token: str) -> None:
    """One more."""
    _set(response, space, [*_tokens(), token][-_TABS:])


def check_binding(pending: PendingSignIn) -> None:
    """SignInRefused when another browser asked."""
    if all(hash_token(token) != pending.binding_hash for token in _tokens()):
        raise SignInRefused("other-browser", "this browser did not ask for the sign-in")


def unbind(response: Response, space: Space, pending: PendingSignIn) -> None:
    """One less."""
    _set(response, space, [token for token in _tokens() if hash_token(token) != pending.binding_hash])


def _tokens() -> list[str]:
    return [token for token in request.cookies.get(BINDING_COOKIE, "").split(".") if token]


def _set(response: Response, space: Space, tokens: list[str]) -> None:
    """The IdP's answer is a cross-site POST, with which a Lax cookie is not sent: hence None, which needs https.

    On plain http it has no SameSite: browsers then send it for two minutes after it was set.
    """
    secure = current_app.config["SESSION_COOKIE_SECURE"]
    response.set_cookie(
        BINDING_COOKIE,
        ".".join(tokens),
        path=f"/saml/{space.name}",
        max_age=settings().sign_in_minutes * 60 if tokens else 0,
        secure=secure,
        httponly=True,
        samesite="None" if secure else None,
    )
