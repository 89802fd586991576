from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from portal.core import secrets
from portal.core.errors import Unavailable


def test_passwords_are_hashed_with_argon2id_at_its_recommended_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_passwords", PasswordHasher())
    hashed = secrets.hash_password("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert secrets.password_matches(hashed, "correct horse")
    assert not secrets.password_matches(hashed, "wrong")


@pytest.mark.parametrize("stored", [None, "", "not a hash"])
def test_without_a_stored_hash_no_password_matches(stored: str | None) -> None:
    assert not secrets.password_matches(stored, "")


def test_what_is_sealed_opens_with_the_same_key_only() -> None:
    sealed = secrets.encrypt("private", secret_key="one key of enough characters")
    assert "private" not in sealed
    assert secrets.decrypt(sealed, secret_key="one key of enough characters") == "private"
    with pytest.raises(Unavailable, match="PORTAL_SECRET_KEY"):
        secrets.decrypt(sealed, secret_key="another key")


def test_each_purpose_has_a_key_of_its_own() -> None:
    assert secrets.derive("key", "cookies") != secrets.derive("key", "keys at rest")
