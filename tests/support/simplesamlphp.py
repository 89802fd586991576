"""SimpleSAMLphp as Debian ships it, in PHP's own web server, as an identity provider (IC-16)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saml.metadata import service_provider_metadata
from saml.parties import ServiceProvider
from tests.support.need import need
from tests.support.processes import free_port, wait_for
from tests.support.saml_idp import UNSPECIFIED, key_pair
from tests.support.visitor import Page, Visitor

PROGRAM = Path("/usr/share/simplesamlphp/www")
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
PASSWORD = "correct horse"
PEOPLE = {
    "alice": {"uid": ["alice"], "mail": ["alice@example.test"], "groups": ["staff", "admins"]},
    "张三": {"uid": ["张三"], "mail": ["zhang@example.test"], "groups": []},
}


class SimpleSamlPhp:
    """Its files are read anew at every request: `trust` and `choose` hold from the next one on."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder, self.base = folder, base
        self.entity_id = f"{base}saml2/idp/metadata.php"
        self.slo_url = f"{base}saml2/idp/SingleLogoutService.php"
        for name in ("certificates", "log", "data", "sessions"):
            (folder / name).mkdir()
        private_key, certificate = key_pair("simplesamlphp")
        (folder / "certificates" / "idp.key").write_text(private_key)
        (folder / "certificates" / "idp.crt").write_text(certificate)
        self._write("config", "config", self._config())
        people = {f"{name}:{PASSWORD}": attributes for name, attributes in PEOPLE.items()}
        self._write("authsources", "config", {"people": {"0": "exampleauth:UserPass", **people}})
        self.trust('<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata"/>')
        self.choose()

    def trust(self, sp_metadata: str) -> None:
        """Our metadata as it is, the only service provider that it knows."""
        (self.folder / "sp.xml").write_text(sp_metadata)

    def choose(self, **choices: Any) -> None:
        """Settings of saml20-idp-hosted.php; `_` stands for a dot."""
        hosted = {
            "host": "__DEFAULT__",
            "auth": "people",
            "privatekey": "idp.key",
            "certificate": "idp.crt",
            "NameIDFormat": UNSPECIFIED,
            "simplesaml.nameidattribute": "uid",
            "sign.logout": True,
            "validate.logout": True,
            **{name.replace("_", "."): value for name, value in choices.items()},
        }
        self._write("saml20-idp-hosted", "metadata", {self.entity_id: hosted})

    def metadata(self) -> str:
        page = Visitor(self.base).open(self.entity_id)
        assert page.status == 200, page.text
        return page.text

    def visitor(self) -> Visitor:
        """A browser without a session there."""
        return Visitor(self.base)

    def sign_in(
        self, visitor: Visitor, request: str, form: Mapping[str, str] | None = None, user: str = "alice"
    ) -> Page:
        """From our request to the form that is posted to us, by way of the password if it is asked for."""
        page = visitor.open(request, form)
        if page.form and "password" in page.form:
            page = visitor.submit(page, username=user, password=PASSWORD)
        return page

    def _config(self) -> dict[str, Any]:
        folder = self.folder
        return {
            "baseurlpath": self.base,
            "certdir": f"{folder}/certificates/",
            "loggingdir": f"{folder}/log/",
            "datadir": f"{folder}/data/",
            "tempdir": f"{folder}/data/",
            "metadatadir": f"{folder}/",
            "session.phpsession.savepath": f"{folder}/sessions/",
            "metadata.sources": [{"type": "flatfile"}, {"type": "xml", "file": f"{folder}/sp.xml"}],
            "module.enable": {"exampleauth": True, "core": True, "saml": True},
            "enable.saml20-idp": True,
            "store.type": "phpsession",
            "session.cookie.secure": False,
            "secretsalt": "a salt for tests",
            "auth.adminpassword": "not used",
            "technicalcontact_email": "na@example.test",
            "timezone": "UTC",
            "logging.handler": "file",
            "logging.level": 7,
            "language.default": "en",
        }

    def _write(self, name: str, variable: str, values: dict[str, Any]) -> None:
        """A PHP file that reads its values from JSON beside it."""
        (self.folder / f"{name}.json").write_text(json.dumps(values))
        (self.folder / f"{name}.php").write_text(
            f"<?php\n${variable} = json_decode(file_get_contents(__DIR__ . '/{name}.json'), true);\n"
        )


def undemanding(sp: ServiceProvider) -> str:
    """Our metadata without what it asks for: SimpleSAMLphp does that, whatever its own settings are."""
    document = service_provider_metadata(sp).replace(' WantAssertionsSigned="true"', "")
    return re.sub("<md:NameIDFormat>.*?</md:NameIDFormat>", "", document)


@contextmanager
def simplesamlphp(folder: Path) -> Iterator[SimpleSamlPhp]:
    program = shutil.which("php")
    need(program, "php")
    need(PROGRAM.is_dir(), "simplesamlphp")
    port = free_port()
    idp = SimpleSamlPhp(folder, f"http://127.0.0.1:{port}/")
    with (folder / "log" / "server.log").open("w") as log:
        process = subprocess.Popen(
            [str(program), "-S", f"127.0.0.1:{port}", "-t", str(PROGRAM)],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "SIMPLESAMLPHP_CONFIG_DIR": str(folder)},
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        wait_for(idp.entity_id, process)
        yield idp
    finally:
        process.terminate()
        process.wait(timeout=30)
