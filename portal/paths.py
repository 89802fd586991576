"""Where the folders beside the code are: in a checkout next to the packages, in an installed wheel inside `portal`."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    inside = _HERE / name
    return inside if inside.is_dir() else _HERE.parent / name


def config_dir() -> Path:
    return _folder("config")


def templates_dir() -> Path:
    return _folder("templates")
