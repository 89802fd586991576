"""What a strict credential is held to, read before the tolerant code sees it: that takes what IdPs send and guesses.

The measure are RFC 7643 and RFC 7644; where draft-zollner-scim-interop-profile is narrower (a path for every operation
of a PATCH, invalidSyntax for what no schema defines), the profile, because the ServiceProviderConfig claims it.
Attribute names have no case, read-only attributes are passed over and null means unassigned here too: so says the RFC.

What needs the state of a resource or the text of a filter is decided there, by an argument `strict`: patch (a filter
without a match, replacing a complex attribute), parsing (what the grammar does not have).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

from scim.attributes import Attribute, Found, ResourceType, Schema
from scim.errors import invalid_filter, invalid_path, invalid_syntax, invalid_value, mutability
from scim.parsing import And, Comparison, Node, Not, OneEntry, Or
from scim.patch import target_of
from scim.shaping import split_uri

_MESSAGES = "urn:ietf:params:scim:api:messages:2.0:"
_LISTS = ("attributes", "excludedAttributes")
_TEXTS = ("filter", "sortBy", "sortOrder", "cursor")
_NUMBERS = ("startIndex", "count")
_BULK_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_DATE_TIME = re.compile(r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ScimError 400 invalidSyntax when it has two members of one name."""
    found = dict(pairs)
    if len({name.lower() for name in found}) < len(pairs):
        raise invalid_syntax("An object has the same name twice.")
    return found


def check_resource(resource_type: ResourceType, body: Mapping[str, Any]) -> None:
    """A body of POST or PUT. Raises ScimError 400 invalidSyntax, invalidValue."""
    listed = _schemas(body)
    for uri in listed:
        if uri not in {schema.id for schema in resource_type.schemas}:
            raise invalid_syntax(f"schemas: {resource_type.name} knows no schema {uri[:128]}.")
    if resource_type.schema.id not in listed:
        raise invalid_syntax(f"schemas names {resource_type.schema.id}.")
    for key, value in body.items():
        schema = next((each for each in resource_type.extensions if each.id.lower() == key.lower()), None)
        if schema is None:
            _check_attributes(resource_type, resource_type.schema, {key: value})
        elif value is not None:
            if schema.id not in listed:
                raise invalid_syntax(f"schemas names {schema.id}, whose attributes are there.")
            _check_attributes(resource_type, schema, value)


def check_patch(resource_type: ResourceType, body: Mapping[str, Any]) -> None:
    """What is wrong with the shape of `Operations` as a whole, patch says. Raises ScimError 400."""
    for operation in _message(body, "PatchOp", ("Operations",)):
        given = _named(operation, "An operation", ("op", "path", "value"))
        op, path, value = given.get("op"), given.get("path"), given.get("value")
        if op not in ("add", "replace", "remove"):
            raise invalid_syntax("op is add, replace or remove, in small letters.")
        if not isinstance(path, str) or not path:
            raise invalid_syntax("Every operation has a path.")
        if op == "remove" and value is not None:
            raise invalid_syntax("remove has no value: what goes is said by the path.")
        _check_target(resource_type, op, path, value)


def _check_target(resource_type: ResourceType, op: str, path: str, value: Any) -> None:
    schema = next((each for each in resource_type.extensions if each.id.lower() == path.lower()), None)
    if schema is not None:
        if op != "remove":
            _check_attributes(resource_type, schema, value, writing=True)
        return
    target = target_of(resource_type, path, strict=True)
    if target is None or not _is_qualified(resource_type, target.found, split_uri(resource_type, path)[0]):
        raise invalid_syntax(f"{resource_type.name} has no attribute {path[:128]}.")
    if target.filter is not None:
        if not target.attribute.multi:
            raise invalid_path(f"{target.attribute.name} has one value: there is nothing to choose.")
        _check_parts(target.attribute, target.filter)
    if op != "remove" and not target.found.leaf.read_only:
        one_entry = target.filter is not None and target.sub is None
        _check_value(target.found.leaf, value, entry=one_entry)


