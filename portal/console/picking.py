"""What a wizard has picked so far travels in its form: rows on the page as checkboxes, the rest as inputs of the same
names. So search, paging, going back and forth lose nothing, without a script and without a session.

All accounts that match a query travel as the query (`all`, `q`, `department`), not as their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flask import request
from flask_babel import gettext as _

from portal.console.scope import organization, space
from portal.core.access.selection import Named, Selection, select_by_ids
from portal.core.limits import allowed
from portal.core.organization import queries
from portal.core.paging import Search
from portal.web.forms import Form, many
from portal.web.transactions import db

ACCOUNT_QUERY = ("all", "q", "department")


def numbers(name: str, *, most: int = 2**31 - 1) -> list[int]:
    """The values of a repeated input that are numbers of the column's size."""
    found = [int(value) for value in many(name) if value.isascii() and value.isdecimal() and len(value) < 20]
    return [number for number in found if number <= most]


def picked() -> Selection:
    """The selection in this request's query or form."""
    everything = "all" in request.values
    selection = select_by_ids(
        db(),
        space(),
        accounts=() if everything else numbers("account", most=10**18 - 1),
        users=many("user"),
        groups=many("group"),
        configurations=many("configuration"),
    )
    return replace(selection, accounts=_matching_accounts()) if everything else selection


def is_whole(selection: Selection, form: Form) -> bool:
    """Whether all that the form sent is still there; if not, the form says so and shall be reviewed again."""
    asked = [set(many(name)) for name in ("user", "group", "configuration")]
    found = [selection.users, selection.groups, selection.configurations]
    if "all" not in request.values:
        asked.append(set(many("account")))
        found.append(selection.accounts)
    if all(len(ids) == len(rows) for ids, rows in zip(asked, found, strict=True)):
        return True
    form.message = _("Something that was selected does not exist any more. What is left stands below; review it again.")
    return False


def _matching_accounts() -> Sequence[Named]:
    """One more than a batch may have, so that too many are refused and not left out."""
    search = Search(request.values.get("q", "").strip()[:256], size=allowed("triples_per_batch") + 1)
    department = [*numbers("department"), 0][0] if request.values.get("department") else None
    page = queries.members_page(db(), organization(), search, department, with_below=True)
    return [Named(str(row.uin), row.name) for row in page.rows]


def carried_accounts(selection: Selection) -> list[tuple[str, str]]:
    """The accounts as inputs for the next step's form: the query when there was one, else their numbers."""
    if "all" in request.values:
        return [(name, request.values[name]) for name in ACCOUNT_QUERY if request.values.get(name)]
    return [("account", account.id) for account in selection.accounts]


def search_from_form(kind: str) -> Search:
    """What the picker of `kind` shall show: `<kind>_q`, `<kind>_go` (a page's button) or `<kind>_page`.

    New words begin at page 1.
    """
    text = request.values.get(f"{kind}_q", "").strip()[:256]
    page = request.values.get(f"{kind}_go", type=int)
    if page is None and text == request.values.get(f"{kind}_q_before", ""):
        page = request.values.get(f"{kind}_page", type=int)
    return Search(text, "name", min(max(page or 1, 1), 1_000_000))
