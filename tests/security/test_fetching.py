"""Metadata by URL is no way into the network around the portal, and nobody's server keeps it busy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from portal.core.errors import Invalid, Unavailable
from portal.fetching import MAX_BYTES, Fetcher, is_public
from tests.support.tls import HOST, Handler, Server, redirect, serving

DOCUMENT = b"<EntityDescriptor/>"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.pages.clear()
    running.asked.clear()
    running.resolved.clear()
    running.pages["/metadata"] = DOCUMENT
    return running


def test_a_document_is_read_by_name_at_the_address_that_was_checked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert server.fetcher().fetch(server.url()) == DOCUMENT
    assert server.asked == [(f"{HOST}:{server.port}", "/metadata")]
    assert server.resolved == [HOST]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("::ffff:8.8.8.8", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("198.18.0.1", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::127.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::", False),
        ("2001:0:808:808::1", False),
        ("2001:db8::1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("nonsense", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"]])
def test_a_host_with_any_private_address_is_never_connected_to(server: Server, answers: list[str]) -> None:
    fetcher = server.fetcher(private_networks=False, resolve=lambda *_asked: answers)
    with pytest.raises(Invalid, match="private network"):
        fetcher.fetch(f"https://{HOST}/metadata")
    assert server.asked == []


@pytest.mark.parametrize("spelling", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "localhost"])
def test_loopback_is_refused_however_it_is_spelled(spelling: str) -> None:
    with pytest.raises((Invalid, Unavailable), match=r"private network|not known"):
        Fetcher().fetch(f"https://{spelling}/")


def test_a_second_answer_of_the_name_server_changes_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: checked is a public address, and by the time of the connection the name means 127.0.0.1."""
    connected: list[str] = []

    def connect(address: tuple[str, int], *_args: object, **_kwargs: object) -> socket.socket:
        connected.append(address[0])
        raise OSError("nobody there")

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    answers = iter([["203.0.114.7"], ["127.0.0.1"]])
    with pytest.raises(Unavailable, match="cannot be reached"):
        Fetcher(resolve=lambda *_asked: next(answers)).fetch(f"https://{HOST}/metadata")
    assert connected == ["203.0.114.7"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://idp.example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https:///metadata", "https://"),
        ("", "https://"),
        ("https://user:password@idp.example.com/", "user name"),
        ("https://idp.example.com@127.0.0.1/", "user name"),
        ("https://idp.example.com/#part", "before the #"),
        ("https://idp.example.com:8443/", "port"),
        ("https://idp.example.com:22/", "port"),
        ("https://idp.example.com:99999/", "not a web address"),
        ("https://idp.example.com\\@127.0.0.1/", "backslash"),
        ("https://idp.example.com/a b", "blanks"),
        ("https://idp.example.com/\r\nHost: x", "blanks"),
        ("https://idp.example.com/é", "plain characters"),
        ("https://idp.example.com/" + "a" * 2048, "2048"),
    ],
)
def test_addresses_that_are_not_asked(url: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        Fetcher(resolve=lambda *_asked: pytest.fail("resolved")).fetch(url)


def test_redirects_are_followed_three_times(server: Server) -> None:
    for number in range(3):
        server.pages[f"/{number}"] = redirect(f"/{number + 1}")
    server.pages["/3"] = DOCUMENT
    assert server.fetcher().fetch(server.url("/0")) == DOCUMENT
    server.pages["/start"] = redirect("/0")
    with pytest.raises(Unavailable, match="more than 3 times"):
        server.fetcher().fetch(server.url("/start"))


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("http://idp.example.com/metadata", "https://"),
        ("https://u:p@idp.example.com/", "user name"),
        ("file:///etc/passwd", "https://"),
        ("//metadata.internal/", "private network"),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(
    server: Server, monkeypatch: pytest.MonkeyPatch, to: str, words: str
) -> None:
    """As if this server stood in the public network, and the place it points to in ours."""
    monkeypatch.setattr("portal.fetching.is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(Fetcher, "check", _any_port(Fetcher.check))
    server.pages["/away"] = redirect(to)
    where = {HOST: "127.0.0.1"}
    fetcher = server.fetcher(private_networks=False, resolve=lambda host, _port: [where.get(host, "10.0.0.1")])
    assert fetcher.fetch(server.url()) == DOCUMENT
    with pytest.raises(Invalid, match=words):
        fetcher.fetch(server.url("/away"))


def _any_port(check):  # type: ignore[no-untyped-def]
    return lambda fetcher, url: check(Fetcher(private_networks=True), url)


def test_a_certificate_of_nobody_known_is_refused(server: Server) -> None:
    with pytest.raises(Unavailable, match=r"certificate of idp\.example\.com does not hold"):
        server.fetcher(ca_file="").fetch(server.url())
    assert server.asked == []


def test_a_certificate_for_another_host_is_refused(server: Server) -> None:
    with pytest.raises(Unavailable, match=r"certificate of other\.example\.com does not hold"):
        server.fetcher().fetch(f"https://other.example.com:{server.port}/metadata")
    assert server.asked == []


def _unlimited(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(64):
        request.wfile.write(b"a" * 65_536)


def _announced(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(2**40))
    request.end_headers()
    _unlimited(request)


def _compressed(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Encoding", "gzip")
    request.end_headers()


@pytest.mark.parametrize(
    ("page", "words"),
    [(_unlimited, "256 KiB"), (_announced, "256 KiB"), (_compressed, "compressed"), (b"", "status 404")],
)
def test_what_is_too_large_or_no_document_is_refused(server: Server, page: bytes | Handler, words: str) -> None:
    server.pages["/metadata"] = b"a" * MAX_BYTES
    assert len(server.fetcher().fetch(server.url())) == MAX_BYTES
    server.pages["/metadata"] = page
    with pytest.raises(Unavailable, match=words):
        server.fetcher().fetch(server.url())


def _dripping_body(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b"a")
        time.sleep(0.05)


def _dripping_headers(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(100):
        request.wfile.write(b"a")
        time.sleep(0.05)


@pytest.mark.parametrize("page", [_dripping_body, _dripping_headers])
def test_a_slow_server_is_left_in_time_and_so_is_its_connection(server: Server, page: Handler) -> None:
    server.pages["/metadata"] = page
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.4 seconds"):
        server.fetcher(seconds=0.4).fetch(server.url())
    assert time.monotonic() - began < 2
    _no_reader_is_left()


def test_a_name_server_that_does_not_answer_is_left_in_time(server: Server) -> None:
    release = threading.Event()

    def stuck(_host: str, _port: int) -> list[str]:
        release.wait(10)
        return ["127.0.0.1"]

    with pytest.raises(Unavailable, match=r"within 0\.2 seconds"):
        server.fetcher(seconds=0.2, resolve=stuck).fetch(server.url())
    release.set()
    _no_reader_is_left()
    assert server.asked == []


def _no_reader_is_left() -> None:
    for thread in threading.enumerate():
        if thread.name == "portal-fetch":
            thread.join(3)
            assert not thread.is_alive()
