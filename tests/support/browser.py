"""A browser without JavaScript: opens pages, follows links, fills in forms as they stand on the page.

On every page that it opens it checks what each page of ours must have: a title, one h1, valid HTML, unique ids,
labelled inputs, forms with an action or none, no inline script or style, security headers.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import html5lib
from bs4 import BeautifulSoup, Tag
from flask import Flask
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import TestResponse


class Browser:
    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
        self.response: TestResponse
        self.url = ""
        self.page = BeautifulSoup("", "html.parser")

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        """What a person reads on the page, with single blanks."""
        body = self.page.body or self.page
        return " ".join(body.get_text(" ").split())

    @property
    def title(self) -> str:
        return self.page.title.get_text() if self.page.title else ""

    def open(self, url: str, *, status: int = 200) -> Browser:
        return self._take(self.client.get(url, follow_redirects=True), status)

    def post(self, url: str, data: Any = None, *, status: int = 200, **options: Any) -> Browser:
        return self._take(self.client.post(url, data=data, follow_redirects=True, **options), status)

    def click(self, text: str, *, status: int = 200) -> Browser:
        """Follow the one link of that text, or press the one button."""
        links = [link for link in self.page.find_all("a", href=True) if _words(link) == text]
        if links:
            return self.open(_join(self.url, str(links[0]["href"])), status=status)
        return self.submit(text, status=status)

    def submit(self, button: str, *, status: int = 200, within: str = "", **fields: Any) -> Browser:
        """Fill in and send the form that has a button of this text. `within` is text that the form (or its row) must
        hold.

        A field's value may be text, a list (several checkboxes), bool (one checkbox) or (file name, bytes).
        """
        form, pressed = self._form(button, within)
        data: MultiDict[str, Any] = _values_of(form)
        for name, value in fields.items():
            assert form.find(attrs={"name": name}), f"the form has no field {name!r}: {sorted(data)}"
            data.poplist(name)
            if isinstance(value, bool):
                if value:
                    data.add(name, "y")
            elif isinstance(value, tuple):
                file_name, content = value
                from io import BytesIO

                data.add(name, FileStorage(BytesIO(content), filename=file_name))
            else:
                for item in value if isinstance(value, list) else [value]:
                    data.add(name, str(item))
        if pressed.get("name"):
            data.add(str(pressed["name"]), str(pressed.get("value", "")))
        action = _join(self.url, str(pressed.get("formaction") or form.get("action") or ""))
        if str(form.get("method", "get")).lower() == "get":
            return self._take(self.client.get(urlsplit(action).path, query_string=data, follow_redirects=True), status)
        assert data.get("csrf_token") or form.get("action", "").startswith("http"), (
            "a form that posts needs a CSRF token"
        )
        return self._take(self.client.post(action, data=data, follow_redirects=True), status)

    def _form(self, button: str, within: str) -> tuple[Tag, Tag]:
        found = []
        for form in self.page.find_all("form"):
            around = form.find_parent("tr") or form.find_parent("details") or form
            if within and within not in around.get_text(" "):
                continue
            found += [(form, item) for item in form.find_all("button") if _words(item) == button]
        assert found, f"no button {button!r} on {self.url}: {[_words(b) for b in self.page.find_all('button')]}"
        return found[0]

    def _take(self, response: TestResponse, status: int) -> Browser:
        self.response = response
        self.url = response.request.path + (
            f"?{response.request.query_string.decode()}" if response.request.query_string else ""
        )
        if response.mimetype == "text/html":
            self.page = BeautifulSoup(response.get_data(as_text=True), "html.parser")
            self.check()
        assert response.status_code == status, (
            f"{self.url}: {response.status_code} instead of {status}: {self.text[:600]}"
        )
        return self

    def check(self) -> None:
        assert "default-src 'none'" in self.response.headers["Content-Security-Policy"]
        html = self.response.get_data(as_text=True)
        shape = hash(_WITH_A_DIGIT.sub("0", html))
        if shape not in _CHECKED:
            html5lib.HTMLParser(strict=True).parse(html)
            _check(self.page, self.url, self.title)
            _CHECKED.add(shape)


_WITH_A_DIGIT = re.compile(r"[\w.-]*\d[\w.-]*")
_CHECKED: set[int] = set()
"""Pages that were right, but for the words with a digit in them: ids, tokens, times and counts differ each time."""


def _check(page: BeautifulSoup, where: str, title: str) -> None:
    assert title, f"{where}: no title"
    tags = page.find_all(True)
    assert sum(tag.name == "h1" for tag in tags) == 1, f"{where}: {len(page.find_all('h1'))} h1"
    ids = [tag["id"] for tag in tags if tag.has_attr("id")]
    assert len(ids) == len(set(ids)), f"{where}: ids twice: {sorted({i for i in ids if ids.count(i) > 1})}"
    labels = {tag.get("for") for tag in tags if tag.name == "label"}
    for tag in tags:
        assert tag.name != "style", f"{where}: inline style"
        assert not tag.has_attr("style"), f"{where}: style attribute"
        assert tag.name != "script" or tag.get("src"), f"{where}: inline script"
        assert not [name for name in tag.attrs if name.startswith("on")], f"{where}: inline handler on {tag.name}"
        if tag.name in ("input", "select", "textarea") and tag.get("type") not in ("hidden", "submit"):
            labelled = tag.get("aria-label") or tag.get("id", "-") in labels or tag.find_parent("label")
            assert labelled, f"{where}: no label for {tag}"


def _words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())


def _join(current: str, link: str) -> str:
    if not link:
        return current
    if link.startswith("?"):
        return urlsplit(current).path + link
    return link


def _values_of(form: Tag) -> MultiDict[str, Any]:
    data: MultiDict[str, Any] = MultiDict()
    for field in form.find_all(["input", "select", "textarea"]):
        name = field.get("name")
        if not name or field.has_attr("disabled"):
            continue
        if field.name == "select":
            chosen = field.find_all("option", selected=True) or (
                [] if field.has_attr("multiple") else field.find_all("option")[:1]
            )
            for option in chosen:
                data.add(name, option.get("value", option.get_text()))
        elif field.name == "textarea":
            data.add(name, field.get_text().lstrip("\n"))
        elif field.get("type") in ("checkbox", "radio"):
            if field.has_attr("checked"):
                data.add(name, field.get("value", "on"))
        elif field.get("type") not in ("file", "submit"):
            data.add(name, field.get("value", ""))
    return data


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
