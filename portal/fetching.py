"""Reading a document from an address that an administrator typed: from the outside world only, and not for long.

The address could be anybody's choice, so that the portal must not become a way into the network it stands in:

    https only, port 443, a certificate that holds, no user name, no proxy from the environment
    every address the host has must be public; the connection goes to one of those that were checked, so that a second
    answer of the name server changes nothing (DNS rebinding)
    redirects are followed by hand, each checked like the first
    one limit for the size and one for the time of it all, name server included
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from portal.core.errors import Error, Invalid, Unavailable
from portal.settings import Settings

log = logging.getLogger(__name__)

FIELD = "metadata_url"
"""The field of a form that a refused address belongs to."""
MAX_BYTES = 256 * 1024
MAX_SECONDS = 10.0
MAX_REDIRECTS = 3
MAX_URL = 2048
_CONNECT_SECONDS = 4.0  # for one address, so that there is time for another
_REDIRECTS = (301, 302, 303, 307, 308)
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]


def addresses_of(host: str, port: int) -> list[str]:
    """All addresses of a host, in the order in which they are to be tried."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_kind, address in found))


@dataclass(frozen=True)
class Fetcher:
    """`private_networks`: addresses of the network around us, and other ports than 443, are allowed as well."""

    private_networks: bool = False
    ca_file: str = ""
    seconds: float = MAX_SECONDS
    resolve: Resolver = addresses_of

    def fetch(self, url: str) -> bytes:
        """The document there. Raises Invalid for an address that is not allowed, Unavailable when it is not got.

        Works in a thread of its own: of what can be slow some things, such as the name server, know no limit.
        """
        reading = _Reading(self, url, time.monotonic() + self.seconds)
        thread = threading.Thread(name="portal-fetch", daemon=True, target=reading.run)
        thread.start()
        thread.join(self.seconds)
        if thread.is_alive():
            reading.give_up()
            raise _too_slow(url, self.seconds)
        if reading.problem is not None:
            raise reading.problem
        return reading.document

    def check(self, url: str) -> SplitResult:
        """Raises Invalid unless `url` has a form that may be asked for."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _invalid("This is not a web address.") from None
        if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise _invalid(f"An address has at most {MAX_URL} plain characters, no blanks and no backslash.")
        if parts.scheme != "https" or not host:
            raise _invalid("The address must begin with https:// and name a host.")
        if "@" in parts.netloc:
            raise _invalid("The address must hold no user name and no password.")
        if parts.fragment:
            raise _invalid("The address must end before the #.")
        if port not in (None, 443) and not self.private_networks:
            raise _invalid("The address must use the usual port, 443.")
        return parts

    def addresses(self, host: str, port: int) -> list[str]:
        """Where the host is, checked. Raises Invalid when any address of it is not public."""
        try:
            found = list(self.resolve(host, port))
        except (OSError, UnicodeError):
            raise Unavailable(f"The name {host} is not known to the name server.", field=FIELD) from None
        if not self.private_networks:
            for address in found:
                if not is_public(address):
                    raise _invalid(
                        f"{host} is in a private network, where the portal reads nothing. The operator can allow it "
                        "(saml_metadata_private_networks)."
                    )
        return found

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca_file:
            try:
                context.load_verify_locations(self.ca_file)
            except OSError:
                raise Unavailable("The file of saml_metadata_ca_file holds no certificates.") from None
        return context


def from_settings(settings: Settings) -> Fetcher:
    return Fetcher(settings.saml_metadata_private_networks, settings.saml_metadata_ca_file)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public Internet; IPv4 inside IPv6 is judged as what it is."""
    try:
        found: Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or (ipaddress.IPv4Address(found.packed[-4:]) if found in _NAT64 else None)
        if inner is None:
            tunnelled = found.sixtofour is not None or found.teredo is not None
            return found in _PUBLIC_V6 and found.is_global and not tunnelled
        found = inner
    return found.is_global and not found.is_multicast and not found.is_reserved


class _Connection(HTTPSConnection):
    """Remembers its socket, which the standard library forgets when the answer begins."""

    kept: socket.socket | None = None

    def connect(self) -> None:
        super().connect()
        self.kept = self.sock


