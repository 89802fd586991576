"""`attributes` and `excludedAttributes` (RFC 7644 section 3.9): what of a resource goes into an answer.

`schemas` and `id` always do. Applies to every answer that holds a resource, so to POST, PUT and PATCH as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scim.attributes import ResourceType
from scim.shaping import Resource, split_uri

_ALWAYS = ("schemas", "id")
Paths = Mapping[tuple[str, str], frozenset[str]]


@dataclass(frozen=True)
class Projection:
    """Each maps (schema URN, attribute) to the named sub-attributes; an empty set stands for the whole attribute."""

    only: Paths | None = None
    without: Paths | None = None

    def wants(self, resource_type: ResourceType, name: str) -> bool:
        """Whether an attribute of the core schema is asked for at all: what is not need not be read."""
        key = (resource_type.schema.id, name)
        if self.only is not None:
            return key in self.only
        return self.without is None or self.without.get(key) != frozenset()

    def of(self, resource_type: ResourceType, resource: Resource) -> Resource:
        if self.only is None and self.without is None:
            return resource
        extensions = {schema.id for schema in resource_type.extensions}
        result = self._of_schema(resource_type.schema.id, resource, skip=extensions)
        for uri in extensions & resource.keys():
            if part := self._of_schema(uri, resource[uri]):
                result[uri] = part
        return result

    def _of_schema(self, uri: str, values: Resource, skip: Iterable[str] = ()) -> Resource:
        result: Resource = {}
        for name, value in values.items():
            if name in skip:
                continue
            shown = value if name in _ALWAYS else self._shown((uri, name), value)
            if shown is not None:
                result[name] = shown
        return result

    def _shown(self, key: tuple[str, str], value: Any) -> Any:
        if self.only is not None:
            if key not in self.only:
                return None
            subs = self.only[key]
            return _cut(value, lambda name: name in subs) if subs else value
        subs = (self.without or {}).get(key, frozenset({""}))
        return _cut(value, lambda name: name not in subs) if subs else None


def _cut(value: Any, keep: Any) -> Any:
    if isinstance(value, list):
        return [entry for item in value if (entry := _cut(item, keep))] or None
    if isinstance(value, dict):
        return {name: inner for name, inner in value.items() if keep(name)} or None
    return value


def projection(resource_type: ResourceType, attributes: str, excluded: str) -> Projection:
    """From the two query values; with both, `attributes` counts. Unknown names are passed over."""
    if attributes.strip():
        return Projection(only=_paths(resource_type, attributes))
    return Projection(without=_paths(resource_type, excluded)) if excluded.strip() else Projection()


def _paths(resource_type: ResourceType, text: str) -> Paths:
    found: dict[tuple[str, str], frozenset[str]] = {}
    for item in re.sub(r"\[[^\]]*\]", "", text).split(","):
        path = item.strip()
        schema = resource_type.schema_of(path)
        if schema is not None:
            found.update({(schema.id, attribute.name): frozenset() for attribute in schema.attributes})
            continue
        uri, rest = split_uri(resource_type, path)
        name, _, sub = rest.partition(".")
        named = resource_type.find(name, sub or None, uri=uri)
        if named is None:
            continue
        key = (named.schema.id, named.attribute.name)
        if named.sub is None or found.get(key) == frozenset():
            found[key] = frozenset()
        else:
            found[key] = found.get(key, frozenset()) | {named.sub.name}
    return found
