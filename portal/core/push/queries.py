"""The SCIM log as lists (IC-7): filtered, searched and paged in SQL.

Pages go by the number of the last line and nothing is counted, because the table grows by every request of an IdP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from portal.core.errors import NotFound
from portal.core.push.models import ScimRequest
from portal.core.space.models import Space
from portal.core.text import contains

_LIST = (defer(ScimRequest.body, raiseload=True), defer(ScimRequest.search_key, raiseload=True))


@dataclass(frozen=True)
class LogSearch:
    """What the log's URL says. `before`: lines older than that number; `after`: newer ones; neither: the newest."""

    text: str = ""
    failed_only: bool = False
    method: str = ""
    credential_id: str = ""
    target_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    after: int | None = None
    size: int = 50

    @property
    def narrowed(self) -> bool:
        """Whether there may be lines that it leaves out."""
        asked = (self.text, self.failed_only, self.method, self.credential_id, self.target_id, self.since, self.until)
        return any(asked)


@dataclass(frozen=True)
class LogPage:
    """Newest first. `newer` and `older` are the numbers to go on from, None where the list ends."""

    rows: Sequence[ScimRequest]
    newer: int | None
    older: int | None
    search: LogSearch


def requests_of_space(session: Session, space: Space, search: LogSearch) -> LogPage:
    """One statement. It asks for one line more than is shown, which tells whether there are others."""
    statement = _matching(space, search).options(*_LIST).limit(search.size + 1)
    if search.after is not None:
        statement = statement.where(ScimRequest.id > search.after).order_by(ScimRequest.id)
    else:
        statement = statement.order_by(ScimRequest.id.desc())
        if search.before is not None:
            statement = statement.where(ScimRequest.id < search.before)
    found = list(session.scalars(statement))
    rows, more = found[: search.size], len(found) > search.size
    backwards = search.after is not None
    if backwards:
        rows.reverse()
    newer = rows[0].id if rows and (more if backwards else search.before is not None) else None
    older = rows[-1].id if rows and (backwards or more) else None
    return LogPage(rows, newer, older, search)


def each_request(session: Session, space: Space, search: LogSearch, *, most: int) -> Iterator[ScimRequest]:
    """The newest `most` lines that match, for a file."""
    statement = _matching(space, search).options(*_LIST).order_by(ScimRequest.id.desc()).limit(most)
    yield from session.scalars(statement)


def get_request(session: Session, space: Space, number: int) -> ScimRequest:
    statement = select(ScimRequest).where(ScimRequest.space_id == space.id, ScimRequest.id == number)
    found = session.scalar(statement)
    if found is None:
        raise NotFound("There is no such request in the SCIM log of this space; old ones are deleted.")
    return found


def others_of_target(session: Session, space: Space, line: ScimRequest, *, most: int = 10) -> Sequence[ScimRequest]:
    """The latest other requests for the same user or group, newest first."""
    if not line.target_id:
        return ()
    statement = select(ScimRequest).options(*_LIST).where(ScimRequest.space_id == space.id)
    statement = statement.where(ScimRequest.target_id == line.target_id, ScimRequest.id != line.id)
    return session.scalars(statement.order_by(ScimRequest.id.desc()).limit(most)).all()


def _matching(space: Space, search: LogSearch) -> Select[ScimRequest]:
    statement = select(ScimRequest).where(ScimRequest.space_id == space.id)
    if search.failed_only:
        statement = statement.where(ScimRequest.failed)
    for column, wanted in (
        (ScimRequest.method, search.method),
        (ScimRequest.credential_id, search.credential_id),
        (ScimRequest.target_id, search.target_id),
    ):
        if wanted:
            statement = statement.where(column == wanted)
    if search.since is not None:
        statement = statement.where(ScimRequest.at >= search.since)
    if search.until is not None:
        statement = statement.where(ScimRequest.at < search.until)
    if search.text:
        statement = statement.where(ScimRequest.search_key.like(contains(search.text), escape="\\"))
    return statement
