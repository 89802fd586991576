"""One account of the embedded cloud with what a space deployed in it, and the responses that open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portal.clouds import RoleSpec, connector_for
from portal.core.access.models import DuplicationStrategy
from portal.core.organization.models import Account
from portal.core.space.models import Space
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import TestIdp

BASE_URL = "http://localhost"
ROLE = "https://cloud.tencent.com/SAML/Attributes/Role"
ROLE_SESSION_NAME = "https://cloud.tencent.com/SAML/Attributes/RoleSessionName"


@dataclass
class OpenAccount:
    """`role` and, when asked for, CAM users are deployed by the connector; `idp` stands for the space towards it."""

    make: Make
    space: Space
    name: str = ""
    policies: tuple[str, ...] = ("QcloudCVMFullAccess",)
    idp: TestIdp = field(default_factory=lambda: TestIdp("http://localhost/saml/acme/idp-metadata"))
    role: str = "TencentCloudSSO-Operations"
    existing: Account | None = None

    def __post_init__(self) -> None:
        self.account: Account = self.existing or self.make.account(self.space, self.name)
        self.uin = self.account.uin
        self.url = f"/accounts/{self.uin}"
        self.acs = f"{self.url}/saml/acs"
        self.connector = connector_for(self.make.database, self.account, base_url=BASE_URL)
        self.connector.ensure_identity_provider(
            name=self.space.provider_name,
            entity_id=self.idp.entity_id,
            metadata_xml=self.idp.metadata(),
            description="",
            managed_by=self.space.id,
        )
        self.deploy(self.role, self.policies)

    def deploy(self, role: str, policies: Sequence[str], *, seconds: int = 3600, provider: str = "") -> None:
        self.connector.ensure_role(
            RoleSpec(
                name=role,
                description="",
                provider_name=provider or self.space.provider_name,
                session_duration=seconds,
                policies=tuple(policies),
                managed_by=self.space.id,
            )
        )

    def synchronize(self, name: str, strategy: DuplicationStrategy = DuplicationStrategy.KEEP_BOTH) -> str:
        return self.connector.ensure_user(name=name, remark="", duplication_strategy=strategy, managed_by=self.space.id)

    def attributes(self, *, uin: int = 0, role: str = "", provider: str = "", who: str = "amy") -> dict[str, list[str]]:
        uin, role, provider = uin or self.uin, role or self.role, provider or self.space.provider_name
        value = f"qcs::cam::uin/{uin}:roleName/{role},qcs::cam::uin/{uin}:saml-provider/{provider}"
        return {ROLE: [value], ROLE_SESSION_NAME: [who]}

    def response(self, name: str = "amy", attributes: Mapping[str, Sequence[str]] | None = None, **tweaks: Any) -> str:
        """For the role, unless other attributes are given; {} makes it one for the CAM user `name`."""
        issued = {
            "audience": f"{BASE_URL}{self.url}",
            "attributes": self.attributes(who=name) if attributes is None else attributes,
            "sign": ("assertion", "response"),
            **tweaks,
        }
        return self.idp.respond(None, f"{BASE_URL}{self.acs}", name_id=name, **issued)

    def enter(self, browser: Browser, response: str = "", *, status: int = 200, **fields: str) -> Browser:
        """Post a response (a genuine one when none is given), as the browser does coming from the portal."""
        return browser.post(self.acs, {"SAMLResponse": response or self.response(), **fields}, status=status)
