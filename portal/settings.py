"""One typed settings object: config/default.toml, then the file named by PORTAL_CONFIG, then PORTAL_* in the
environment.

All faults are reported together, before anything starts.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from portal.core.limits import Limits
from portal.paths import config_dir

_SECRET_LENGTH = 32


class SettingsFault(Exception):
    """`faults` holds one line per wrong setting: its name, the rule, what to do."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Settings(BaseSettings):
    """Documented in config/default.toml, which holds every default."""

    model_config = SettingsConfigDict(env_prefix="PORTAL_", env_nested_delimiter="__", extra="forbid")

    environment: Literal["production", "demo", "test"] = "production"
    data_dir: Path = Path("var")
    database_url: str = ""
    broker_url: str = ""
    base_url: str = ""
    secret_key: str = ""
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    embedded_worker: bool = True
    worker_threads: Annotated[int, Field(ge=0, le=64)] = 0
    task_lease_seconds: Annotated[int, Field(ge=5, le=600)] = 60
    account_calls_per_second: Annotated[float, Field(ge=0, le=1_000)] = 10
    employee_session_hours: Annotated[int, Field(ge=1, le=720)] = 8
    administrator_session_hours: Annotated[int, Field(ge=1, le=72)] = 8
    sign_in_minutes: Annotated[int, Field(ge=1, le=60)] = 10
    saml_clock_skew_seconds: Annotated[int, Field(ge=0, le=600)] = 90
    saml_metadata_private_networks: bool = False
    saml_metadata_ca_file: str = ""
    max_body_bytes: Annotated[int, Field(ge=65_536)] = 1_048_576
    request_seconds: Annotated[int, Field(ge=1, le=600)] = 15
    sign_in_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    sign_in_lock_minutes: Annotated[int, Field(ge=1, le=1440)] = 15
    scim_requests_per_minute: Annotated[int, Field(ge=0)] = 6_000
    scim_failures_per_minute: Annotated[int, Field(ge=0)] = 60
    scim_log_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    sign_in_log_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    drift_check_hours: Annotated[int, Field(ge=0, le=720)] = 24
    limits: Limits = Limits()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = [config_dir() / "default.toml"]
        if own := os.environ.get("PORTAL_CONFIG"):
            files.append(Path(own))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, files)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if not value:
            return value
        try:
            backend = make_url(value).get_backend_name()
        except ArgumentError:
            raise ValueError("is not a database URL such as postgresql://user@host/name") from None
        if backend not in ("sqlite", "postgresql"):
            raise ValueError("must begin with sqlite: or postgresql:")
        return value

    @field_validator("saml_metadata_ca_file")
    @classmethod
    def _existing_file(cls, value: str) -> str:
        if value and not Path(value).is_file():
            raise ValueError("is not a file")
        return value

    @field_validator("base_url")
    @classmethod
    def _clean_base(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with https:// (or http:// for a trial)")
        return value.rstrip("/")

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def threads(self) -> int:
        """Of each process that runs tasks. Writers of SQLite only wait for each other."""
        return self.worker_threads or (1 if self.is_sqlite else 4)

    @property
    def secure_cookies(self) -> bool:
        return self.base_url.startswith("https://")


def load(*, listening: str = "http://127.0.0.1:8000", **given: Any) -> Settings:
    """Read and complete the settings; raises SettingsFault with every fault at once.

    Without a database URL it is a SQLite file in `data_dir`; without a base URL it is `listening`, the address that
    the portal is served at. With SQLite the secret key may be left out: it is made once and kept beside the file.
    """
    own = os.environ.get("PORTAL_CONFIG")
    if own and not Path(own).is_file():
        raise SettingsFault([f"PORTAL_CONFIG: there is no file {own}."])
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsFault([_fault(item) for item in error.errors()]) from None
    except ValueError as error:  # TOML that does not parse
        raise SettingsFault([f"{own or 'config/default.toml'}: {error}"]) from None
    try:
        return _complete(settings, listening)
    except OSError as error:
        fault = f"PORTAL_DATA_DIR: {settings.data_dir} cannot be made or written ({error.strerror})."
        raise SettingsFault([fault]) from None
    except UnicodeDecodeError:
        fault = f"PORTAL_SECRET_KEY: {settings.data_dir / 'secret-key'} is not text; restore it."
        raise SettingsFault([fault]) from None


def _complete(settings: Settings, listening: str) -> Settings:
    if not settings.database_url:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.database_url = f"sqlite:///{settings.data_dir / 'portal.db'}"
    if not settings.base_url:
        settings.base_url = listening
    if settings.database_url.startswith(("postgresql://", "postgres://")):
        settings.database_url = "postgresql+psycopg://" + settings.database_url.split("://", 1)[1]
    faults = []
    if not settings.secret_key:
        if settings.is_sqlite:
            path = settings.data_dir / "secret-key"
            settings.secret_key = _kept_secret(path)
            if len(settings.secret_key) < _SECRET_LENGTH:
                faults.append(f"PORTAL_SECRET_KEY: {path} holds fewer than {_SECRET_LENGTH} characters; restore it.")
        else:
            faults.append(
                "PORTAL_SECRET_KEY: is not set; every process needs the same one (openssl rand -hex 32 makes one)."
            )
    elif len(settings.secret_key) < _SECRET_LENGTH:
        faults.append(f"PORTAL_SECRET_KEY: needs at least {_SECRET_LENGTH} characters.")
    if faults:
        raise SettingsFault(faults)
    return settings


def _fault(item: Any) -> str:
    name = "PORTAL_" + "__".join(str(part) for part in item["loc"]).upper()
    return f"{name}: {item['msg'].removeprefix('Value error, ')}."


def _kept_secret(path: Path) -> str:
    if not path.exists():
        _make_secret(path)
    return path.read_text().strip()


def _make_secret(path: Path) -> None:
    """The name appears when the content is on the disk, whatever breaks off; of several processes one makes it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix="secret-key-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
