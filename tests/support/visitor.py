"""A browser for servers that are other processes: keeps cookies, stops where a page or a form leads elsewhere."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode, urljoin

from bs4 import BeautifulSoup


@dataclass(frozen=True)
class Page:
    """What came: a page, or where the browser is sent with a redirect (no form) or with a form to be posted."""

    status: int
    url: str
    text: str
    form: dict[str, str] | None = None


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Message, newurl: str) -> None:
        return None


class Visitor:
    """At home below `base`; forms and redirects that lead elsewhere are given back, not followed."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()), _Stay()
        )

    def open(self, url: str, fields: Mapping[str, str] | None = None) -> Page:
        for _ in range(10):
            status, headers, text = self._ask(url, fields)
            if not 300 <= status < 400:
                return _page(status, url, text)
            url, fields = urljoin(url, headers["Location"]), None
            if not url.startswith(self.base):
                return Page(status, url, "")
        raise AssertionError(f"more than ten redirects, at last to {url}")

    def submit(self, page: Page, **fields: str) -> Page:
        """The page's form, filled in."""
        assert page.form is not None, page.text
        return self.open(page.url, page.form | fields)

    def _ask(self, url: str, fields: Mapping[str, str] | None) -> tuple[int, Message, str]:
        data = None if fields is None else urlencode(fields).encode()
        try:
            with self.opener.open(urllib.request.Request(url, data), timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()


def _page(status: int, url: str, text: str) -> Page:
    """With the values and the target of its only form, if it has one that is posted."""
    form = BeautifulSoup(text, "html.parser").find("form", method="post") if "<form" in text else None
    if form is None:
        return Page(status, url, text)
    fields = {str(field["name"]): str(field.get("value", "")) for field in form.find_all("input", attrs={"name": True})}
    return Page(status, urljoin(url, str(form.get("action") or "")), text, fields)
