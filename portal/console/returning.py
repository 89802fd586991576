"""Where a wizard goes back to: the page it was opened from."""

from __future__ import annotations

from flask import request

from portal.web.targets import own_path


def back_url(default: str) -> str:
    """`back` of this request when it is a page of the console, else `default`."""
    wanted = own_path(request.values.get("back"), otherwise=default)
    return wanted if wanted.startswith("/console/") and "/.." not in wanted else default
