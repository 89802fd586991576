"""What the documents promise: links lead somewhere, and each identity provider's page answers the same questions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = sorted((ROOT / "docs" / "identity-providers").glob("*.md"))
HEADINGS = ["1. Sign-in", "2. Provisioning", "3. What it sends", "4. Test it", "5. When it fails"]

_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def text_of(path: Path) -> str:
    """The prose: what looks like a link or a heading in a listing is none."""
    return _FENCED.sub("", path.read_text())


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def anchors(path: Path) -> set[str]:
    """As GitHub makes them from headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text_of(path))}


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in _LINK.findall(text_of(document)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    assert not broken_links(document)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Here it is\n")
    document = tmp_path / "one.md"
    document.write_text(
        "[a](other.md) [b](other.md#here-it-is) [c](https://example.com/x.md)\n```\n[d](nowhere)\n```\n"
        "[e](missing.md) [f](other.md#elsewhere) [g](#nowhere)\n"
    )
    assert broken_links(document) == ["missing.md", "other.md#elsewhere", "#nowhere"]


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_identity_provider_answers_the_same_five_questions(page: Path) -> None:
    found = re.findall(r"^## (.+)$", text_of(page), re.MULTILINE)
    assert found == ["Before you start", *HEADINGS]


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_identity_provider_is_reached_from_the_readme(page: Path) -> None:
    assert f"({page.relative_to(ROOT)})" in text_of(ROOT / "README.md")


def test_the_pages_of_the_big_identity_providers_are_there() -> None:
    expected = {"authentik", "entra", "google", "jumpcloud", "keycloak", "okta", "onelogin"}
    assert expected <= {page.stem for page in PAGES}
