"""The sample IdP's own key pair, made at the first start and kept in the data folder."""

from __future__ import annotations

import os
from pathlib import Path

from portal.core import clock
from saml.keys import make_key_pair

SUBJECT = "Sample identity provider"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


def key_pair(data_dir: Path) -> tuple[str, str]:
    """Private key and certificate (PEM), both in one file that only the owner reads."""
    path = data_dir / "sample-idp.pem"
    if not path.exists():
        _write(path, "".join(make_key_pair(SUBJECT, now=clock.now())))
    private_key, begin, rest = path.read_text().partition(_CERTIFICATE)
    return private_key, begin + rest


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)
