"""Secrets at rest: passwords by Argon2id, random tokens by SHA-256 (they need no stretching), keys by Fernet.

The encryption key is derived from PORTAL_SECRET_KEY by HKDF, one key per purpose.
"""

from __future__ import annotations

import base64
import hashlib
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portal.core.errors import Unavailable

_passwords = PasswordHasher()
_NOBODY = _passwords.hash(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    return _passwords.hash(password)


def password_matches(stored: str | None, password: str) -> bool:
    """Takes the same time whether or not there is a stored hash, so that names cannot be probed."""
    try:
        return _passwords.verify(stored or _NOBODY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def new_token() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def derive(secret_key: str, purpose: str) -> bytes:
    """32 bytes for one purpose, so that what is made for one is of no use for another."""
    return HKDF(SHA256(), 32, salt=None, info=f"portal: {purpose}".encode()).derive(secret_key.encode())


def _fernet(secret_key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derive(secret_key, "keys at rest")))


def encrypt(plain: str, *, secret_key: str) -> str:
    return _fernet(secret_key).encrypt(plain.encode()).decode()


def decrypt(sealed: str, *, secret_key: str) -> str:
    try:
        return _fernet(secret_key).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unavailable(
            "A stored key cannot be opened: PORTAL_SECRET_KEY is not the one it was made with."
        ) from error
