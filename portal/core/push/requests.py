"""The SCIM log is written here (IC-7): what an IdP asked, what it was answered, and when it is forgotten again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from portal.core.push.models import ScimAccessToken, ScimCredential, ScimRequest
from portal.core.secrets import hash_token
from portal.core.space.models import Space
from portal.core.text import fold, storable

MOST_BODY = 16_384
_INSERT = insert(ScimRequest.__table__)  # type: ignore[arg-type]
_LENGTHS = {
    "credential_id": 24, "request_id": 64, "address": 64, "client": 256, "method": 8, "path": 1024, "target_id": 64,
    "target_name": 256, "scim_type": 32, "detail": 4_096,
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One request as it goes into the log. `body` holds no secret any more (scim.redaction)."""

    at: datetime
    space_id: str
    method: str
    path: str
    status: int
    milliseconds: float
    credential_id: str = ""
    request_id: str = ""
    address: str = ""
    client: str = ""
    target_id: str = ""
    target_name: str = ""
    failed: bool = False
    scim_type: str = ""
    detail: str = ""
    body: str | None = None


def record(session: Session, lines: Sequence[Line]) -> None:
    """One statement however many lines there are. What is too long is cut, what no database holds is replaced."""
    session.execute(_INSERT, [_row(line) for line in lines])


def _row(line: Line) -> dict[str, object]:
    row = vars(line) | {name: storable(getattr(line, name))[:most] for name, most in _LENGTHS.items()}
    row["body"] = line.body if line.body is None else _cut(storable(line.body))
    found = (row["method"], row["path"], row["target_id"], row["target_name"], row["detail"])
    row["search_key"] = fold(" ".join(map(str, found)))
    return row


def _cut(body: str) -> str:
    data = body.encode()
    if len(data) <= MOST_BODY:
        return body
    told = f"\n(cut: {len(data)} bytes in all)"
    return data[: MOST_BODY - len(told)].decode(errors="ignore") + told


def owner_of_secret(session: Session, secret: str) -> tuple[str, str] | None:
    """The ids of the space and the credential that a secret belongs to, whether or not it opens the door now."""
    digest = hash_token(secret)
    statement = select(ScimCredential.space_id, ScimCredential.id)
    found = session.execute(statement.where(ScimCredential.secret_hash == digest)).one_or_none()
    if found is None:
        by_token = statement.join(ScimAccessToken, ScimAccessToken.credential_id == ScimCredential.id)
        found = session.execute(by_token.where(ScimAccessToken.token_hash == digest)).one_or_none()
    return (found[0], found[1]) if found else None


def only_space(session: Session) -> str | None:
    """Where a request of an unknown credential can only have been meant for; None when there are several spaces."""
    ids = session.scalars(select(Space.id).limit(2)).all()
    return ids[0] if len(ids) == 1 else None
