"""The whole product as a person meets it: `portal demo` in processes of its own, driven by headless Chromium.

Every page of a journey is checked: no error in the console, no breach of the content policy, no request to another origin.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.need import need

CHROMIUM = os.environ.get("PORTAL_TEST_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


@dataclass(frozen=True)
class Site:
    url: str
    idp_url: str
    data_dir: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need(Path(CHROMIUM).is_file(), "Chromium")
    folder = tmp_path_factory.mktemp("demo")
    port, idp_port = free_port(), free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "portal", "demo", "--port", str(port), "--idp-port", str(idp_port)],
            env=kept | {"PORTAL_DATA_DIR": str(folder)},
            stdout=log,
            stderr=log,
        )
    site = Site(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{idp_port}", folder)
    try:
        _wait_for(site.url + "/readyz", process, folder / "log")
        _wait_for(site.idp_url + "/metadata", process, folder / "log")
        yield site
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer: {log.read_text()}")


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
def context(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    faults: list[str] = []

    def watch(page: Page) -> None:
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))

    def foreign(url: str) -> bool:
        return not url.startswith((site.url, site.idp_url, "data:", "about:", "blob:"))

    context.on("page", watch)
    context.on(
        "request", lambda request: faults.append(f"foreign request: {request.url}") if foreign(request.url) else None
    )
    context.expected_errors = []  # type: ignore[attr-defined]
    yield context
    expected: list[str] = context.expected_errors  # type: ignore[attr-defined]
    context.close()
    assert [fault for fault in faults if not any(part in fault for part in expected)] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
