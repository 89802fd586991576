"""The SCIM log (IC-7): what the identity provider asked and was answered, and what to do about a push that failed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from flask import Response, render_template, request, url_for
from flask_babel import gettext as _

from portal.console import blueprint
from portal.console.scope import space
from portal.core.push import advice, credentials, queries
from portal.core.push.advice import Advice
from portal.core.push.models import ScimRequest
from portal.core.push.queries import LogSearch
from portal.core.push.remedies import Place
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_MOST_IN_A_FILE = 10_000
_COLUMNS = (
    "at", "status", "method", "path", "milliseconds", "target_id", "target_name", "scim_type", "detail",
    "credential_id", "client", "address", "request_id",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@blueprint.get("/scim/log")
@requires(Permission.LIST_SCIM_REQUESTS)
def scim_log() -> str:
    page = queries.requests_of_space(db(), space(), _search())
    known = [credential.id for credential in credentials.credentials_of_space(db(), space())]
    names = {"methods": METHODS, "credentials": known, "advised": _advised, "link_of": _link_of}
    return render_template("console/scim/log.html", page=page, **names)


@blueprint.get("/scim/log.csv")
@requires(Permission.LIST_SCIM_REQUESTS)
def scim_log_file() -> Response:
    rows = queries.each_request(db(), space(), _search(), most=_MOST_IN_A_FILE)
    headers = {"Content-Disposition": "attachment; filename=scim-log.csv"}
    return Response(_csv(rows), mimetype="text/csv", headers=headers)


@blueprint.get("/scim/log/<int:scim_request_id>")
@requires(Permission.LIST_SCIM_REQUESTS)
def scim_log_request(scim_request_id: int) -> str:
    line = queries.get_request(db(), space(), scim_request_id)
    others = queries.others_of_target(db(), space(), line)
    names = {"advised": _advised, "link_of": _link_of}
    return render_template("console/scim/log_request.html", line=line, others=others, **names)


def _search() -> LogSearch:
    """From the URL; nonsense counts as not given."""
    args = request.args
    return LogSearch(
        text=args.get("q", "").strip()[:256],
        failed_only=args.get("result") == "failed",
        method=args.get("method", "") if args.get("method") in METHODS else "",
        credential_id=args.get("credential", "")[:24],
        target_id=args.get("target", "").strip()[:64],
        since=_moment("from"),
        until=_moment("to"),
        before=_number("before"),
        after=_number("after"),
    )


def _number(name: str) -> int | None:
    number = request.args.get(name, type=int)
    return number if number is not None and 0 < number < 2**63 else None


def _moment(name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(request.args.get(name, ""))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _advised(line: ScimRequest) -> Advice:
    return advice.advise(line.status, line.scim_type, line.detail, target_id=line.target_id)


def _link_of(found: Advice) -> tuple[str, str] | None:
    """Where to do it, and what the link says."""
    links: dict[Place, tuple[str, str, dict[str, Any]]] = {
        Place.SCIM: ("console.scim", _("Open the SCIM settings"), {}),
        Place.SCIM_SWITCH: ("console.switch_scim", _("Switch SCIM on"), {}),
        Place.NEW_CREDENTIAL: ("console.create_scim_credential", _("Create credential"), {}),
        Place.USERS: ("console.users", _("Open the users"), {}),
        Place.USER: ("console.user", _("Open the user %(id)s", id=found.target_id), {"user_id": found.target_id}),
        Place.GROUP: ("console.group", _("Open the group %(id)s", id=found.target_id), {"group_id": found.target_id}),
    }
    if found.place is None:
        return None
    endpoint, label, values = links[found.place]
    return url_for(endpoint, **values), label


def _csv(rows: Iterable[ScimRequest]) -> str:
    """No cell is a formula to the program that opens it."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for row in rows:
        cells = [row.at.isoformat(), *(str(getattr(row, name)) for name in _COLUMNS[1:])]
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return file.getvalue()
