"""The floor: bare Flask and SQLAlchemy's ORM, the same rows read and written with a commit, and nothing besides.

No credential, no rules, no audit, no filter language, no versions, no log line: what SCIM costs is what lies above.
`python -m` makes the tables.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

from flask import Flask, Response, jsonify, request
from sqlalchemy import JSON, Engine, ForeignKey, create_engine, delete, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSON()}


class User(Base):
    __tablename__ = "users"
    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    user_name: Mapped[str] = mapped_column(unique=True)
    external_id: Mapped[str | None] = mapped_column(index=True)
    active: Mapped[bool]
    attributes: Mapped[dict[str, Any]]


class Group(Base):
    __tablename__ = "groups"
    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)


class Membership(Base):
    __tablename__ = "memberships"
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)


def _engine() -> Engine:
    engine = create_engine(os.environ["BENCH_DATABASE_URL"])
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL", "busy_timeout=30000"):
                connection.execute(f"PRAGMA {pragma}")

    return engine


engine = _engine()
app = Flask(__name__)


def _user(user: User) -> dict[str, Any]:
    return {"id": user.id, "userName": user.user_name, "externalId": user.external_id, "active": user.active} | (
        user.attributes
    )


def _fill(user: User, body: dict[str, Any]) -> None:
    user.user_name, user.external_id, user.active = body.pop("userName"), body.pop("externalId"), body.pop("active")
    user.attributes = body


@app.post("/Users")
def create_user() -> tuple[Response, int]:
    with Session(engine, expire_on_commit=False) as session:
        user = User(id=uuid.uuid4().hex)
        _fill(user, request.get_json())
        session.add(user)
        session.commit()
        return jsonify(_user(user)), 201


@app.get("/Users/<user_id>")
def get_user(user_id: str) -> Response:
    with Session(engine) as session:
        return jsonify(_user(session.scalars(select(User).where(User.id == user_id)).one()))


@app.route("/Users/<user_id>", methods=["PUT", "PATCH"])
def change_user(user_id: str) -> Response:
    with Session(engine, expire_on_commit=False) as session:
        user = session.scalars(select(User).where(User.id == user_id)).one()
        body = request.get_json()
        if request.method == "PUT":
            _fill(user, body)
        else:
            user.active = body["active"]
        session.commit()
        return jsonify(_user(user))


@app.get("/Users")
def find_users() -> Response:
    statement = select(User).order_by(User.number)
    if "userName" in request.args:
        statement = statement.where(User.user_name == request.args["userName"])
    if "externalId" in request.args:
        statement = statement.where(User.external_id == request.args["externalId"])
    if "like" in request.args:
        statement = statement.where(User.user_name.like(request.args["like"]))
    start, count = int(request.args.get("startIndex", "1")), int(request.args.get("count", "100"))
    with Session(engine) as session:
        rows = session.scalars(statement.offset(start - 1).limit(count)).all()
        return jsonify({"Resources": [_user(user) for user in rows]})


@app.get("/Groups")
def find_groups() -> Response:
    with Session(engine) as session:
        rows = session.scalars(select(Group).where(Group.name == request.args["name"])).all()
        return jsonify({"Resources": [{"id": group.id, "displayName": group.name} for group in rows]})


@app.post("/Groups")
def create_group() -> tuple[Response, int]:
    with Session(engine, expire_on_commit=False) as session:
        group = Group(id=uuid.uuid4().hex, name=request.get_json()["displayName"])
        session.add(group)
        session.commit()
        return jsonify({"id": group.id, "displayName": group.name}), 201


@app.patch("/Groups/<group_id>")
def change_members(group_id: str) -> tuple[str, int]:
    body = request.get_json()
    with Session(engine, expire_on_commit=False) as session:
        session.add_all(Membership(group_id=group_id, user_id=user_id) for user_id in body.get("add", ()))
        if body.get("remove"):
            mine = (Membership.group_id == group_id) & Membership.user_id.in_(body["remove"])
            session.execute(delete(Membership).where(mine))
        session.commit()
    return "", 204


if __name__ == "__main__":
    Base.metadata.create_all(engine)
