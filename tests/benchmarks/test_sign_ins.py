"""Sign-ins a second through `portal serve --workers 2`: each is a request of its own, asked by a browser of its own.

Floor: two processors that do nothing but python3-saml's own validation of such a response.
"""

from __future__ import annotations

import http.client
import statistics
import time
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.core.directory import users
from portal.core.federation.identity_provider import set_identity_provider
from portal.core.space import queries, spaces
from portal.trust import from_metadata
from tests.benchmarks.saml import library_validation
from tests.benchmarks.scim.servers import Server, ours
from tests.support.saml_idp import TestIdp

pytestmark = pytest.mark.benchmark
PEOPLE, ROUNDS, EACH = 50, 6, 200


def prepare(server: Server, idp: TestIdp) -> None:
    database = Database(server.url)
    with database.transaction() as session:
        space = queries.find(session, "bench")
        set_identity_provider(session, SYSTEM, space=space, idp=from_metadata(idp.metadata()))
        spaces.set_sso_enabled(session, SYSTEM, space=space, enabled=True)
        for number in range(PEOPLE):
            users.create_user(session, SYSTEM, space=space, user_name=f"person{number}")
    database.dispose()


def asked(server: Server, count: int) -> list[tuple[str, str]]:
    """What so many browsers were sent to the identity provider with, and the cookie that binds each."""
    connection = http.client.HTTPConnection("127.0.0.1", server.client.port, timeout=30)
    found = []
    for _ in range(count):
        connection.request("GET", "/saml/bench/login")
        answer = connection.getresponse()
        answer.read()
        found.append((answer.headers["Location"], answer.headers["Set-Cookie"].partition(";")[0]))
    connection.close()
    return found


def answers(server: Server, idp: TestIdp, asks: list[tuple[str, str]]) -> list[bytes]:
    base = f"http://127.0.0.1:{server.client.port}/saml/bench"
    requests = []
    for number, (url, cookie) in enumerate(asks):
        response = idp.respond(url, f"{base}/acs", f"{base}/metadata", f"person{number % PEOPLE}")
        form = {"SAMLResponse": response, "RelayState": parse_qs(urlsplit(url).query)["RelayState"][0]}
        body = urlencode(form).encode()
        head = (
            f"POST /saml/bench/acs HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sign_ins_a_second(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    idp = TestIdp()
    validate = library_validation(idp)
    rates, bare = [], []
    with ours(kind, tmp_path / "ours") as server:
        prepare(server, idp)
        for _ in range(ROUNDS):
            run = server.client.run(answers(server, idp, asked(server, EACH)))
            assert run.statuses == {303: EACH}
            rates.append(run.rate)
            begin = time.perf_counter()
            for _ in range(EACH):
                validate()
            bare.append(2 * EACH / (time.perf_counter() - begin))
    ratio = statistics.median(rate / floor for rate, floor in zip(rates, bare, strict=True))
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{kind}: {statistics.median(rates):.0f} sign-ins/s with two workers, "
            f"{statistics.median(bare):.0f}/s bare validations on two processors, ratio {ratio:.2f}"
        )
