"""SCIM errors (RFC 7644 section 3.12), and the one place that says what an error of the heart is in SCIM.

An object that was made by hand in the console may be read but not changed: 403 with the reason. A userName that is
taken by such an object is 409 uniqueness like any other. 409 means nothing else, because IdPs take it as "it exists"
(a used-up limit is 403).
"""

from __future__ import annotations

from typing import Any

from portal.core.errors import Conflict, Error, Forbidden, Invalid, LimitReached, NotFound

ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
MAX_DETAIL = 1000
_FIELDS = {
    "user_name": "userName",
    "display_name": "displayName",
    "given_name": "name.givenName",
    "family_name": "name.familyName",
    "email": "emails",
    "external_id": "externalId",
    "name": "displayName",
}


class ScimError(Exception):
    """`scim_type` is one of RFC 7644 table 9, or "" where there is none. `detail` may quote what came in: what no
    answer and no database can hold is replaced, and what nobody would read is cut off.
    """

    def __init__(self, status: int, detail: str, scim_type: str = "") -> None:
        detail = detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]}…"
        detail = detail.encode(errors="replace").decode().replace("\x00", "?")
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.scim_type = scim_type


def invalid_value(detail: str) -> ScimError:
    return ScimError(400, detail, "invalidValue")


def invalid_count(detail: str) -> ScimError:
    return ScimError(400, detail, "invalidCount")


def invalid_syntax(detail: str) -> ScimError:
    return ScimError(400, detail, "invalidSyntax")


def invalid_filter(detail: str) -> ScimError:
    return ScimError(400, detail, "invalidFilter")


def invalid_path(detail: str) -> ScimError:
    return ScimError(400, detail, "invalidPath")


def no_target(detail: str) -> ScimError:
    return ScimError(400, detail, "noTarget")


def mutability(detail: str) -> ScimError:
    return ScimError(400, detail, "mutability")


def taken() -> ScimError:
    """Two requests at the same time: the index of the database decided against this one."""
    return ScimError(409, "It exists already.", "uniqueness")


def of_the_heart(error: Error) -> ScimError:
    detail = f"{_FIELDS.get(error.field, error.field)}: {error.message}" if error.field else error.message
    if isinstance(error, Conflict):
        return ScimError(409, detail, "uniqueness" if error.field else "")
    if isinstance(error, Invalid) or (isinstance(error, NotFound) and error.field):
        return invalid_value(detail)
    if isinstance(error, Forbidden | LimitReached):
        return ScimError(403, detail)
    return ScimError(error.status, detail)


def error_body(error: ScimError) -> dict[str, Any]:
    body = {"schemas": [ERROR_SCHEMA], "status": str(error.status), "detail": error.detail}
    return body | ({"scimType": error.scim_type} if error.scim_type else {})


def changed_meanwhile() -> ScimError:
    """If-Match names another version (RFC 7644 section 3.14)."""
    return ScimError(412, "It has been changed in the meantime: read it again.")
