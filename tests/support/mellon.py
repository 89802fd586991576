"""Apache with mod_auth_mellon as Debian ships them: a relying party that is not our code (IC-17)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.need import need
from tests.support.processes import free_port, wait_for
from tests.support.saml_idp import key_pair
from tests.support.visitor import Visitor

FOLDER = Path("/usr/lib/apache2/modules")
MODULES = ("mpm_prefork", "authn_core", "authz_core", "authz_user", "mime", "include", "auth_mellon")
CONFIG = """
{general}
ServerRoot {folder}
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
StartServers 1
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
LogLevel auth_mellon:debug
TypesConfig /dev/null
DocumentRoot {folder}/pages
MellonLockFile {folder}/mellon.lock
<Location />
  Options +Includes
  AddType "text/html; charset=utf-8" .html
  AddOutputFilter INCLUDES .html
  MellonEnable info
  MellonEndpointPath /mellon
  MellonSPentityId {entity_id}
  MellonSPPrivateKeyFile {folder}/sp.key
  MellonSPCertFile {folder}/sp.crt
  MellonIdPMetadataFile {folder}/idp.xml
  MellonEnvVarsSetCount On
{attributes}
</Location>
<Location /account>
  MellonEnable auth
  AuthType Mellon
  Require valid-user
</Location>
"""
PAGE = "<!--#printenv -->\n"


@dataclass(frozen=True)
class Mellon:
    """It trusts one identity provider, and shows who signed in at /account/."""

    folder: Path
    base: str
    entity_id: str

    @property
    def acs_url(self) -> str:
        return f"{self.base}mellon/postResponse"

    @property
    def account_url(self) -> str:
        return f"{self.base}account/index.html"

    def visitor(self) -> Visitor:
        return Visitor(self.base)

    def log(self) -> str:
        return (self.folder / "error.log").read_text()


@contextmanager
def mellon(entity_id: str, idp_metadata: str, attributes: Mapping[str, str]) -> Iterator[Mellon]:
    """`attributes`: names by which the page shows the attributes of these names."""
    program = shutil.which("apache2", path=f"{os.environ['PATH']}:/usr/sbin")
    need(program, "apache2")
    need((FOLDER / "mod_auth_mellon.so").exists(), "libapache2-mod-auth-mellon")
    port = free_port()
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to the user that Apache becomes
        folder = Path(name)
        folder.chmod(0o755)
        private_key, certificate = key_pair("mellon")
        config = _config(folder, port, entity_id, attributes)
        files = {"apache.conf": config, "idp.xml": idp_metadata, "sp.key": private_key, "sp.crt": certificate}
        for file, content in files.items():
            (folder / file).write_text(content)
        (folder / "pages" / "account").mkdir(parents=True)
        (folder / "pages" / "index.html").write_text("open to all")
        (folder / "pages" / "account" / "index.html").write_text(PAGE)
        process = subprocess.Popen(
            [str(program), "-f", str(folder / "apache.conf"), "-DFOREGROUND"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # it ends by ending its whole process group
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/index.html", process)
            yield Mellon(folder, f"http://127.0.0.1:{port}/", entity_id)
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _config(folder: Path, port: int, entity_id: str, attributes: Mapping[str, str]) -> str:
    general = [f"LoadModule {name}_module {FOLDER}/mod_{name}.so" for name in MODULES]
    if os.geteuid() == 0:
        general += ["User www-data", "Group www-data"]
    shown = [f'  MellonSetEnvNoPrefix "{name}" "{attribute}"' for name, attribute in attributes.items()]
    return CONFIG.format(
        folder=folder, port=port, entity_id=entity_id, general="\n".join(general), attributes="\n".join(shown)
    )
