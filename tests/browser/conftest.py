"""The whole product as a person meets it: `portal demo` in processes of its own, driven by headless Chromium.

Every page of a journey is checked: no error in the console, no breach of the content policy, no request to another
origin.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from tests.browser.serving import Site, free_port, served
from tests.support.need import need

CHROMIUM = os.environ.get("PORTAL_TEST_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


@dataclass
class Watch:
    """What goes wrong in any tab. `origins` may be asked; `expected` are parts of messages that a test provokes."""

    origins: list[str]
    expected: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def page(self, page: Page) -> None:
        page.on(
            "console", lambda told: self.faults.append(f"{page.url}: {told.text}") if told.type == "error" else None
        )
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))

    def request(self, request: Request) -> None:
        if not request.url.startswith((*self.origins, "data:", "about:", "blob:")):
            self.faults.append(f"foreign request: {request.url}")

    @property
    def unexpected(self) -> list[str]:
        return [fault for fault in self.faults if not any(part in fault for part in self.expected)]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need(Path(CHROMIUM).is_file(), "Chromium")
    port, idp_port = free_port(), free_port()
    site = Site(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{idp_port}", tmp_path_factory.mktemp("demo"))
    ready = [f"{site.idp_url}/metadata", f"{site.url}/readyz"]
    with served("demo", "--port", str(port), "--idp-port", str(idp_port), data_dir=site.data_dir, until=ready):
        yield site


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    need(Path(CHROMIUM).is_file(), "Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@pytest.fixture
def watch(site: Site) -> Watch:
    return Watch([site.url, site.idp_url])


@pytest.fixture
def context(chromium: Browser, watch: Watch) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    context.on("page", watch.page)
    context.on("request", watch.request)
    yield context
    context.close()
    assert watch.unexpected == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
