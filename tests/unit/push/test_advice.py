"""Every error that the SCIM server can raise has an advice of its own: found in the sources, none is left out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.core import errors
from portal.core.limits import Limits
from portal.core.push.advice import advise
from portal.core.push.remedies import Place
from scim import errors as scim_errors
from scim.errors import ScimError, of_the_heart

ROOT = Path(__file__).parents[3]
CORE = ("directory", "push", "access/syncs.py", "access/principals.py", "limits.py")
HELPERS = ("invalid_value", "invalid_syntax", "invalid_filter", "invalid_path", "no_target", "mutability", "taken")
HEART = ("NotFound", "Conflict", "Invalid", "Forbidden", "LimitReached", "Stale", "Unavailable")
# What SCIM cannot run into: verbs of the console, of employees and of the worker.
NOT_BY_SCIM = (
    "read-only", "is still in use", "SCIM credential", "user synchronization", "This account is not open",
    "Choose one of", "A group name has 1 to 128 letters, digits and hyphens", "SCIM request", "SCIM log",
    "An access token lives", "comes from SCIM already", "No identity provider pushes here", "not paused any more",
    "The share is a whole number", "made by hand holds users only", "In other user groups too",
)  # fmt: skip


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


def text_of(node: ast.expr | None) -> str | None:
    """The text as written, with an x for what is filled in; None when it is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return None


def of_scim() -> Iterator[ScimError]:
    yield scim_errors.taken()
    for path in sorted((ROOT / "scim").glob("*.py")):
        for name, node in calls(path):
            if name in HELPERS and node.args and (text := text_of(node.args[0])):
                yield getattr(scim_errors, name)(text)
            elif name == "ScimError" and isinstance(node.args[0], ast.Constant) and (text := text_of(node.args[1])):
                yield ScimError(
                    int(str(node.args[0].value)), text, text_of(node.args[2]) or "" if node.args[2:] else ""
                )
            elif name == "refusal" and (text := text_of(node.args[0])):
                yield ScimError(401, text)


def of_core() -> Iterator[ScimError]:
    folder = ROOT / "portal" / "core"
    for path in [file for name in CORE for file in ([folder / name] if "." in name else (folder / name).glob("*.py"))]:
        for name, node in calls(path):
            text = text_of(node.args[0]) if name in HEART and node.args else None
            if text and name == "Forbidden" and path.name == "credentials.py":  # who is not let in
                yield ScimError(401, text)
            elif text and not any(part in text for part in NOT_BY_SCIM):
                field = next(
                    (text_of(keyword.value) or "x" for keyword in node.keywords if keyword.arg == "field"), None
                )
                yield of_the_heart(getattr(errors, name)(text, field=field))


def of_the_house() -> Iterator[ScimError]:
    """What Flask and portal.web answer themselves below /scim/."""
    for status, text in (
        (400, "The request could not be understood."),
        (404, "There is nothing at this address, or it is not yours to see."),
        (405, "This address does not take this kind of request."),
        (409, "Somebody changed this at the same moment. Reload the page and try again."),
        (413, "That is too large. The limit is 1048576 bytes."),
        (500, "Something went wrong on our side. The administrator finds it in the log by the reference."),
        (503, "Two changes came at the same moment. Try again in a moment."),
        (503, "The database does not answer. Try again in a moment."),
    ):
        yield ScimError(status, text)


def test_every_error_has_an_advice() -> None:
    raised = [*of_scim(), *of_core(), *of_the_house()]
    missing = {(e.status, e.scim_type, e.detail) for e in raised if not advise(e.status, e.scim_type, e.detail).known}
    assert not missing
    assert len(raised) > 90
    assert {401, 403, 404, 409, 412, 413, 415, 429, 501} <= {error.status for error in raised}


USER, GROUP = "u-abcdefghijkl", "g-abcdefghijkl"


@pytest.mark.parametrize(
    ("status", "kind", "detail", "place", "target", "words"),
    [
        (409, "uniqueness", f"userName: A user named ann exists already in this space ({USER}, source Manual).",
         Place.USER, USER, "made by hand"),
        (409, "uniqueness", f"displayName: A user group named x exists already in this space ({GROUP}, source Manual).",
         Place.GROUP, GROUP, "made by hand"),
        (409, "uniqueness", f"userName: A user named ann exists already in this space ({USER}, source SCIM).",
         Place.USER, USER, "pushed before"),
        (409, "uniqueness", f"emails: A user with the e-mail a@b exists already in this space ({USER}, source SCIM).",
         Place.USER, USER, "e-mail address"),
        (403, "", "This user was made by hand in the console; SCIM may not change it.", Place.USER, USER,
         "made by hand"),
        (403, "", "The limit of 100000 users is reached (users_per_space).", Place.USERS, "", "limit"),
        (401, "", "The access token has expired.", Place.SCIM, "", "token endpoint"),
        (401, "", "This is a client secret: an access token is got with it.", Place.SCIM, "", "OAuth 2.0"),
        (409, "", "ann is in Team through Crew: take the user out of that group.", None, "", "nested group"),
        (400, "invalidCount", "count is a whole number.", None, "", "page size"),
        (401, "", "The SCIM credential has expired.", Place.NEW_CREDENTIAL, "", "new credential"),
        (401, "", "The SCIM credential is disabled.", Place.SCIM, "", "Enable it again"),
        (401, "", "The SCIM credential is not known.", Place.SCIM, "", "secret"),
        (401, "", "SCIM is switched off in this space.", Place.SCIM_SWITCH, "", "Switch SCIM on"),
        (400, "invalidValue", "userName: A username has 1 to 64 letters, digits and the characters + = , . @ - _", None,
         "", "attribute mapping"),
        (400, "invalidValue", "members: There is no user u-000000000000 in this space.", None, "", "before the group"),
        (404, "", f"There is no User {USER!r} in this space.", Place.USERS, "", "clear its state"),
        (404, "", "There is nothing at this address, or it is not yours to see.", Place.SCIM, "", "base URL"),
        (413, "", "That is too large. The limit is 1048576 bytes.", None, "", "max_body_bytes"),
        (429, "", "More than 6000 requests in a minute (scim_requests_per_minute).", None, "", "Retry-After"),
        (503, "", "Deleting and deactivating users is paused: 21 of 100 went within 24 hours.", Place.SCIM, "",
         "let it through"),
        (503, "", "The database does not answer. Try again in a moment.", None, "", "tries again"),
        (500, "", "Something went wrong on our side.", None, "", "request ID"),
    ],
)  # fmt: skip
def test_what_to_do_and_where(
    status: int, kind: str, detail: str, place: Place | None, target: str, words: str
) -> None:
    found = advise(status, kind, detail, target_id=USER)
    assert (found.place, found.target_id) == (place, target)
    assert words in found.text


def test_a_bulk_request_is_advised_by_its_first_failure() -> None:
    detail = (
        f"2 of 9 operations failed. POST /Users: 409 userName: A user named a exists ({USER}, source Manual).; DELETE"
    )
    found = advise(200, "uniqueness", detail)
    assert (found.known, found.target_id) == (True, USER)
    assert found.text.startswith("For the first failed operation: It was made by hand")


def test_an_error_that_nobody_thought_of_still_gets_a_sentence() -> None:
    found = advise(418, "", "I am a teapot.")
    assert found.text
    assert not found.known


def test_limits_are_named_as_the_advice_says() -> None:
    for name in Limits.model_fields:
        assert advise(403, "", f"The limit of 1 things is reached ({name}).").place == Place.USERS
