"""Lists: searched, sorted and paged in SQL, never in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

T = TypeVar("T")
PAGE_SIZES = (20, 50, 100)


@dataclass(frozen=True)
class Search:
    """What a list's URL says.

    `text` to find, `sort` ("name" or "-name"), `page` from 1, rows a page, `filters` by name.
    """

    text: str = ""
    sort: str = ""
    page: int = 1
    size: int = PAGE_SIZES[0]
    filters: Mapping[str, str] | None = None

    def filter(self, name: str) -> str:
        return (self.filters or {}).get(name, "")


@dataclass(frozen=True)
class Page(Generic[T]):
    rows: Sequence[T]
    total: int
    search: Search

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.search.size))

    @property
    def first(self) -> int:
        return (self.search.page - 1) * self.search.size + 1 if self.rows else 0

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1 if self.rows else 0


def paginate(
    session: Session,
    statement: Select[Any],
    search: Search,
    *,
    sorts: Mapping[str, ColumnElement[Any] | Any],
    key: ColumnElement[Any] | Any,
    scalars: bool = False,
    counted: Select[Any] | None = None,
) -> Page[Any]:
    """Two statements: the count and the page. A page beyond the end is the last one: `search` of the answer says which.

    `sorts` names the columns that a URL may ask for (its first is the default); `key` makes the order total. With
    `scalars` the rows are the statement's single entities. `counted` has as many rows as `statement`, for less work.
    """
    rows = statement.order_by(None) if counted is None else counted
    total = session.scalar(select(func.count()).select_from(rows.subquery())) or 0
    search = replace(search, page=min(search.page, max(1, -(-total // search.size))))
    name = search.sort.lstrip("-")
    descending = search.sort.startswith("-")
    column = sorts.get(name, next(iter(sorts.values())))
    ordered = statement.order_by(column.desc() if descending else column.asc(), key)
    paged = ordered.limit(search.size).offset((search.page - 1) * search.size)
    result = session.execute(paged)
    return Page(result.scalars().all() if scalars else result.all(), total, search)
