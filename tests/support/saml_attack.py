"""One honest sign-in, and small edits that make it dishonest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree

from saml.errors import SamlError
from saml.parties import IdentityProvider, ServiceProvider
from saml.service_provider import Assertion, accept_response
from tests.support.saml_idp import DS, SAML, SAMLP, TestIdp

NOW = datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC)
SP = ServiceProvider("https://portal.example.test/metadata", "https://portal.example.test/saml/acme/acs")
IDP = TestIdp()
TRUSTED = IDP.identity_provider()
REQUEST = "_request"


def respond(name_id: str = "alice", **tweaks: Any) -> str:
    tweaks.setdefault("now", NOW)
    return IDP.respond(REQUEST, SP.acs_url, tweaks.pop("audience", SP.entity_id), name_id, **tweaks)


def accept(
    response: str,
    request_id: str | None = REQUEST,
    now: datetime = NOW,
    trusted: IdentityProvider = TRUSTED,
    **choices: Any,
) -> Assertion:
    """`choices`: those of the space, see accept_response."""
    return accept_response(SP, trusted, response, request_id=request_id, now=now, **choices)


def refusal(response: str, **arguments: Any) -> str:
    with pytest.raises(SamlError) as refused:
        accept(response, **arguments)
    return refused.value.reason


def the(response: etree._Element, name: str) -> etree._Element:
    return next(response.iter(f"{{*}}{name}"))


def setting(name: str, attribute: str, value: str | None) -> Callable[[etree._Element], None]:
    """An edit that sets, or removes, an attribute of the first element of that name."""

    def edit(response: etree._Element) -> None:
        if value is None:
            del the(response, name).attrib[attribute]
        else:
            the(response, name).set(attribute, value)

    return edit


def removing(name: str) -> Callable[[etree._Element], None]:
    def edit(response: etree._Element) -> None:
        element = the(response, name)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return edit


def writing(name: str, text: str) -> Callable[[etree._Element], None]:
    def edit(response: etree._Element) -> None:
        the(response, name).text = text

    return edit


def adding(name: str, fragment: str) -> Callable[[etree._Element], None]:
    """An edit that appends a fragment to the first element of that name."""

    def edit(response: etree._Element) -> None:
        wrapped = f'<x xmlns:saml="{SAML[1:-1]}" xmlns:samlp="{SAMLP[1:-1]}" xmlns:ds="{DS[1:-1]}">{fragment}</x>'
        the(response, name).extend(list(etree.fromstring(wrapped)))

    return edit
