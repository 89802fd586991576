"""Whom a SAML response speaks for in an account: nothing of it counts that the account itself did not set up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from portal.clouds.sites import SITES
from portal.core import clock
from portal.core.cam import providers, roles, users
from portal.core.cam.models import CamIdentityProvider, CamRole, CamUser
from portal.core.errors import Forbidden
from saml.errors import SamlError
from saml.issuing import MAX_RESPONSE
from saml.metadata import parse_identity_provider
from saml.service_provider import Assertion, ServiceProvider, accept_response

_SITE = SITES["local"]
ROLE, ROLE_SESSION_NAME = _SITE.role_attribute, _SITE.session_name.attribute
SOURCE_IDENTITY = _SITE.person_attribute or ""

_NAME = r"[A-Za-z0-9+=.@_-]{1,128}"
_ROLE_VALUE = re.compile(rf"qcs::cam::uin/([0-9]+):roleName/({_NAME}),qcs::cam::uin/([0-9]+):saml-provider/({_NAME})")
_SOURCE_IDENTITY = re.compile(r"[A-Za-z0-9+=,.@_-]{2,64}")


@dataclass(frozen=True)
class Speaker:
    """`principal` is the role or CAM user that the response opens the account for, `name` who comes in as it.

    `source_identity` is the person behind any name, "" when the identity provider does not say.
    """

    principal: CamRole | CamUser
    name: str
    provider: CamIdentityProvider
    assertion: Assertion
    source_identity: str


def hear(session: Session, account_uin: int, saml_response: str, *, base_url: str, skew: timedelta) -> Speaker:
    """Judge a response that nobody asked for (IdP-initiated).

    Raises SamlError when no identity provider of the account vouches for it, Forbidden when one does, but in vain.
    """
    if len(saml_response) > MAX_RESPONSE:
        raise SamlError("size", f"{len(saml_response)} characters of base64, at most {MAX_RESPONSE} are taken")
    entity_id = f"{base_url}/accounts/{account_uin}"
    service = ServiceProvider(entity_id=entity_id, acs_url=f"{entity_id}/saml/acs")
    provider, assertion = _verify(session, account_uin, service, saml_response, skew)
    person = _person(assertion.attributes)
    if ROLE in assertion.attributes:
        role = _role(session, provider, _only(assertion.attributes, ROLE), audience=entity_id)
        name = _only(assertion.attributes, ROLE_SESSION_NAME)
        if not _SITE.session_name.allows(name):
            raise Forbidden("RoleSessionName is not 2 to 32 letters, digits and + = , . @ _ -")
        return Speaker(role, name, provider, assertion, person)
    user = _user(session, provider, assertion.name_id)
    return Speaker(user, assertion.name_id, provider, assertion, person)


def _verify(
    session: Session, account_uin: int, service: ServiceProvider, saml_response: str, skew: timedelta
) -> tuple[CamIdentityProvider, Assertion]:
    """By the identity provider of this account that the response names as its issuer."""
    for provider in providers.providers_of(session, account_uin):
        described = parse_identity_provider(provider.metadata_xml, now=clock.now())
        try:
            assertion = accept_response(service, described, saml_response, request_id=None, now=clock.now(), skew=skew)
        except SamlError as error:
            if error.reason == "issuer":
                continue
            raise
        return provider, assertion
    raise SamlError("issuer", "no identity provider of this account issued the response")


def _role(session: Session, provider: CamIdentityProvider, value: str, *, audience: str) -> CamRole:
    parts = _ROLE_VALUE.fullmatch(value)
    if parts is None:
        raise Forbidden("The attribute Role is not one role and one identity provider.")
    role_account, role_name, provider_account, provider_name = parts.groups()
    if role_account != str(provider.account_uin) or provider_account != role_account:
        raise Forbidden("The attribute Role names another account.")
    if provider_name != provider.name:
        raise Forbidden("The attribute Role names another identity provider than the one that issued the response.")
    role = roles.find_role(session, provider.account_uin, role_name)
    if role is None:
        raise Forbidden(f"There is no role {role_name} in this account.")
    if not roles.admits_saml(role, provider_name=provider.name, audience=audience):
        raise Forbidden(f"The role {role_name} does not trust {provider.name}.")
    return role


def _user(session: Session, provider: CamIdentityProvider, name: str) -> CamUser:
    """Only a user that the same space synchronized: an identity provider never opens the account's own users."""
    user = users.find_cam_user(session, provider.account_uin, name)
    if user is None or user.name != name:
        raise Forbidden(f"There is no CAM user {name} in this account.")
    if user.type != users.SYNCHRONIZED or user.managed_by is None or user.managed_by != provider.managed_by:
        raise Forbidden(f"The CAM user {name} is not synchronized by {provider.name}.")
    return user


def _person(attributes: Mapping[str, tuple[str, ...]]) -> str:
    if SOURCE_IDENTITY not in attributes:
        return ""
    value = _only(attributes, SOURCE_IDENTITY)
    if not _SOURCE_IDENTITY.fullmatch(value):
        raise Forbidden("SourceIdentity is not 2 to 64 letters, digits and + = , . @ _ -")
    return value


def _only(attributes: Mapping[str, tuple[str, ...]], name: str) -> str:
    values = attributes.get(name, ())
    if len(values) != 1:
        raise Forbidden(f"{name.rpartition('/')[2]} has {len(values)} values instead of one.")
    return values[0]
