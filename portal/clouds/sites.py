"""Where and how each cloud takes a SAML sign-on (IC-17). Data: a new cloud is one more entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from portal.core.directory.models import User
from portal.core.errors import Invalid
from portal.core.organization.models import Account

_MARK = 6
"""Characters of a user's id that tell apart whose names were cut."""
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"


@dataclass(frozen=True)
class SessionName:
    """Which names a cloud takes for a session: `characters` is the inside of a character class."""

    attribute: str
    characters: str
    shortest: int
    longest: int

    def of(self, user: User) -> str:
        """The user name as far as the cloud takes it; the user's id where nothing of it can be read any more.

        Who is cut is marked with the end of their id, so that two whose names begin alike are two in the cloud's trail.
        """
        name = re.sub(f"[^{self.characters}]", "-", user.user_name)
        name = name if re.search("[A-Za-z0-9]", name) else user.id
        if len(name) > self.longest:
            mark = f"-{user.id[-_MARK:]}"
            name = name[: self.longest - len(mark)] + mark
        return name.ljust(self.shortest, "-")

    def allows(self, name: str) -> bool:
        return bool(re.fullmatch(f"[{self.characters}]{{{self.shortest},{self.longest}}}", name))


@dataclass(frozen=True)
class SessionDuration:
    """In seconds, in clouds that let the response say it; elsewhere the role's own setting counts alone."""

    attribute: str
    shortest: int
    longest: int

    def of(self, seconds: int) -> str:
        return str(min(max(seconds, self.shortest), self.longest))


@dataclass(frozen=True)
class Door:
    """`{base_url}` and `{uin}` are filled in."""

    acs_url: str
    audience: str


@dataclass(frozen=True)
class Site:
    """`{uin}`, `{role}` and `{provider}` are filled in in `role_value`; `user` is None where users have no sign-on.

    `person_attribute` carries the user's id, by which the sessions of this person are ended later; None where the cloud
    knows no such attribute. In AWS the trust of the role must allow sts:SetSourceIdentity for it.
    """

    role: Door
    user: Door | None
    role_attribute: str
    role_value: str
    session_name: SessionName
    duration: SessionDuration | None
    person_attribute: str | None
    name_id_format: str


_TENCENT = "https://cloud.tencent.com/SAML/Attributes/"
_AWS = "https://aws.amazon.com/SAML/Attributes/"
_ALIBABA = "https://www.aliyun.com/SAML-Role/Attributes/"
_TENCENT_ROLE = "qcs::cam::uin/{uin}:roleName/{role},qcs::cam::uin/{uin}:saml-provider/{provider}"
_HOUR = 3600


def _tencent(role: Door, *, user: Door | None = None, person_attribute: str | None = None) -> Site:
    """User sign-on of Tencent Cloud is set up per account and shuts out passwords there: not a door of ours."""
    return Site(
        role=role,
        user=user,
        role_attribute=f"{_TENCENT}Role",
        role_value=_TENCENT_ROLE,
        session_name=SessionName(f"{_TENCENT}RoleSessionName", "A-Za-z0-9+=,.@_-", 2, 32),
        duration=None,
        person_attribute=person_attribute,
        name_id_format=UNSPECIFIED,
    )


def _alibaba(host: str) -> Site:
    """The NameID of a user is the whole name: user@domain."""
    return Site(
        role=Door(f"https://{host}/saml-role/sso", "urn:alibaba:cloudcomputing"),
        user=Door(f"https://{host}/saml/SSO", f"https://{host}/{{uin}}/saml/SSO"),
        role_attribute=f"{_ALIBABA}Role",
        role_value="acs:ram::{uin}:role/{role},acs:ram::{uin}:saml-provider/{provider}",
        session_name=SessionName(f"{_ALIBABA}RoleSessionName", "A-Za-z0-9=.@_-", 2, 64),
        duration=SessionDuration(f"{_ALIBABA}SessionDuration", 900, 12 * _HOUR),
        person_attribute=f"{_ALIBABA}SourceIdentity",
        name_id_format=PERSISTENT,
    )


