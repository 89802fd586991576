"""What is only asked: lists of users and groups by filter, page and order, and what the service says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, current_app, g, request
from sqlalchemy import ColumnElement

from portal.web.permissions import Permission, requires
from scim import cursors, discovery, everything, filters, oauth, resources, strict
from scim.errors import ScimError, invalid_count, invalid_value
from scim.exchange import answer, blueprint, body, listed, projection_of, route
from scim.parsing import parse
from scim.projection import Projection
from scim.resources import KINDS, Resources, Row
from scim.shaping import text

_MOST = 10**9
_ASKED = {
    name.lower(): name
    for name in ("attributes", "excludedAttributes", "filter", "sortBy", "sortOrder", "startIndex", "count", "cursor")
}


@route("GET")
@requires(Permission.SCIM_CREDENTIAL)
def search(kind: str) -> Response:
    return _search(KINDS[kind], request.args)


@route("POST", "/.search")
@requires(Permission.SCIM_CREDENTIAL)
def search_by_post(kind: str) -> Response:
    """The same question in a body (RFC 7644 section 3.4.3): filters hold personal data, URLs get logged."""
    return _search(KINDS[kind], _question())


@blueprint.get("/", endpoint="search_everything")
@blueprint.post("/.search", endpoint="search_everything_by_post")
@requires(Permission.SCIM_CREDENTIAL)
def search_everything() -> Response:
    """Users and groups in one list (RFC 7644 section 3.4.2.1)."""
    asked = request.args if request.method == "GET" else _question()
    if "cursor" in asked:
        raise invalid_value("Users and groups together come in pages by index: leave cursor out.")
    node = parse(asked["filter"], strict=g.scim.strict) if "filter" in asked else None
    if g.scim.strict:
        for found in KINDS.values():
            strict.check_search(found.type, asked)
            if node is not None:
                strict.check_filter(found.type, node)
    start, count = _page(asked)
    total, rows = everything.find(
        g.scim,
        node=node,
        sort_by=asked.get("sortBy", ""),
        descending=asked.get("sortOrder", "").lower() == "descending",
        start=start,
        count=count,
    )
    shown: dict[str, Any] = {}
    for found in KINDS.values():
        for each in _shown(found, [row for kind, row in rows if kind is found], projection_of(found, asked)):
            shown[each["id"]] = each
    return listed([shown[row.id] for _, row in rows], total, startIndex=start)


def _question() -> dict[str, str]:
    sent = {_ASKED.get(key.lower(), key): value for key, value in body().items()}
    if g.scim.strict:
        strict.check_search_body(sent)
    return {key: _text(key, value) for key, value in sent.items() if value is not None}


def _page(asked: Mapping[str, str]) -> tuple[int, int]:
    """startIndex and count, within bounds."""
    start, count = _integer(asked, "startIndex", 1), _integer(asked, "count", discovery.DEFAULT_COUNT)
    return min(max(start, 1), _MOST), min(max(count, 0), discovery.MAX_COUNT)


def _condition(found: Resources, text: str) -> ColumnElement[bool]:
    node = parse(text, strict=g.scim.strict)
    if g.scim.strict:
        strict.check_filter(found.type, node)
    return filters.where(found.type, node)


def _search(found: Resources, asked: Mapping[str, str]) -> Response:
    if g.scim.strict:
        strict.check_search(found.type, asked)
    start, count = _page(asked)
    condition = _condition(found, asked["filter"]) if "filter" in asked else None
    wanted = projection_of(found, asked)
    if "cursor" in asked:
        key = current_app.extensions["settings"].secret_key
        page = cursors.page(
            g.scim, found, asked=asked, projection=wanted, condition=condition, count=count, secret_key=key
        )
        return listed(_shown(found, page.rows, wanted), page.total, **page.links)
    descending = asked.get("sortOrder", "").lower() == "descending"
    order = filters.order_by(found.type, asked["sortBy"], descending=descending) if asked.get("sortBy") else None
    total, rows = resources.find(g.scim, found, wanted, condition=condition, order=order, start=start, count=count)
    return listed(_shown(found, rows, wanted), total, startIndex=start)


def _shown(found: Resources, rows: Sequence[Row], wanted: Projection) -> list[Any]:
    return found.shown(g.scim, rows, wanted) if rows else []


def _text(name: str, value: Any) -> str:
    return text(name, ",".join(map(str, value)) if isinstance(value, list) else str(value))


@blueprint.get("/ServiceProviderConfig")
@requires(Permission.SCIM_CREDENTIAL)
def service_provider_config() -> Response:
    settings = current_app.extensions["settings"]
    return answer(
        discovery.service_provider_config(
            g.scim.base,
            max_body_bytes=settings.max_body_bytes,
            token_url=settings.base_url + oauth.PATH,
            strict=g.scim.strict,
        )
    )


@blueprint.get("/ResourceTypes", defaults={"name": ""})
@blueprint.get("/ResourceTypes/<name>")
@requires(Permission.SCIM_CREDENTIAL)
def resource_types(name: str) -> Response:
    return _documents(discovery.resource_types(g.scim.base), name)


@blueprint.get("/Schemas", defaults={"name": ""})
@blueprint.get("/Schemas/<name>")
@requires(Permission.SCIM_CREDENTIAL)
def schemas(name: str) -> Response:
    return _documents(discovery.schemas(g.scim.base), name)


def _documents(documents: list[discovery.Document], name: str) -> Response:
    if "filter" in request.args:
        raise ScimError(403, "Discovery documents cannot be filtered.")
    if not name:
        return listed(documents, len(documents), startIndex=1)
    found = next((document for document in documents if document["id"].lower() == name.lower()), None)
    if found is None:
        raise ScimError(404, f"There is no document {name[:128]!r}.")
    return answer(found)


def _integer(asked: Mapping[str, str], name: str, default: int) -> int:
    digits = asked.get(name, "").strip()
    if not digits:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", digits):
        detail = f"{name} is a whole number."  # RFC 9865 section 2.1 has a name of its own for it
        raise invalid_count(detail) if name == "count" and "cursor" in asked else invalid_value(detail)
    return int(digits)
