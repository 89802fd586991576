from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import FileSystemBytecodeCache

from tests.support.saml_doors import Doors


@pytest.fixture(scope="module")
def doors(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, compiled_templates: FileSystemBytecodeCache
) -> Iterator[Doors]:
    """Made once for a module: its attacks leave rows and nobody signed in."""
    doors = Doors(tmp_path_factory.mktemp("doors"), sqlite_template, compiled_templates)
    yield doors
    doors.database.dispose()
