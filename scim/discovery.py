"""ServiceProviderConfig, ResourceTypes and Schemas (RFC 7643 sections 5 to 7), made from the attribute definitions."""

from __future__ import annotations

from typing import Any

from scim.attributes import RESOURCE_TYPES, Attribute, ResourceType, Schema

_CORE = "urn:ietf:params:scim:schemas:core:2.0"
DEFAULT_COUNT = 100
MAX_COUNT = 200
MAX_OPERATIONS = 1000
CURSOR_SECONDS = 3600

Document = dict[str, Any]


def service_provider_config(base: str, *, max_body_bytes: int, token_url: str, strict: bool) -> Document:
    """`cursorTimeout` is how long a cursor is good for at least (RFC 9865 section 4). `interopProfileConformant`
    stands there for strict credentials only: the profile has refused what an IdP of today sends.
    """
    return {
        "schemas": [f"{_CORE}:ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {"supported": True, "maxOperations": MAX_OPERATIONS, "maxPayloadSize": max_body_bytes},
        "filter": {"supported": True, "maxResults": MAX_COUNT},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": True,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": DEFAULT_COUNT,
            "maxPageSize": MAX_COUNT,
            "cursorTimeout": CURSOR_SECONDS,
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer credential",
                "description": "A SCIM credential of the space, made in the console, as a bearer token.",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            },
            {
                "type": "oauth2",
                "name": "OAuth 2.0 client credentials",
                "description": f"An access token, got with client credentials of the space at {token_url}",
                "specUri": "https://www.rfc-editor.org/info/rfc6749",
                "primary": False,
            },
        ],
        **({"interopProfileConformant": True} if strict else {}),
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> list[Document]:
    return [_resource_type(resource_type, base) for resource_type in RESOURCE_TYPES]


def schemas(base: str) -> list[Document]:
    return [_schema(schema, base) for resource_type in RESOURCE_TYPES for schema in resource_type.schemas]


def _resource_type(resource_type: ResourceType, base: str) -> Document:
    document: Document = {
        "schemas": [f"{_CORE}:ResourceType"],
        "id": resource_type.name,
        "name": resource_type.name,
        "endpoint": resource_type.endpoint,
        "description": resource_type.description,
        "schema": resource_type.schema.id,
        "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{resource_type.name}"},
    }
    if resource_type.extensions:
        document["schemaExtensions"] = [{"schema": schema.id, "required": False} for schema in resource_type.extensions]
    return document


def _schema(schema: Schema, base: str) -> Document:
    return {
        "schemas": [f"{_CORE}:Schema"],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": [_attribute(attribute) for attribute in schema.attributes],
        "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{schema.id}"},
    }


def _attribute(attribute: Attribute) -> Document:
    document: Document = {
        "name": attribute.name,
        "type": attribute.type,
        "multiValued": attribute.multi,
        "description": attribute.description,
        "required": attribute.required,
        "mutability": attribute.mutability,
        "returned": attribute.returned,
    }
    if attribute.type != "complex":
        document |= {"caseExact": attribute.case_exact, "uniqueness": attribute.uniqueness}
    if attribute.canonical:
        document["canonicalValues"] = list(attribute.canonical)
    if attribute.references:
        document["referenceTypes"] = list(attribute.references)
    if attribute.subs:
        document["subAttributes"] = [_attribute(sub) for sub in attribute.subs]
    return document
