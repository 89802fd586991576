"""Where the IdP's answers come in: to a request of ours, or (a setting, off by default) without one.

What nobody asked for is bound to no browser. A stolen answer of that kind works once, for minutes, in any browser; and
a stranger can send a visitor's browser here with an answer about himself (login CSRF). Against the first: every
assertion counts once, and one that answers a request is never taken as one that answers none. Against the second:
such a sign-in never takes the place of another person's session by itself, see arriving.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any

from flask import Response, make_response, redirect, request, url_for
from flask.blueprints import BlueprintSetupState

from portal.core.federation import sign_ins
from portal.core.federation.models import PendingSignIn, SignInPurpose
from portal.core.federation.sign_ins import SignInRefused
from portal.home import blueprint
from portal.home.answers import Answer
from portal.home.arriving import set_arrival
from portal.home.testing import take_answer
from portal.home.trusting import only_field, trust_of
from portal.web import binding
from portal.web.permissions import Permission, requires
from portal.web.sessions import EMPLOYEE_COOKIE, anonymous_actor, set_cookie
from portal.web.targets import own_path
from portal.web.transactions import database, db
from saml.errors import SamlError
from saml.service_provider import Assertion, response_in_response_to


@blueprint.record_once
def _take_foreign_posts(state: BlueprintSetupState) -> None:
    """The IdP's form cannot carry our CSRF token; pending row, cookie and RelayState stand in for it."""
    state.app.extensions["csrf"].exempt(acs)


@blueprint.post("/saml/<space>/acs")
@requires(Permission.PUBLIC)
def acs(space: str) -> Any:
    answer = Answer(trust_of(space))
    try:
        answer.saml_response = only_field("SAMLResponse")
        request_id = response_in_response_to(answer.saml_response)
        return _unsolicited(answer) if request_id is None else _solicited(answer, request_id)
    except (SamlError, SignInRefused) as error:
        return answer.refuse(error)


def _solicited(answer: Answer, request_id: str) -> Any:
    pending = answer.pending = _take_out(answer, request_id)
    if pending.purpose == SignInPurpose.TEST:
        return take_answer(answer.trust.space, pending, answer.saml_response)
    left = binding.bound_but(pending.binding_hash)
    if left is None:
        raise SignInRefused("other-browser", "this browser did not ask for the sign-in")
    if not hmac.compare_digest(only_field("RelayState").encode(), pending.relay_token.encode()):
        raise SignInRefused("relay-state", "the RelayState is not the one that was sent")
    idp = answer.trust.idp
    if idp and idp.entity_id != pending.idp_entity_id:
        raise SignInRefused("idp-changed", f"asked {pending.idp_entity_id}, now {idp.entity_id} is set")
    assertion = answer.judge(pending.request_id)
    token, expires = _sign_in(answer, assertion, replaces=pending.replaces)
    response = make_response(redirect(pending.target, 303))
    set_cookie(response, EMPLOYEE_COOKIE, token, path="/", expires=expires)
    binding.bind(response, answer.trust.space.name, left)
    return response


def _take_out(answer: Answer, request_id: str) -> PendingSignIn:
    """In a transaction of its own, so that the request is used up even when the answer is refused."""
    space = answer.trust.space
    with database.transaction() as session:
        pending = sign_ins.take_pending(session, space=space, request_id=request_id)
    if pending is not None:
        return pending
    assertion = answer.judge(request_id)  # a stranger's is refused here, for what is wrong with it
    with database.transaction(write=False) as session:
        if sign_ins.was_used(session, space, assertion.id):
            raise SignInRefused("replayed", f"assertion {assertion.id}")
    raise SignInRefused("no-such-request", f"{request_id} was not asked, is answered, or is too old")


def _unsolicited(answer: Answer) -> Response:
    assertion = answer.judge(None)
    if not answer.trust.choices.idp_initiated:
        raise SignInRefused("unsolicited", "nobody asked, and sign-in that the identity provider starts is off")
    with database.transaction() as session:  # used up even when it is refused in the end
        sign_ins.use_up(session, answer.trust.space, answer.vouched(assertion))
    token, _expires = _sign_in(answer, assertion, once=False)
    target = own_path(request.form.get("RelayState"), otherwise=url_for("home.portal"))
    response = make_response(redirect(url_for("home.arrive", space=answer.trust.space.name, next=target), 303))
    set_arrival(response, token)
    return response


def _sign_in(
    answer: Answer, assertion: Assertion, *, replaces: str | None = None, once: bool = True
) -> tuple[str, datetime]:
    space = answer.trust.space
    sign_in, user, token = sign_ins.finish_sign_in(
        db(),
        anonymous_actor(space.organization_id),
        space=space,
        vouched=answer.vouched(assertion),
        choices=answer.trust.choices,
        session_expires=answer.session_ends(assertion),
        replaces=replaces,
        user_agent=request.headers.get("User-Agent", ""),
        once=once,
    )
    answer.record_accepted(db(), user.user_name)
    return token, sign_in.expires_at
