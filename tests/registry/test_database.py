import contextlib
import sqlite3

import pytest

from codec.errors import MissingToolError, RegistryError
from registry.registry import Registry


def test_another_database_is_used_when_the_environment_names_one(make_package, tmp_path, private_home, monkeypatch):
    monkeypatch.setenv("NACRE_REGISTRY_URL", f"sqlite:///{tmp_path / 'team.db'}")
    Registry.open().register(make_package(), "speech")
    assert (tmp_path / "team.db").is_file()
    assert not (private_home / "nacre" / "registry.db").exists()
    monkeypatch.delenv("NACRE_REGISTRY_URL")
    assert Registry.open().list() == []


@pytest.mark.parametrize("url", ["nonsense", "nosuchdb://host/name", "mysql://host/nacre"])
def test_a_wrong_address_is_one_clear_sentence(monkeypatch, url):
    monkeypatch.setenv("NACRE_REGISTRY_URL", url)
    with pytest.raises(RegistryError, match="NACRE_REGISTRY_URL must be an address such as"):
        Registry.open()


def test_a_database_that_cannot_be_opened_is_named_without_its_password(monkeypatch, tmp_path):
    monkeypatch.setenv("NACRE_REGISTRY_URL", f"sqlite:///{tmp_path}/missing/registry.db")
    with pytest.raises(RegistryError, match=r"missing/registry\.db failed: unable to open"):
        Registry.open()


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setenv("NACRE_REGISTRY_URL", "postgresql+psycopg2cffi://user:secret@host/nacre")
    with pytest.raises(MissingToolError, match="psycopg2cffi") as caught:
        Registry.open()
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(private_home):
    (private_home / "nacre").mkdir(parents=True)
    (private_home / "nacre" / "registry.db").write_bytes(b"not a database at all " * 100)
    with pytest.raises(RegistryError, match="not a database"):
        Registry.open()


def test_a_newer_schema_is_left_alone(models, private_home):
    path = private_home / "nacre" / "registry.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE reports")
        connection.execute("UPDATE schema_version SET version = 2")
    with pytest.raises(RegistryError, match="has schema 2, this Nacre reads 1: update Nacre"):
        Registry.open()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert not connection.execute("SELECT * FROM sqlite_master WHERE name = 'reports'").fetchall()


def test_a_registry_from_before_reports_gets_their_table(three_versions, private_home, make_package, make_report):
    path = private_home / "nacre" / "registry.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE reports")
    models = Registry.open()
    assert [str(version) for version in models.list()] == ["speech:1", "speech:2", "speech:3"]
    assert models.attach("speech:2", make_report(make_package("d"), content_hash=models.show("speech:2").content_hash))


def test_a_reader_is_not_kept_out_by_a_writer(three_versions, private_home):
    path = private_home / "nacre" / "registry.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert len(three_versions.list()) == 3
