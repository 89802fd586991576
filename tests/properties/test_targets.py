"""Where a sign-in may lead: never off our own origin."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.web.targets import own_path

SIGNS = [
    "/",
    "\\",
    "//",
    ".",
    "..",
    ":",
    "@",
    "?",
    "#",
    "%2f",
    "%5c",
    "\t",
    "\n",
    "\r",
    "\x00",
    " ",
    "\u2044",
    "\uff0f",
]
WORDS = ["http:", "javascript:", "evil.test", "home", "é", "。"]
PIECES = st.sampled_from([*SIGNS, *WORDS])


def as_a_browser_reads(base: str, target: str) -> str:
    """The WHATWG URL Standard's leniency before parsing: blanks at the ends, tabs, line breaks, backslashes."""
    lenient = re.sub(r"[\t\n\r]", "", target.strip("".join(map(chr, range(0x21))))).replace("\\", "/")
    return urljoin(base, lenient)


@given(st.one_of(st.lists(PIECES, max_size=8).map("".join), st.text(max_size=30), st.text().map("/".__add__)))
@example("//evil.test")
@example("/\\evil.test")
@example("/\t/evil.test")
@example("\t//evil.test")
@example("https:evil.test")
def test_a_target_never_leaves_our_origin(target: str) -> None:
    chosen = own_path(target, otherwise="/home")
    read = urlsplit(as_a_browser_reads("https://ic.example.test/saml/acme/acs", chosen))
    assert (read.scheme, read.netloc) == ("https", "ic.example.test")
    assert chosen in (target, "/home")


@pytest.mark.parametrize("path", ["/", "/home", "/home?tab=user&q=a%2Fb", "/home/accounts/1/roles/rc-x", "/a//b"])
def test_our_own_paths_are_kept(path: str) -> None:
    assert own_path(path, otherwise="/home") == path


@pytest.mark.parametrize("path", [None, "", "home", "/" + "a" * 600])
def test_no_or_an_endless_target_gives_way(path: str | None) -> None:
    assert own_path(path, otherwise="/home") == "/home"
