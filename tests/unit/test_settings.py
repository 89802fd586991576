from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portal.settings import SettingsFault, load

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("PORTAL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def faults(**given: object) -> list[str]:
    with pytest.raises(SettingsFault) as refused:
        load(**given)
    return refused.value.faults


def test_without_any_setting_it_is_a_sqlite_file_below_var() -> None:
    settings = load()
    assert settings.environment == "production"
    assert settings.database_url == "sqlite:///var/portal.db"
    assert settings.is_sqlite
    assert settings.base_url == "http://127.0.0.1:8000"
    assert not settings.secure_cookies


def test_the_address_that_is_listened_on_is_the_base_url_unless_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(listening="http://127.0.0.1:9000").base_url == "http://127.0.0.1:9000"
    monkeypatch.setenv("PORTAL_BASE_URL", "https://ic.example.com/")
    settings = load(listening="http://127.0.0.1:9000")
    assert settings.base_url == "https://ic.example.com"
    assert settings.secure_cookies


def test_the_secret_key_of_sqlite_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    first, second = load(data_dir=tmp_path / "new" / "folder"), load(data_dir=tmp_path / "new" / "folder")
    assert first.secret_key == second.secret_key
    assert len(first.secret_key) >= 32
    mode = (tmp_path / "new" / "folder" / "secret-key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_no_more_than_the_secret_key_is_left_in_the_folder_which_is_its_owners_too(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    load(data_dir=folder)
    assert [path.name for path in folder.iterdir()] == ["secret-key"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_of_many_processes_that_start_at_once_all_have_the_same_secret_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = {settings.secret_key for settings in threads.map(lambda _: load(data_dir=tmp_path), range(16))}
    assert len(keys) == 1


@pytest.mark.parametrize("content", ["", "\n", "s" * 31])
def test_a_kept_secret_key_that_was_cut_off_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret-key").write_text(content)
    assert faults(data_dir=tmp_path) == [
        f"PORTAL_SECRET_KEY: {tmp_path / 'secret-key'} holds fewer than 32 characters; restore it."
    ]
    assert (tmp_path / "secret-key").read_text() == content


def test_a_disk_that_is_full_leaves_no_secret_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsFault, match="No space"):
        load(data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_postgresql_needs_a_secret_key_that_every_process_shares() -> None:
    assert faults(database_url="postgresql://db.example.com/portal")[0].startswith("PORTAL_SECRET_KEY: is not set")
    settings = load(database_url="postgresql://portal@db.example.com/portal", secret_key=SECRET)
    assert settings.database_url == "postgresql+psycopg://portal@db.example.com/portal"
    assert not settings.is_sqlite


def test_a_short_secret_key_is_refused() -> None:
    assert faults(secret_key="short") == ["PORTAL_SECRET_KEY: needs at least 32 characters."]


def test_a_file_goes_over_the_defaults_and_the_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text('log_level = "DEBUG"\nsign_in_attempts = 7\n[limits]\nusers_per_space = 12\n')
    monkeypatch.setenv("PORTAL_CONFIG", str(file))
    monkeypatch.setenv("PORTAL_SIGN_IN_ATTEMPTS", "9")
    monkeypatch.setenv("PORTAL_LIMITS__GROUPS_PER_SPACE", "34")
    settings = load()
    assert (settings.log_level, settings.sign_in_attempts) == ("DEBUG", 9)
    assert (settings.limits.users_per_space, settings.limits.groups_per_space) == (12, 34)
    assert settings.limits.configurations_per_space == 1000


def test_all_faults_are_told_at_once_each_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_BASE_URL", "ic.example.com")
    monkeypatch.setenv("PORTAL_DATABASE_URL", "mysql://db.example.com/portal")
    monkeypatch.setenv("PORTAL_SIGN_IN_MINUTES", "0")
    monkeypatch.setenv("PORTAL_LIMITS__USERS_PER_SPACE", "many")
    found = faults()
    names = sorted(line.partition(":")[0] for line in found)
    assert names == [
        "PORTAL_BASE_URL",
        "PORTAL_DATABASE_URL",
        "PORTAL_LIMITS__USERS_PER_SPACE",
        "PORTAL_SIGN_IN_MINUTES",
    ]
    assert "PORTAL_DATABASE_URL: must begin with sqlite: or postgresql:." in found


@pytest.mark.parametrize("url", ["nonsense", "postgresql//db", "://"])
def test_what_is_no_database_url_is_refused(url: str) -> None:
    assert faults(database_url=url)[0].startswith("PORTAL_DATABASE_URL: is not a database URL")


def test_an_unknown_setting_in_a_file_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("sesion_hours = 3\n")
    monkeypatch.setenv("PORTAL_CONFIG", str(file))
    assert faults()[0].startswith("PORTAL_SESION_HOURS:")


def test_a_file_that_is_not_there_or_no_toml_is_a_fault_with_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PORTAL_CONFIG", str(tmp_path / "missing.toml"))
    assert faults() == [f"PORTAL_CONFIG: there is no file {tmp_path / 'missing.toml'}."]
    (tmp_path / "bad.toml").write_text("log_level = \n")
    monkeypatch.setenv("PORTAL_CONFIG", str(tmp_path / "bad.toml"))
    assert faults()[0].startswith(f"{tmp_path / 'bad.toml'}: ")


def test_the_default_file_holds_every_default() -> None:
    """What the file says and what the code falls back on are the same."""
    import tomllib

    from portal.core.limits import Limits
    from portal.paths import config_dir
    from portal.settings import Settings

    written = tomllib.loads((config_dir() / "default.toml").read_text())
    limits = written.pop("limits")
    assert limits == Limits().model_dump()
    fields = {name: field.default for name, field in Settings.model_fields.items() if name in written}
    assert {name: str(value) for name, value in written.items()} == {name: str(value) for name, value in fields.items()}


def test_a_folder_that_cannot_be_made_is_a_fault_and_not_a_traceback() -> None:
    with pytest.raises(SettingsFault, match=r"PORTAL_DATA_DIR: /proc/nowhere cannot be made"):
        load(data_dir=Path("/proc/nowhere"))


def test_a_secret_key_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_bytes(b"\xff\xfe\x00" * 20)
    with pytest.raises(SettingsFault, match="is not text"):
        load(data_dir=tmp_path)
