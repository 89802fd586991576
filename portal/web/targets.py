"""Where to go after a sign-in: a path of ours or nothing."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_OWN_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]{0,510}")


def own_path(target: str | None, *, otherwise: str) -> str:
    """`target` when a browser cannot read it as another origin, else `otherwise`.

    Browsers take `//host`, `/\\host` and, after dropping tabs and line breaks, `/<tab>/host` for other hosts
    (WHATWG URL Standard, 4.4); backslashes, blanks and control characters are refused altogether.
    """
    return target if target and _OWN_PATH.fullmatch(target) else otherwise


def origin_of(url: str) -> str:
    """Scheme and host, as a content policy names them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
