"""What holds for the whole house, checked on the source itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("portal", "saml", "scim")
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "versions" not in path.parts
)
MOST_LINES = 400


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", SOURCES, ids=names(SOURCES))
def test_no_file_grows_beyond_what_one_can_hold_in_mind(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_only_the_edge_ends_a_transaction() -> None:
    """The heart never commits nor rolls back: the edge does, through `Database`."""
    found = []
    for path in (ROOT / "portal" / "core").rglob("*.py"):
        if path.name == "database.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if called in ("commit", "rollback", "transaction"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def test_markup_is_made_in_templates_and_filters_only() -> None:
    found = [name for name, path in zip(names(SOURCES), SOURCES, strict=True) if "Markup(" in path.read_text()]
    assert found == ["portal/web/templating.py"]


def test_templates_never_switch_escaping_off() -> None:
    found = [str(path) for path in (ROOT / "templates").rglob("*.html") if "|safe" in path.read_text().replace(" ", "")]
    assert not found


def test_the_sample_data_and_sample_idp_are_reached_from_their_command_only() -> None:
    found = []
    for name, path in zip(names(SOURCES), SOURCES, strict=True):
        if name.startswith("portal/demo/") or name == "portal/cli.py":
            continue
        if "portal.demo" in path.read_text() or "import demo" in path.read_text():
            found.append(name)
    assert not found


def test_each_template_says_what_it_shows() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "templates").rglob("*.html")
        if not path.read_text().startswith("{#")
    ]
    assert not found


def test_each_template_is_used() -> None:
    text = "\n".join(
        path.read_text()
        for folder in (*PACKAGES, "templates")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".html")
    )
    unused = []
    for path in (ROOT / "templates").rglob("*.html"):
        name = str(path.relative_to(ROOT / "templates"))
        folder = name.rsplit("/", 1)[0]
        chosen_by_name = f'"{folder}/{{' in text or f"'{folder}/_' ~" in text
        if f"'{name}'" not in text and f'"{name}"' not in text and not chosen_by_name:
            unused.append(name)
    assert not unused
