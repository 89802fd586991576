"""Many changes in one request (RFC 7644 section 3.7): the same handlers as for single requests.

    body -> operations, each with the bulkIds that it refers to
         -> order: as sent, but what an operation refers to goes before it
         -> each in a savepoint of its own: one that fails changes nothing, the others stay
         -> outcomes, in the order of the request

A string `bulkId:x` stands for the id of what the POST with the bulkId x made, in a path and anywhere in the data.
Operations that refer to each other in a circle are refused (409), so are those that build on a failed one (400).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError

from portal.core.errors import Error
from scim import casting, resources, strict
from scim.discovery import MAX_OPERATIONS
from scim.errors import ScimError, error_body, invalid_syntax, invalid_value, of_the_heart, taken
from scim.resources import KINDS, Door, Resources, Row
from scim.shaping import text

RESPONSE_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
VERBS = {"POST": "create", "PUT": "replace", "PATCH": "change", "DELETE": "delete"}
_REFERENCE = "bulkId:"
_PATH = re.compile(r"/([A-Za-z]+)(?:/([^/?#]+))?/?")
_MAX_DEPTH = 30


@dataclass(frozen=True)
class Operation:
    """As sent; `method` in capitals, `refers_to` the bulkIds in path and data."""

    method: str
    path: str
    bulk_id: str
    version: str | None
    data: Any
    refers_to: frozenset[str]


@dataclass
class Outcome:
    operation: Operation
    status: int = 0
    location: str = ""
    version: str = ""
    error: ScimError | None = None

    def shown(self) -> dict[str, Any]:
        """RFC 7644 section 3.7.3: a body for errors only; no location for a POST that made nothing."""
        body: dict[str, Any] = {"method": self.operation.method, "status": str(self.status)}
        named = {"bulkId": self.operation.bulk_id, "location": self.location, "version": self.version}
        body |= {name: value for name, value in named.items() if value}
        return body | ({"response": error_body(self.error)} if self.error else {})


@dataclass
class _Run:
    door: Door
    posts: Mapping[str, int]
    """Where the POST of a bulkId stands."""
    made: dict[str, str] = field(default_factory=dict)


def run(door: Door, body: Mapping[str, Any]) -> list[Outcome]:
    """What was done, in the order of the request; without the operations that `failOnErrors` kept from being tried.

    Raises ScimError 413 tooMany, 400 invalidSyntax (no list of operations, a bulkId twice, a wrong failOnErrors).
    """
    if door.strict:
        strict.check_bulk(body)
    operations = _operations(body)
    most = _fail_on_errors(body)
    posts = _posts(operations)
    running = _Run(door, posts)
    order, circular = in_order([[posts[name] for name in each.refers_to if name in posts] for each in operations])
    outcomes: dict[int, Outcome] = {}
    failed = 0
    for index in order:
        outcomes[index] = _attempt(running, operations[index], circular=index in circular)
        failed += outcomes[index].error is not None
        if most and failed >= most:
            break
    return [outcomes[index] for index in sorted(outcomes)]


def in_order(needs: Sequence[Sequence[int]]) -> tuple[list[int], set[int]]:
    """Indexes as they stand, but each after those it needs; and the indexes that need each other in a circle."""
    order: list[int] = []
    circular: set[int] = set()
    done: set[int] = set()
    for root in range(len(needs)):
        trail = [] if root in done else [(root, iter(sorted(needs[root])))]
        on_trail = {root: 0}
        while trail:
            index, rest = trail[-1]
            needed = next((each for each in rest if each not in done), None)
            if needed is None:
                trail.pop()
                done.add(index)
                order.append(index)
                continue
            if needed in on_trail:
                circular.update([each for each, _ in trail][on_trail[needed] :])
            else:
                on_trail[needed] = len(trail)
                trail.append((needed, iter(sorted(needs[needed]))))
    return order, circular


def _operations(body: Mapping[str, Any]) -> list[Operation]:
    sent = next((value for key, value in body.items() if key.lower() == "operations"), None)
    if not isinstance(sent, list) or not all(isinstance(each, dict) for each in sent):
        raise invalid_syntax("Operations is a list of objects.")
    if len(sent) > MAX_OPERATIONS:
        raise ScimError(413, f"A bulk request has at most {MAX_OPERATIONS} operations (maxOperations).", "tooMany")
    return [_operation(each) for each in sent]


def _operation(sent: Mapping[str, Any]) -> Operation:
    given = {key.lower(): value for key, value in sent.items() if value is not None}
    for name in ("method", "path", "bulkId", "version"):
        if not isinstance(value := given.get(name.lower(), ""), str):
            raise invalid_syntax(f"{name} of an operation is text.")
        text(name, value)
    path, data = given.get("path", ""), given.get("data")
    texts = [*path.split("/"), *_texts(data)]
    refers_to = frozenset(each.removeprefix(_REFERENCE) for each in texts if each.startswith(_REFERENCE))
    method, bulk_id = given.get("method", "").upper(), given.get("bulkid", "")
    return Operation(method, path, bulk_id, given.get("version"), data, refers_to)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise invalid_syntax(f"data has at most {_MAX_DEPTH} objects and lists inside each other.")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner, depth + 1)


def _filled(value: Any, id_of: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return id_of(value.removeprefix(_REFERENCE)) if value.startswith(_REFERENCE) else value
    if isinstance(value, dict):
        return {key: _filled(inner, id_of) for key, inner in value.items()}
    return [_filled(inner, id_of) for inner in value] if isinstance(value, list) else value


def _posts(operations: Sequence[Operation]) -> dict[str, int]:
    posts: dict[str, int] = {}
    for index, operation in enumerate(operations):
        if operation.method == "POST" and operation.bulk_id:
            if operation.bulk_id in posts:
                raise invalid_syntax(f"The bulkId {operation.bulk_id[:64]!r} stands twice.")
            posts[operation.bulk_id] = index
    return posts


def _fail_on_errors(body: Mapping[str, Any]) -> int:
    """How many errors end the work; 0: none do."""
    most = next((value for key, value in body.items() if key.lower() == "failonerrors"), None)
    if most is None:
        return 0
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise invalid_syntax("failOnErrors is a whole number from 1.")
    return most


def _attempt(running: _Run, operation: Operation, *, circular: bool) -> Outcome:
    """Rows, audit events and queued tasks of a failed operation go with its savepoint."""
    outcome = Outcome(operation)
    session = running.door.session
    queued = len(session.info.get("queued", ()))
    try:
        if circular:
            raise ScimError(409, "The operations refer to each other in a circle.")
        with session.begin_nested():
            _do(running, operation, outcome)
    except (ScimError, Error, IntegrityError) as error:
        del session.info.get("queued", [])[queued:]
        running.made.pop(operation.bulk_id, None)
        outcome.error = _scim(error)
        outcome.status, outcome.version = outcome.error.status, ""
    return outcome


def _scim(error: ScimError | Error | IntegrityError) -> ScimError:
    if isinstance(error, ScimError):
        return error
    return of_the_heart(error) if isinstance(error, Error) else taken()


def _do(running: _Run, operation: Operation, outcome: Outcome) -> None:
    door = running.door
    found, row_id = _target(running, operation)
    if row_id:
        outcome.location = f"{door.base}{found.type.endpoint}/{row_id}"
    data = _filled(operation.data, lambda name: _id_of(running, name)) if operation.method != "DELETE" else {}
    if not isinstance(data, dict):
        raise invalid_syntax("data is a JSON object.")
    if operation.method == "POST":
        row: Row = found.create(door, data)
    else:
        row = resources.locked(door, found, row_id, if_match=operation.version)
        if operation.method == "DELETE":
            found.delete(door, row)
            outcome.status = 204
            return
        (found.replace if operation.method == "PUT" else found.change)(door, row, data)
    door.session.flush()
    if operation.method == "POST":
        running.made[operation.bulk_id] = row.id
    outcome.status = 201 if operation.method == "POST" else 200
    outcome.location, outcome.version = casting.location(found.type, row, door.base), casting.etag(row)


def _target(running: _Run, operation: Operation) -> tuple[Resources, str]:
    """The users or the groups, and the id in the path ("" for a POST)."""
    if operation.method not in VERBS:
        raise invalid_syntax("method is POST, PUT, PATCH or DELETE.")
    parts = _PATH.fullmatch(operation.path)
    if parts is None or parts[1] not in KINDS:
        raise ScimError(404, f"path is /Users or /Groups, with an id behind it, not {operation.path[:128]!r}.")
    if (operation.method == "POST") is bool(parts[2]):
        raise ScimError(405, f"{operation.method} does not go with the path {operation.path[:128]!r}.")
    if operation.method == "POST" and not operation.bulk_id:
        raise invalid_syntax("A POST has a bulkId.")
    return KINDS[parts[1]], _filled(parts[2] or "", lambda name: _id_of(running, name))


def _id_of(running: _Run, name: str) -> str:
    if name in running.made:
        return running.made[name]
    why = "was not made" if name in running.posts else "stands at no POST of this request"
    raise invalid_value(f"What bulkId:{name[:64]} refers to {why}.")