def check_bulk(body: Mapping[str, Any]) -> None:
    """The data of the operations is checked where they are done. Raises ScimError 400 invalidSyntax."""
    for operation in _message(body, "BulkRequest", ("failOnErrors", "Operations")):
        given = _named(operation, "An operation", ("method", "bulkId", "version", "path", "data"))
        if given.get("method") not in _BULK_METHODS:
            raise invalid_syntax("method is POST, PUT, PATCH or DELETE, in capitals.")


def check_search_body(body: Mapping[str, Any]) -> None:
    """RFC 7644 section 3.4.3. Raises ScimError 400 invalidSyntax, invalidValue."""
    _message(body, "SearchRequest", (*_TEXTS, *_NUMBERS, *_LISTS))
    given = {name: value for name, value in body.items() if value is not None}
    for name in _TEXTS:
        if not isinstance(given.get(name, ""), str):
            raise invalid_value(f"{name} is text.")
    for name in _NUMBERS:
        if not isinstance(number := given.get(name, 1), int) or isinstance(number, bool):
            raise invalid_value(f"{name} is a whole number.")
    for name in _LISTS:
        if not isinstance(names := given.get(name, []), list) or not all(isinstance(each, str) for each in names):
            raise invalid_value(f"{name} is a list of names.")


def check_search(resource_type: ResourceType, asked: Mapping[str, str]) -> None:
    """Raises ScimError 400 invalidValue, invalidFilter (sortBy)."""
    check_projection(asked)
    for name in _NUMBERS:
        if name in asked and not asked[name].strip():
            raise invalid_value(f"{name} is a whole number.")
    if asked.get("sortOrder", "ascending") not in ("ascending", "descending"):
        raise invalid_value("sortOrder is ascending or descending.")
    uri, rest = split_uri(resource_type, asked.get("sortBy", ""))
    name, _, sub = rest.partition(".")
    found = resource_type.find(name, sub or None, uri=uri)
    if found is not None and not _is_qualified(resource_type, found, uri):
        raise invalid_filter(f"sortBy: {resource_type.name} has no attribute {rest}.")


def check_projection(asked: Mapping[str, str]) -> None:
    """RFC 7644 section 3.9. Raises ScimError 400 invalidValue."""
    if all(asked.get(name) for name in _LISTS):
        raise invalid_value("attributes and excludedAttributes exclude each other.")
    if any("[" in asked.get(name, "") for name in _LISTS):
        raise invalid_value("attributes and excludedAttributes hold names of attributes, no filters.")


def check_filter(resource_type: ResourceType, node: Node) -> None:
    """Names that stand for themselves and values of the right type. Raises ScimError 400 invalidFilter."""
    if isinstance(node, And | Or):
        for part in node.parts:
            check_filter(resource_type, part)
    elif isinstance(node, Not):
        check_filter(resource_type, node.part)
    else:
        path = node.path
        found = resource_type.find(path.name, path.sub, uri=path.uri)
        if found is None:
            return  # filters says so
        if not _is_qualified(resource_type, found, path.uri):
            raise invalid_filter(f"{path.name} stands in a filter with the URN of its schema, {found.schema.id}.")
        if isinstance(node, OneEntry):
            _check_parts(found.attribute, node.filter)
        else:
            _check_literal(found.leaf, node)


def _check_parts(attribute: Attribute, node: Node) -> None:
    if isinstance(node, And | Or):
        for part in node.parts:
            _check_parts(attribute, part)
    elif isinstance(node, Not):
        _check_parts(attribute, node.part)
    elif isinstance(node, Comparison):
        sub = attribute.sub(node.path.name)
        if sub is not None:
            _check_literal(sub, node)


