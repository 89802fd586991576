"""A client that costs little itself: bare sockets, one thread, a request under way on each of four connections."""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONNECTIONS = 4


@dataclass
class Run:
    """What one round of requests took; `statuses` counts the answers, `bodies` holds them in the order of requests."""

    seconds: float
    milliseconds: list[float]
    statuses: Counter[int]
    bodies: list[bytes]

    @property
    def rate(self) -> float:
        return len(self.milliseconds) / self.seconds

    @property
    def p99(self) -> float:
        return sorted(self.milliseconds)[int(len(self.milliseconds) * 0.99)]

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status >= 400)

    def json(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]


@dataclass
class _Connection:
    sock: socket.socket
    index: int = -1
    begun: float = 0.0
    received: bytearray = field(default_factory=bytearray)


class Client:
    """`workers` gives the ids of the server's processes: the connections are spread evenly over them."""

    def __init__(
        self, port: int, headers: str = "", *, prefix: str = "", workers: Callable[[], list[int]] = list
    ) -> None:
        self.port, self.prefix, self.workers = port, prefix, workers
        self.headers = f"Host: 127.0.0.1:{port}\r\nAccept: application/scim+json\r\n{headers}"

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {self.prefix}{path} HTTP/1.1\r\n{self.headers}"
        if body is not None:
            head += f"Content-Type: application/scim+json\r\nContent-Length: {len(data)}\r\n"
        return head.encode() + b"\r\n" + data

    def run(self, requests: Sequence[bytes], *, seconds: float = 60, connections: int = CONNECTIONS) -> Run:
        """Send them all, or as many as fit into `seconds`."""
        socks = self._connect(connections)
        selector = selectors.DefaultSelector()
        milliseconds: list[float] = []
        statuses: Counter[int] = Counter()
        bodies: dict[int, bytes] = {}
        following = 0
        begin = time.perf_counter()
        for sock in socks[: len(requests)]:
            connection = _Connection(sock)
            selector.register(sock, selectors.EVENT_READ, connection)
            following = self._send(connection, requests, following)
        waiting = min(len(socks), len(requests))
        while waiting:
            for key, _events in selector.select():
                connection = key.data
                connection.received += connection.sock.recv(262_144) or _gone()
                answer = _complete(connection.received)
                if answer is None:
                    continue
                now = time.perf_counter()
                milliseconds.append((now - connection.begun) * 1000)
                statuses[answer[0]] += 1
                bodies[connection.index] = answer[1]
                more = following < len(requests) and now - begin < seconds
                if more and _ends(connection.received):
                    selector.unregister(connection.sock)
                    connection.sock.close()
                    connection.sock = self._connected()
                    socks.append(connection.sock)
                    selector.register(connection.sock, selectors.EVENT_READ, connection)
                if more:
                    following = self._send(connection, requests, following)
                else:
                    selector.unregister(connection.sock)
                    waiting -= 1
        took = time.perf_counter() - begin
        for sock in socks:
            sock.close()
        return Run(took, milliseconds, statuses, [bodies[index] for index in sorted(bodies)])

    def _send(self, connection: _Connection, requests: Sequence[bytes], index: int) -> int:
        connection.index, connection.begun = index, time.perf_counter()
        connection.received = bytearray()
        connection.sock.sendall(requests[index])
        return index + 1

    def _connected(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _connect(self, count: int) -> list[socket.socket]:
        """The kernel may give one process all connections, which would measure half of the server: some are given back
        until each process has its share.
        """
        workers = self.workers()
        kept: dict[int, list[socket.socket]] = {pid: [] for pid in workers}
        socks: list[socket.socket] = []
        for attempt in range(500):
            sock = self._connected()
            holder = _holder(self.port, sock, workers) if len(workers) > 1 and count > 1 else 0
            if holder and len(kept[holder]) >= -(-count // len(workers)) and attempt < 400:
                sock.close()
                continue
            kept.setdefault(holder, []).append(sock)
            socks.append(sock)
            if len(socks) == count:
                break
        return socks


def _gone() -> bytes:
    raise ConnectionError("The server closed the connection before it had answered.")


def _ends(received: bytearray) -> bool:
    """The server says that it closes the connection after this answer."""
    return b"\r\nconnection: close" in received[: received.find(b"\r\n\r\n")].lower()


def _complete(received: bytearray) -> tuple[int, bytes] | None:
    """Status and body, once all has arrived."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    status = int(head[9:12])
    place = head.find(b"\r\ncontent-length:")
    if place >= 0:
        length = int(head[place + 17 :].split(b"\r\n", 1)[0])
        return (status, bytes(received[end + 4 :])) if len(received) >= end + 4 + length else None
    if b"transfer-encoding: chunked" in head:
        whole = received.endswith(b"\r\n0\r\n\r\n", end + 2)
        return (status, _joined(bytes(received[end + 4 :]))) if whole else None
    return status, b""


def _joined(chunks: bytes) -> bytes:
    parts = []
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        chunks = rest[int(size, 16) + 2 :]
    return b"".join(parts)


def _holder(port: int, sock: socket.socket, workers: list[int]) -> int:
    """The process that has accepted the connection; 0 when none has after a while."""
    pair = f":{port:04X} {_address(sock.getsockname())}"
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if f"{words[1]} {words[2]}".endswith(pair) and words[9] != "0":
                for pid in workers:
                    if words[9] in _sockets(pid):
                        return pid
        time.sleep(0.001)
    return 0


def _address(name: tuple[str, int]) -> str:
    return f"0100007F:{name[1]:04X}"


def _sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found
