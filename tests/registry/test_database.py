import contextlib
import sqlite3
import threading
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from codec.errors import MissingToolError, RegistryError
from registry.database import Database, SchemaRow, VersionRow
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
    with pytest.raises(MissingToolError, match=r"psycopg2cffi.*nacre\[postgres\]") as caught:
        Registry.open()
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(private_home):
    (private_home / "nacre").mkdir(parents=True)
    (private_home / "nacre" / "registry.db").write_bytes(b"not a database at all " * 100)
    with pytest.raises(RegistryError, match="not a database"):
        Registry.open()


def test_a_failure_on_a_full_disk_says_so(private_home, monkeypatch):
    (private_home / "nacre").mkdir()
    (private_home / "nacre" / "registry.db").write_bytes(b"not a database at all " * 100)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(RegistryError, match="its disk is full: make room first"):
        Registry.open()


def test_a_newer_schema_is_left_alone(models, engine):
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE reports"))
        connection.execute(sa.text("UPDATE schema_version SET version = 99"))
    with pytest.raises(RegistryError, match=r"^the registry at \S+ has schema 99, this Nacre reads 3: update Nacre$"):
        Registry.open()
    assert "reports" not in sa.inspect(engine).get_table_names()


def test_a_new_file_that_another_process_is_making_is_waited_for(private_home):
    (private_home / "nacre").mkdir()
    path = private_home / "nacre" / "registry.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.execute, ["COMMIT"])
        timer.start()
        assert Registry.open().list() == []
        timer.join()


def test_a_reader_is_not_kept_out_by_a_writer(three_versions):
    with Database.open().write():
        assert len(three_versions.list()) == 3


def test_a_reader_sees_one_state(three_versions, make_package):
    count = sa.select(sa.func.count()).select_from(VersionRow)
    with Database.open().read() as session:
        assert session.scalar(count) == 3
        three_versions.register(make_package("d"), "speech")
        assert session.scalar(count) == 3
    assert len(three_versions.list()) == 4


def test_a_writer_that_fails_changes_nothing(models):
    with pytest.raises(ZeroDivisionError), Database.open().write() as session:
        session.execute(sa.delete(SchemaRow))
        1 / 0  # noqa: B018  # anything that raises
    assert Registry.open().list() == []


def test_a_server_that_does_not_answer_is_one_clear_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("NACRE_REGISTRY_URL", f"postgresql+psycopg://nacre:secret@/nacre?host={tmp_path}")
    with pytest.raises(RegistryError, match=r"the registry's database .* failed: connection is bad") as caught:
        Registry.open()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