def _check_literal(attribute: Attribute, node: Comparison) -> None:
    value = node.value
    if attribute.type == "complex":
        attribute = attribute.sub("value") or attribute
    if node.op == "pr" or value is None or attribute.type == "complex":
        return
    if not isinstance(value, bool if attribute.type == "boolean" else str):
        raise invalid_filter(f"{attribute.name} is compared with a value of its type, {attribute.type}.")
    if attribute.type == "dateTime" and not _DATE_TIME.fullmatch(str(value)):
        raise invalid_filter(f"{attribute.name} is compared with a time such as 2026-01-31T12:00:00Z.")


def _is_qualified(resource_type: ResourceType, found: Found, uri: str | None) -> bool:
    """Attributes of an extension have its URN before them (RFC 7644 section 3.10)."""
    return uri is not None or found.schema is resource_type.schema


def _check_attributes(resource_type: ResourceType, schema: Schema, values: Any, *, writing: bool = False) -> None:
    """`writing`: read-only attributes are an error, as in a PATCH that names them. An extension's object may say whose
    attributes it holds: so does scim2-models.
    """
    if not isinstance(values, Mapping):
        raise invalid_value(f"{schema.id} is an object.")
    for name, value in values.items():
        found = resource_type.find(name, uri=schema.id)
        if found is None and name == "schemas" and value == [schema.id]:
            continue
        if found is None:
            raise invalid_syntax(f"{schema.name} has no attribute {name[:128]}.")
        if not found.attribute.read_only:
            _check_value(found.attribute, value)
        elif writing:
            raise mutability(f"{name} is read-only.")


def _check_value(attribute: Attribute, value: Any, *, entry: bool = False) -> None:
    """`entry`: one of the values of a multi-valued attribute."""
    if value is None and not entry:
        return
    if attribute.multi and not entry:
        if not isinstance(value, list):
            raise invalid_value(f"{attribute.name} is a list.")
        for each in value:
            _check_value(attribute, each, entry=True)
    elif attribute.type == "complex":
        _check_complex(attribute, value)
    elif attribute.type == "boolean":
        if not isinstance(value, bool):
            raise invalid_value(f"{attribute.name} is true or false, not a text.")
    elif not isinstance(value, str):
        raise invalid_value(f"{attribute.name} is text.")
    else:
        _check_text(attribute, value)


def _check_complex(attribute: Attribute, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise invalid_value(f"{attribute.name} is an object.")
    for name, inner in value.items():
        sub = attribute.sub(name)
        if sub is None:
            raise invalid_syntax(f"{attribute.name} has no part {name[:128]}.")
        if not sub.read_only:
            _check_value(sub, inner)


def _check_text(attribute: Attribute, value: str) -> None:
    if attribute.name == "type" and attribute.canonical and value:
        if value.lower() not in (each.lower() for each in attribute.canonical):
            raise invalid_value(f"type is {' or '.join(attribute.canonical)} (canonicalValues).")
    elif attribute.type == "binary":
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            raise invalid_value(f"{attribute.name} is base64.") from None


def _message(body: Mapping[str, Any], name: str, names: Iterable[str]) -> list[Mapping[str, Any]]:
    """The operations of a message, as far as they are objects: the rest is refused where they are read."""
    if _schemas(body) != [_MESSAGES + name]:
        raise invalid_syntax(f'schemas is ["{_MESSAGES}{name}"].')
    operations = _named(body, f"A {name}", ("schemas", *names)).get("operations")
    return [each for each in operations if isinstance(each, Mapping)] if isinstance(operations, list) else []


def _schemas(body: Mapping[str, Any]) -> list[str]:
    listed = next((value for key, value in body.items() if key.lower() == "schemas"), None)
    if not isinstance(listed, list) or not listed or not all(isinstance(uri, str) for uri in listed):
        raise invalid_syntax("schemas is a list of URNs.")
    return listed


def _named(values: Mapping[str, Any], what: str, names: Iterable[str]) -> dict[str, Any]:
    """By name in small letters. Raises ScimError 400 invalidSyntax for a name that is none of `names`."""
    known = {name.lower() for name in names}
    for name in values:
        if name.lower() not in known:
            raise invalid_syntax(f"{what} has no {name[:128]}.")
    return {name.lower(): value for name, value in values.items()}
