"""The tools of these tests: which ones they are, and that they find what they are for."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Watch
from tests.browser.test_accessibility import Auditor

pytestmark = pytest.mark.browser


def test_playwright_drives_the_chromium_of_this_machine(page: Page, record_property: Any) -> None:
    assert page.context.browser
    versions = {"playwright": version("playwright"), "chromium": page.context.browser.version}
    for name, value in versions.items():
        record_property(name, value)
    print(versions)  # noqa: T201 -- shown when a test fails, and with -s
    agent = page.evaluate("navigator.userAgent")
    assert f"Chrome/{versions['chromium'].split('.')[0]}." in agent


def test_the_watch_sees_faults_of_scripts_and_requests_to_strangers(page: Page, watch: Watch) -> None:
    page.set_content("<script>nowhere()</script><img src='http://127.0.0.1:9/stranger.png' alt=''>")
    page.wait_for_load_state("load")
    assert any("nowhere is not defined" in fault for fault in watch.unexpected)
    assert any("foreign request" in fault for fault in watch.unexpected)
    watch.faults.clear()


def test_the_auditor_sees_faint_text_and_fields_without_labels(page: Page) -> None:
    page.set_content(
        "<html lang=en><title>t</title><h1>t</h1><p style='color: #bbb; background: #fff'>faint</p><input>"
    )
    auditor = Auditor(page)
    auditor.look()
    assert {name for name in ("color-contrast", "label") if any(name in fault for fault in auditor.found)} == {
        "color-contrast",
        "label",
    }
