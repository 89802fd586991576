"""What goes in and out over HTTP, whatever is asked: the addresses, the body, the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from flask import Blueprint, Response, g, request
from werkzeug.datastructures import Headers

from scim import strict
from scim.errors import ScimError, invalid_syntax
from scim.projection import Projection, projection
from scim.resources import KINDS, Resources

PREFIX = "/scim/v2"
MEDIA_TYPE = "application/scim+json"
LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_JSON = (MEDIA_TYPE, "application/json")


class Answer(Response):
    """The library looks through all headers for addresses to mend, in each answer; ours are as they shall be."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        if self.status_code not in (200, 201, 204):
            return super().get_wsgi_headers(environ)
        headers = Headers(self.headers)
        if self.status_code == 204:
            headers.remove("Content-Length")
        else:
            headers["Content-Length"] = str(sum(map(len, self.iter_encoded())))
        return headers


View = TypeVar("View", bound=Callable[..., Any])

blueprint = Blueprint("scim", __name__, url_prefix=PREFIX)


def route(method: str, suffix: str = "") -> Callable[[View], View]:
    """One view for both: `kind` is Users or Groups."""

    def add(view: View) -> View:
        for kind in KINDS:
            blueprint.add_url_rule(f"/{kind}{suffix}", view_func=view, methods=[method], defaults={"kind": kind})
        return view

    return add


def body() -> Mapping[str, Any]:
    if request.mimetype not in _JSON and (request.mimetype or g.scim.strict):
        raise ScimError(415, f"The body is {_JSON[0]} or {_JSON[1]}.")
    pairs = strict.no_name_twice if g.scim.strict else None
    try:
        sent = json.loads(request.get_data(), parse_constant=_no_constant, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        raise invalid_syntax("The body is not JSON.") from None
    if not isinstance(sent, dict):
        raise invalid_syntax("The body is a JSON object.")
    return sent


def _no_constant(name: str) -> None:
    raise ValueError(name)


def projection_of(found: Resources, asked: Mapping[str, str]) -> Projection:
    if g.scim.strict:
        strict.check_projection(asked)
    return projection(found.type, asked.get("attributes", ""), asked.get("excludedAttributes", ""))


def listed(shown: list[Any], total: int, **place: int | str) -> Response:
    """`place`: startIndex of a page by index; nextCursor and previousCursor of one by cursor."""
    document = {"schemas": [LIST_SCHEMA], "totalResults": total, **place, "itemsPerPage": len(shown)}
    return answer(document | {"Resources": shown})


def answer(document: Mapping[str, Any], status: int = 200) -> Response:
    return Answer(orjson.dumps(document), status, mimetype=MEDIA_TYPE)
