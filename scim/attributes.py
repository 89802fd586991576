"""The one place that defines what a User and a Group are (RFC 7643 sections 4 and 8.7), and where each attribute lives.

An attribute of a user lives in a column when `column` names one. Everything else is kept as sent in the JSON column
`attributes`, and indexed for filters as rows of `user_values` (see casting).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


@dataclass(frozen=True)
class Attribute:
    """`column` holds the value; `key` its folded copy for comparing without case. `manual` (and `manual_key`) is the
    column that holds the value for a user made by hand, who has no rows in the index.
    """

    name: str
    type: str = "string"
    description: str = ""
    multi: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: str = "readWrite"
    returned: str = "default"
    uniqueness: str = "none"
    canonical: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    subs: tuple[Attribute, ...] = ()
    column: str = ""
    key: str = ""
    manual: str = ""
    manual_key: str = ""
    membership: bool = False

    @property
    def read_only(self) -> bool:
        return self.mutability == "readOnly"

    @property
    def kept(self) -> bool:
        """Whether what a client sends is stored as the attribute's value; the rest is taken and dropped."""
        return self.returned != "never" and self.name != "schemas"

    @cached_property
    def by_name(self) -> dict[str, Attribute]:
        return {sub.name.lower(): sub for sub in self.subs}

    def sub(self, name: str) -> Attribute | None:
        return self.by_name.get(name.lower())


@dataclass(frozen=True)
class Schema:
    id: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]

    @cached_property
    def by_name(self) -> dict[str, Attribute]:
        return {attribute.name.lower(): attribute for attribute in self.attributes}


@dataclass(frozen=True)
class Found:
    """What a path names: the schema it stands in, the attribute and, for `name.givenName`, the sub-attribute."""

    schema: Schema
    attribute: Attribute
    sub: Attribute | None = None

    @property
    def leaf(self) -> Attribute:
        return self.sub or self.attribute


