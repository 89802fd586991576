"""An organization with an active space, and an administrator signed in through the real form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.core.actor import SYSTEM
from portal.core.cam.models import CamUser
from portal.core.cam.users import create_cam_user
from portal.core.organization.models import Organization
from portal.core.organization.organizations import create_organization
from portal.core.space import spaces
from portal.core.space.models import Space
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import key_pair

PASSWORD = "correct horse battery staple"
FULL_ACCESS = "QcloudOrganizationFullAccess"
READ_ONLY = "QcloudOrganizationReadOnlyAccess"


@dataclass(frozen=True)
class Admin:
    organization: Organization
    space: Space
    cam_user: CamUser


def sign_in(
    browser: Browser,
    make: Make,
    *,
    space: str = "acme",
    user_name: str = "admin",
    policies: Sequence[str] = (FULL_ACCESS,),
) -> Admin:
    """The browser stands on the overview afterwards."""
    organization = make_organization(make, space.title())
    active = activate(make, organization, space)
    cam_user = make_administrator(make, organization, user_name, policies)
    enter(browser, space, user_name)
    return Admin(organization, active, cam_user)


def activate(make: Make, organization: Organization, name: str) -> Space:
    private_key, certificate = key_pair("space")
    with make.transaction() as session:
        return spaces.activate(
            session,
            SYSTEM,
            organization=organization,
            name=name,
            private_key=private_key,
            certificate=certificate,
            secret_key=make.secret_key,
        )


def make_organization(make: Make, name: str) -> Organization:
    with make.transaction() as session:
        return create_organization(session, SYSTEM, name=name)


def make_administrator(
    make: Make, organization: Organization, name: str = "admin", policies: Sequence[str] = (FULL_ACCESS,)
) -> CamUser:
    with make.transaction() as session:
        return create_cam_user(
            session,
            SYSTEM,
            account_uin=organization.admin_uin,
            name=name,
            password=PASSWORD,
            policies=policies,
        )


def enter(
    browser: Browser, account: str | int, user_name: str, password: str = PASSWORD, *, status: int = 200
) -> Browser:
    """Through the sign-in form. `account` is the space's name or the admin account's number."""
    browser.open("/console/login")
    return browser.submit("Sign in", account=account, user_name=user_name, password=password, status=status)
