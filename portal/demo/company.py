"""The sample company: accounts, people, what they may do. Plain data; data.py makes it."""

from __future__ import annotations

from dataclasses import dataclass

from portal.core.directory.models import Source

ORGANIZATION = "Acme"
SPACE = "acme"
ADMINISTRATOR = "admin"
ADMINISTRATOR_PASSWORD = "acme-administrator"  # noqa: S105 -- printed at the start, for this data only
EMPLOYEE_PASSWORD = "welcome-to-acme"  # noqa: S105 -- the sample IdP shows it


@dataclass(frozen=True)
class Person:
    user_name: str
    given_name: str
    family_name: str
    job: str
    source: Source = Source.SCIM
    enabled: bool = True

    @property
    def display_name(self) -> str:
        return f"{self.given_name} {self.family_name}"


PEOPLE = (
    Person("alice", "Alice", "Chen", "Platform lead: several accounts, several roles, both ways to log in"),
    Person("bob", "Bob", "Martin", "Developer: one account, one role"),
    Person("carol", "Carol", "Diaz", "New hire: nothing granted yet"),
    Person("dave", "Dave", "Okafor", "Platform engineer"),
    Person("erin", "Erin", "Novak", "Platform engineer"),
    Person("wei", "Wei", "Zhang 张伟", "Platform engineer"),
    Person("frank", "Frank", "Weber", "Controller"),
    Person("grace", "Grace", "Kim", "Data analyst"),
    Person("heidi", "Heidi", "Larsen", "Has left: login disabled", enabled=False),
    Person("ivan", "Ivan", "Petrov", "External auditor", Source.MANUAL),
    Person("judy", "Judy", "Ahmed", "External auditor", Source.MANUAL),
    Person("oscar", "Oscar", "Silva", "Contractor", Source.MANUAL),
)

DEPARTMENTS = {"Engineering": "", "Platform": "Engineering", "Finance": ""}
"""Name -> the department above it; "" is Root."""

ACCOUNTS = {
    "production": "Platform",
    "data-lake": "Platform",
    "shared-services": "Platform",
    "staging": "Engineering",
    "sandbox": "Engineering",
    "billing": "Finance",
    "erp": "Finance",
    "log-archive": "",
}

GROUPS = {
    "Platform Engineers": (Source.SCIM, ("alice", "dave", "erin", "wei")),
    "Finance Team": (Source.SCIM, ("frank", "grace")),
    "auditors": (Source.MANUAL, ("ivan", "judy")),
    "contractors": (Source.MANUAL, ("oscar",)),
    "All Engineers": (Source.SCIM, ("bob",)),
}
NESTED_GROUPS = {"All Engineers": ("Platform Engineers",)}
"""Name -> the groups inside it."""


@dataclass(frozen=True)
class Role:
    name: str
    description: str
    session_duration: int
    policies: tuple[str, ...]


CONFIGURATIONS = (
    Role("Administrator", "Everything in the account. Short sessions.", 3600, ("AdministratorAccess",)),
    Role(
        "Developer",
        "Runs servers, containers and storage; looks at the network.",
        28800,
        ("QcloudCVMFullAccess", "QcloudTKEFullAccess", "QcloudCOSFullAccess", "QcloudVPCReadOnlyAccess"),
    ),
    Role("DataAnalyst", "Reads databases and buckets.", 14400, ("QcloudCDBReadOnlyAccess", "QcloudCOSReadOnlyAccess")),
    Role("Billing", "Bills, payments and orders.", 7200, ("QCloudFinanceFullAccess",)),
    Role("ReadOnly", "Looks at everything, changes nothing.", 7200, ("ReadOnlyAccess",)),
)


@dataclass(frozen=True)
class Grant:
    roles: tuple[str, ...]
    accounts: tuple[str, ...]
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


GRANTS = (
    Grant(("Developer",), ("sandbox", "staging"), groups=("Platform Engineers",)),
    Grant(("ReadOnly",), ("production",), groups=("Platform Engineers",)),
    Grant(("Administrator",), ("production", "sandbox"), users=("alice",)),
    Grant(("DataAnalyst",), ("data-lake",), users=("alice", "grace")),
    Grant(("Administrator",), ("shared-services",), users=("dave",)),
    Grant(("Developer",), ("sandbox",), users=("bob",), groups=("contractors",)),
    Grant(("Billing",), ("billing", "erp"), groups=("Finance Team",)),
    Grant(("ReadOnly",), ("billing", "log-archive"), groups=("auditors",)),
)

OWN_CAM_USER = ("production", "alice")
"""A CAM user that the account has of its own: alice's synchronized one gets the suffix _cic there."""

SYNCED_USERS = {"alice": "production", "dave": "shared-services"}
SYNCED_GROUPS = {"Platform Engineers": "sandbox"}