@dataclass(frozen=True)
class ResourceType:
    name: str
    endpoint: str
    description: str
    schema: Schema
    extensions: tuple[Schema, ...] = ()
    schemas: tuple[Schema, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schemas", (self.schema, *self.extensions))

    def schema_of(self, uri: str) -> Schema | None:
        return next((schema for schema in self.schemas if schema.id.lower() == uri.lower()), None)

    def find(self, name: str, sub: str | None = None, *, uri: str | None = None) -> Found | None:
        """Names have no case (RFC 7643 section 2.1). Without a URI the core schema goes first, then the extensions."""
        for schema in self.schemas:
            if uri and schema.id.lower() != uri.lower():
                continue
            attribute = (schema.by_name.get(name.lower())) or (
                _COMMON_BY_NAME.get(name.lower()) if schema is self.schema else None
            )
            if attribute is None:
                continue
            if sub is None:
                return Found(schema, attribute)
            found = attribute.sub(sub)
            return Found(schema, attribute, found) if found else None
        return None


COMMON = (
    Attribute("schemas", "reference", multi=True, required=True, case_exact=True, returned="always"),
    Attribute("id", case_exact=True, mutability="readOnly", returned="always", uniqueness="server", column="id"),
    Attribute("externalId", case_exact=True, column="external_id"),
    Attribute(
        "meta",
        "complex",
        mutability="readOnly",
        subs=(
            Attribute("resourceType", case_exact=True, mutability="readOnly"),
            Attribute("created", "dateTime", mutability="readOnly", column="created_at"),
            Attribute("lastModified", "dateTime", mutability="readOnly", column="updated_at"),
            Attribute("location", "reference", case_exact=True, mutability="readOnly"),
            Attribute("version", case_exact=True, mutability="readOnly"),
        ),
    ),
)
_COMMON_BY_NAME = {attribute.name.lower(): attribute for attribute in COMMON}


def _plural(
    name: str, description: str, *, canonical: tuple[str, ...] = (), value: Attribute | None = None
) -> Attribute:
    """A multi-valued attribute of the usual shape (RFC 7643 section 2.4)."""
    return Attribute(
        name,
        "complex",
        description,
        multi=True,
        subs=(
            value or Attribute("value", description="The value itself."),
            Attribute("display", description="A name for people to read."),
            Attribute("type", description="What it is used for.", canonical=canonical),
            Attribute("primary", "boolean", "Whether this is the preferred entry; true at most once."),
        ),
    )


_NAME = Attribute(
    "name",
    "complex",
    "The parts of the user's name.",
    subs=(
        Attribute("formatted", description="The full name, ready to show."),
        Attribute("familyName", description="Family or last name; at most 64 characters.", manual="family_name"),
        Attribute("givenName", description="Given or first name; at most 64 characters.", manual="given_name"),
        Attribute("middleName", description="Middle names."),
        Attribute("honorificPrefix", description="Title before the name."),
        Attribute("honorificSuffix", description="Suffix after the name."),
    ),
)
_ADDRESSES = Attribute(
    "addresses",
    "complex",
    "Postal addresses.",
    multi=True,
    subs=(
        Attribute("formatted", description="The full address, ready to show."),
        Attribute("streetAddress", description="Street and house number."),
        Attribute("locality", description="City."),
        Attribute("region", description="State or region."),
        Attribute("postalCode", description="Postal code."),
        Attribute("country", description="Country, best as ISO 3166-1 alpha-2."),
        Attribute("type", description="What it is used for.", canonical=("work", "home", "other")),
        Attribute("primary", "boolean", "Whether this is the preferred entry; true at most once."),
    ),
)
_EMAILS = _plural(
    "emails",
    "E-mail addresses. The primary one (else that for work, else the first) is shown in the console and unique.",
    canonical=("work", "home", "other"),
)
EMAILS = replace(
    _EMAILS,
    subs=tuple(
        replace(sub, manual="email", manual_key="email_key") if sub.name == "value" else sub for sub in _EMAILS.subs
    ),
)
_GROUPS = Attribute(
    "groups",
    "complex",
    "The user groups that the user is in; changed at the group.",
    multi=True,
    mutability="readOnly",
    membership=True,
    subs=(
        Attribute("value", description="The group's id.", case_exact=True, mutability="readOnly"),
        Attribute(
            "$ref", "reference", "The group's address.", case_exact=True, mutability="readOnly", references=("Group",)
        ),
        Attribute("display", description="The group's name.", mutability="readOnly"),
        Attribute(
            "type",
            description="How the user is in it: put in itself, or only through a group inside it.",
            mutability="readOnly",
            canonical=("direct", "indirect"),
        ),
    ),
)
_URL = Attribute("value", "reference", "The address.", case_exact=True, references=("external",))
_BINARY = Attribute("value", "binary", "A certificate, DER in base64.", case_exact=True)

_PLAIN_TYPES = ("work", "home", "other")

_USER_SCHEMA = Schema(
    USER,
    "User",
    "User account",
    (
        Attribute(
            "userName",
            description="Unique in the space without regard to case: 1 to 64 letters, digits and + = , . @ - _",
            required=True,
            uniqueness="server",
            column="user_name",
            key="user_name_key",
        ),
        _NAME,
        Attribute("displayName", description="The name to show.", column="display_name", key="display_name_key"),
        Attribute("nickName", description="The casual name."),
        Attribute("profileUrl", "reference", "The user's page.", case_exact=True, references=("external",)),
        Attribute("title", description="The user's title."),
        Attribute("userType", description="The relationship with the company."),
        Attribute("preferredLanguage", description="Preferred language, as in Accept-Language."),
        Attribute("locale", description="Locale such as en-US."),
        Attribute("timezone", description="Time zone such as Asia/Shanghai."),
        Attribute(
            "active",
            "boolean",
            "Whether the user may sign in; false ends the user's sessions at once.",
            column="enabled",
        ),
        Attribute(
            "password",
            description="Taken and dropped: people sign in at the IdP, nobody has a password here.",
            mutability="writeOnly",
            returned="never",
        ),
        EMAILS,
        _plural("phoneNumbers", "Telephone numbers.", canonical=("work", "home", "mobile", "fax", "pager", "other")),
        _plural(
            "ims",
            "Instant messaging addresses.",
            canonical=("aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo", "other"),
        ),
        _plural("photos", "Addresses of pictures.", canonical=("photo", "thumbnail"), value=_URL),
        _ADDRESSES,
        _GROUPS,
        _plural("entitlements", "Entitlements, kept for the IdP; they give no access here.", canonical=_PLAIN_TYPES),
        _plural("roles", "Roles, kept for the IdP; they give no access here.", canonical=_PLAIN_TYPES),
        _plural("x509Certificates", "Certificates, kept for the IdP.", canonical=_PLAIN_TYPES, value=_BINARY),
    ),
)
_ENTERPRISE_SCHEMA = Schema(
    ENTERPRISE,
    "EnterpriseUser",
    "Enterprise User",
    (
        Attribute("employeeNumber", description="Number or code in the company."),
        Attribute("costCenter", description="Cost center."),
        Attribute("organization", description="Organization."),
        Attribute("division", description="Division."),
        Attribute("department", description="Department."),
        Attribute(
            "manager",
            "complex",
            "The user's manager.",
            subs=(
                Attribute("value", description="The manager's id.", case_exact=True),
                Attribute("$ref", "reference", "The manager's address.", case_exact=True, references=("User",)),
                Attribute("displayName", description="The manager's name.", mutability="readOnly"),
            ),
        ),
    ),
)
_GROUP_SCHEMA = Schema(
    GROUP,
    "Group",
    "User group",
    (
        Attribute(
            "displayName",
            description="Unique in the space without regard to case: 1 to 128 printable characters.",
            required=True,
            uniqueness="server",
            column="name",
            key="name_key",
        ),
        Attribute(
            "members",
            "complex",
            "The users that were put into the group, and the groups inside it, whose users are in it too.",
            multi=True,
            membership=True,
            subs=(
                Attribute("value", description="The member's id.", case_exact=True, mutability="immutable"),
                Attribute(
                    "$ref",
                    "reference",
                    "The member's address.",
                    case_exact=True,
                    mutability="immutable",
                    references=("User", "Group"),
                ),
                Attribute("display", description="The member's name.", mutability="readOnly"),
                Attribute(
                    "type",
                    description="What the member is; its id tells it as well.",
                    mutability="immutable",
                    canonical=("User", "Group"),
                ),
            ),
        ),
    ),
)

USERS = ResourceType("User", "/Users", "User account", _USER_SCHEMA, (_ENTERPRISE_SCHEMA,))
GROUPS = ResourceType("Group", "/Groups", "User group", _GROUP_SCHEMA)
RESOURCE_TYPES = (USERS, GROUPS)