_EMBEDDED = Door("{base_url}/accounts/{uin}/saml/acs", "{base_url}/accounts/{uin}")

SITES: Mapping[str, Site] = {
    "local": _tencent(_EMBEDDED, user=_EMBEDDED, person_attribute=f"{_TENCENT}SourceIdentity"),
    "tencent": _tencent(Door("https://cloud.tencent.com/login/saml", "cloud.tencent.com")),
    "tencent-intl": _tencent(Door("https://www.tencentcloud.com/login/saml", "www.tencentcloud.com")),
    "aws": Site(
        role=Door("https://signin.aws.amazon.com/saml", "urn:amazon:webservices"),
        user=None,
        role_attribute=f"{_AWS}Role",
        role_value="arn:aws:iam::{uin:012}:role/{role},arn:aws:iam::{uin:012}:saml-provider/{provider}",
        session_name=SessionName(f"{_AWS}RoleSessionName", "A-Za-z0-9+=,.@_-", 2, 64),
        duration=SessionDuration(f"{_AWS}SessionDuration", 900, 12 * _HOUR),
        person_attribute=f"{_AWS}SourceIdentity",
        name_id_format=PERSISTENT,
    ),
    "alibaba": _alibaba("signin.aliyun.com"),
    "alibaba-intl": _alibaba("signin.alibabacloud.com"),
}
_NAME = re.compile(r"[A-Za-z0-9+=.@_-]{1,128}")
"""Of a role or identity provider: nothing that ends it or begins another one inside the value of an attribute."""


@dataclass(frozen=True)
class SignOn:
    """What a response to one account must carry, and where the browser posts it."""

    acs_url: str
    audience: str
    name_id: str
    name_id_format: str
    attributes: Mapping[str, tuple[str, ...]]


def sign_on_as_role(
    account: Account, *, base_url: str, role: str, provider: str, user: User, duration: timedelta
) -> SignOn:
    """Raises Invalid for a cloud that nobody here knows, and for names that would mean something else there."""
    site = _site(account)
    for name in (role, provider):
        if not _NAME.fullmatch(name):
            raise Invalid(f"{name} is no name of a role or identity provider.")
    attributes = {
        site.role_attribute: site.role_value.format(uin=account.uin, role=role, provider=provider),
        site.session_name.attribute: site.session_name.of(user),
    }
    if site.duration:
        attributes[site.duration.attribute] = site.duration.of(round(duration.total_seconds()))
    return _sign_on(site, site.role, account, base_url, user, name_id=user.user_name, attributes=attributes)


def sign_on_as_user(account: Account, *, base_url: str, user: User, name: str) -> SignOn:
    """Without a role: the NameID is the `name` of the CAM user. Raises Invalid where a cloud takes no such sign-on."""
    site = _site(account)
    if site.user is None:
        raise Invalid(f"The cloud of account {account.uin} takes no sign-on as a user, only as a role.")
    return _sign_on(site, site.user, account, base_url, user, name_id=name, attributes={})


def _site(account: Account) -> Site:
    if account.cloud not in SITES:
        raise Invalid(f"Account {account.uin} is in the cloud {account.cloud}, which this installation does not know.")
    return SITES[account.cloud]


def _sign_on(
    site: Site, door: Door, account: Account, base_url: str, user: User, *, name_id: str, attributes: dict[str, str]
) -> SignOn:
    if site.person_attribute:
        attributes |= {site.person_attribute: user.id}
    return SignOn(
        acs_url=door.acs_url.format(base_url=base_url, uin=account.uin),
        audience=door.audience.format(base_url=base_url, uin=account.uin),
        name_id=name_id,
        name_id_format=site.name_id_format,
        attributes={name: (value,) for name, value in attributes.items()},
    )
