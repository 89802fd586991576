"""Groups inside groups followed to the end, in SQL: a group inside itself, or a circle, ends where it was before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, BindParameter, ColumnElement, Select, or_, select

from portal.core.directory.models import Group, GroupNesting


def is_nested(group_id: str | BindParameter[str]) -> ColumnElement[bool]:
    """Whether the group holds groups or is in one; a column that costs another statement next to nothing."""
    holds = select(GroupNesting.member_id).where(GroupNesting.group_id == group_id).exists()
    is_in = select(GroupNesting.group_id).where(GroupNesting.member_id == group_id).exists()
    return or_(holds, is_in)


def upward(start: Select[Any]) -> CTE:
    """The groups of `start` (a select of one id column) and all that hold them, as column `id`."""
    above = start.with_only_columns(start.selected_columns[0].label("id")).cte("above", recursive=True)
    return above.union(select(GroupNesting.group_id).where(GroupNesting.member_id == above.c.id))


def with_all_above(group_id: str) -> CTE:
    return upward(select(Group.id).where(Group.id == group_id))


def downward(roots: CTE) -> CTE:
    """Pairs of `root`, each of `roots`, and `id`, the group itself and whatever is inside it."""
    below = select(roots.c.id.label("root"), roots.c.id.label("id")).cte("below", recursive=True)
    return below.union(select(below.c.root, GroupNesting.member_id).where(GroupNesting.group_id == below.c.id))
