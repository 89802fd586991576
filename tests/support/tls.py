"""A web server of our own with TLS, whose authority only the test knows."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portal.fetching import Fetcher

HOST = "idp.example.com"
Handler = Callable[[BaseHTTPRequestHandler], None]


@cache
def _files(folder: Path) -> tuple[Path, Path]:
    """The authority's certificate, and the server's key with its certificate for HOST and 127.0.0.1."""
    now = datetime.now(UTC)
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])

    def sign(subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    ca_file, server_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(sign(issuer, authority.public_key(), x509.BasicConstraints(True, None), usage, identifier))
    names = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    server_file.write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + sign(x509.Name([]), server.public_key(), names, above)
    )
    return ca_file, server_file


@dataclass
class Server:
    """`pages`: path -> bytes, or a handler that answers itself. `asked`: what came, as (host header, path)."""

    port: int
    ca_file: Path
    pages: dict[str, bytes | Handler] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)

    def url(self, path: str = "/metadata") -> str:
        return f"https://{HOST}:{self.port}{path}"

    def fetcher(self, **fields: object) -> Fetcher:
        """One that may ask this server and finds it under HOST."""
        given = {"private_networks": True, "ca_file": str(self.ca_file), "resolve": self.resolve, **fields}
        return Fetcher(**given)  # type: ignore[arg-type]

    def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        return ["127.0.0.1"]


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    ca_file, server_file = _files(folder)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append((self.headers.get("Host", ""), self.path))
            page = made.pages.get(self.path, b"")
            if callable(page):
                page(self)
                return
            self.send_response(200 if page else 404)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_args: None  # type: ignore[method-assign]  # clients that go away are the test
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        made = Server(server.server_address[1], ca_file)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def redirect(to: str) -> Handler:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", to)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer
