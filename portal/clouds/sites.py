"""Where and how each cloud takes a SAML sign-on (IC-17). Data: a new cloud is one more entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from portal.core.directory.models import User
from portal.core.organization.models import Account


@dataclass(frozen=True)
class Site:
    """`{base_url}`, `{uin}`, `{role}`, `{provider}` are filled in; the session name is cut to `session_name_length`.

    `person_attribute` carries the user's id, by which the sessions of this person are ended later.
    """

    acs_url: str
    audience: str
    role_attribute: str
    role_value: str
    session_name_attribute: str
    session_name_length: int
    person_attribute: str


SITES: Mapping[str, Site] = {
    "local": Site(
        acs_url="{base_url}/accounts/{uin}/saml/acs",
        audience="{base_url}/accounts/{uin}",
        role_attribute="https://cloud.tencent.com/SAML/Attributes/Role",
        role_value="qcs::cam::uin/{uin}:roleName/{role},qcs::cam::uin/{uin}:saml-provider/{provider}",
        session_name_attribute="https://cloud.tencent.com/SAML/Attributes/RoleSessionName",
        session_name_length=32,
        person_attribute="https://cloud.tencent.com/SAML/Attributes/SourceIdentity",
    ),
}
_NOT_IN_SESSION_NAMES = re.compile(r"[^A-Za-z0-9+=,.@_-]")


@dataclass(frozen=True)
class SignOn:
    """What a response to one account must carry, and where the browser posts it."""

    acs_url: str
    audience: str
    attributes: Mapping[str, tuple[str, ...]]


def sign_on_as_role(account: Account, *, base_url: str, role: str, provider: str, user: User) -> SignOn:
    site = SITES[account.cloud]
    value = site.role_value.format(uin=account.uin, role=role, provider=provider)
    session_name = _NOT_IN_SESSION_NAMES.sub("-", user.user_name)[: site.session_name_length]
    return SignOn(
        **_addresses(site, account, base_url),
        attributes={
            site.role_attribute: (value,),
            site.session_name_attribute: (session_name,),
            site.person_attribute: (user.id,),
        },
    )


def sign_on_as_user(account: Account, *, base_url: str, user: User) -> SignOn:
    """Without a role: the NameID is the CAM user's name."""
    site = SITES[account.cloud]
    return SignOn(**_addresses(site, account, base_url), attributes={site.person_attribute: (user.id,)})


def _addresses(site: Site, account: Account, base_url: str) -> dict[str, str]:
    return {
        "acs_url": site.acs_url.format(base_url=base_url, uin=account.uin),
        "audience": site.audience.format(base_url=base_url, uin=account.uin),
    }