class _Reading:
    """One fetch. `document` and `problem` are for the caller once the thread has ended."""

    def __init__(self, fetcher: Fetcher, url: str, deadline: float) -> None:
        self.fetcher, self.url, self.deadline = fetcher, url, deadline
        self.document = b""
        self.problem: Error | None = None
        self._connection: _Connection | None = None
        self._context: ssl.SSLContext | None = None
        self._given_up = False

    def run(self) -> None:
        try:
            self.document = self._follow()
        except Error as error:
            self.problem = error
        except (HTTPError, OSError, ValueError) as error:
            self.problem = self._unavailable(error)
        except Exception as error:
            log.exception("metadata cannot be read for a reason that nobody foresaw")
            self.problem = self._unavailable(error)

    def give_up(self) -> None:
        """Nobody waits any more: whatever the thread reads ends here."""
        self._given_up = True
        connection = self._connection
        if connection is not None and connection.kept is not None:
            with suppress(OSError):
                connection.kept.shutdown(socket.SHUT_RDWR)

    def _follow(self) -> bytes:
        url = self.url
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._ask(self.fetcher.check(url))
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer)
        raise Unavailable(f"The address leads on more than {MAX_REDIRECTS} times.", field=FIELD)

    def _ask(self, parts: SplitResult) -> bytes | str:
        """The document, or the address it points to instead."""
        host, port = parts.hostname or "", parts.port or 443
        connection = self._connect(host, port)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {
                "Host": parts.netloc,
                "Accept": "application/samlmetadata+xml, application/xml, text/xml, */*;q=0.1",
                "Accept-Encoding": "identity",
                "User-Agent": "Identity-Center",
                "Connection": "close",
            }
            connection.request("GET", target, headers=headers, preload_content=False, decode_content=False)
            with closing(connection.getresponse()) as response:
                if response.status in _REDIRECTS and response.headers.get("Location"):
                    return str(response.headers["Location"])
                return self._body(response, host)
        finally:
            connection.close()

    def _connect(self, host: str, port: int) -> _Connection:
        problem: Exception = OSError("no address")
        self._context = self._context or self.fetcher.context()
        for address in self.fetcher.addresses(host, port):
            connection = self._connection = _Connection(
                address,
                port,
                timeout=max(0.1, min(_CONNECT_SECONDS, self.deadline - time.monotonic())),
                server_hostname=host,
                ssl_context=self._context,
            )
            try:
                connection.connect()
            except ssl.SSLCertVerificationError:
                raise
            except (HTTPError, OSError) as error:
                connection.close()
                problem = error
                if self._given_up or time.monotonic() >= self.deadline:
                    break
                continue
            connection.timeout = max(0.1, self.deadline - time.monotonic())
            if self._given_up:
                connection.close()
                break
            return connection
        raise problem

    def _body(self, response: BaseHTTPResponse, host: str) -> bytes:
        if response.status != 200:
            raise Unavailable(f"{host} answered with status {response.status} instead of the metadata.", field=FIELD)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Unavailable(f"{host} sent the metadata compressed without being asked to.", field=FIELD)
        found = b""
        while chunk := response.read(min(65_536, MAX_BYTES + 1 - len(found))):
            found += chunk
            if len(found) > MAX_BYTES:
                raise Unavailable(f"What {host} sends is larger than {MAX_BYTES // 1024} KiB.", field=FIELD)
        return found

    def _unavailable(self, error: Exception) -> Unavailable:
        host = _host(self.url)
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, TimeoutError):
                return _too_slow(self.url, self.fetcher.seconds)
            if isinstance(cause, ssl.SSLCertVerificationError):
                return Unavailable(f"The TLS certificate of {host} does not hold: {cause.verify_message}.", field=FIELD)
            cause = cause.__cause__ or cause.__context__
        return Unavailable(f"{host} cannot be reached.", field=FIELD)


def _too_slow(url: str, seconds: float) -> Unavailable:
    return Unavailable(f"{_host(url)} did not answer within {seconds:g} seconds.", field=FIELD)


def _invalid(message: str) -> Invalid:
    return Invalid(message, field=FIELD)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "The host"
    except ValueError:
        return "The host"
