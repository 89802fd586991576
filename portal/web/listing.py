"""Lists in pages: what to find, sort and show is in the URL, so that it can be shared and survives going back."""

from __future__ import annotations

from flask import request, url_for

from portal.core.paging import PAGE_SIZES, Search


def search_from_url(*filters: str, prefix: str = "", size: int = PAGE_SIZES[0]) -> Search:
    """`?q=text&sort=-name&page=2&size=50` and the named filters; nonsense falls back to the default.

    `prefix` keeps two lists on one page apart.
    """
    args = request.args
    wanted = args.get(prefix + "size", size, type=int)
    return Search(
        text=args.get(prefix + "q", "").strip()[:256],
        sort=args.get(prefix + "sort", "")[:32],
        page=min(max(args.get(prefix + "page", 1, type=int), 1), 1_000_000),
        size=wanted if wanted in PAGE_SIZES else size,
        filters={name: args.get(name, "")[:64] for name in filters},
    )


def url_with(**changes: str | int | None) -> str:
    """This page's URL with other query values; None removes one."""
    values: dict[str, str | int | list[str]] = {key: request.args.getlist(key) for key in request.args}
    values.update({key: value for key, value in changes.items() if value is not None})
    for key in [key for key, value in changes.items() if value is None]:
        values.pop(key, None)
    return url_for(request.endpoint or "", **{**(request.view_args or {}), **values})
