"""Every older schema becomes today's, as a whole or not at all, whoever opens it and whatever kills them."""

import shutil

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from codec.errors import RegistryError
from registry.database import SCHEMA_VERSION, SchemaRow
from registry.migrations import upgrade
from registry.registry import Registry

FIRST_CREATED = "2026-11-28T03:57:30+00:00"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def tables(engine):
    return {name for name in sa.inspect(engine).get_table_names() if not name.startswith("sqlite_")}


def schema_of(engine):
    with engine.connect() as connection:
        return connection.scalars(sa.select(SchemaRow.version)).all()


def test_all_of_the_first_released_schema_is_still_there_and_can_be_promoted(first, tmp_path):
    models = Registry.open()
    for run, version in zip("ab", models.list(), strict=True):
        shutil.copytree(tmp_path / f"package-{run}", version.directory)
    one, two = models.list()
    assert (str(one), one.note, one.aliases, one.created_by) == ("speech:1", "run a", ("production",), "alice")
    assert (str(two), two.note, two.aliases, two.created) == (
        "speech:2",
        "run b",
        ("candidate",),
        "2026-11-28T03:57:30+00:00",
    )
    assert (one.metrics, two.lineage["run"]) == ({"mel_distance": 1.25, "si_sdr_db": 3.5}, "b")
    changes = [(c.action, c.alias, c.previous, c.version, c.why) for c in models.history("speech")]
    assert changes == [
        ("promote", "production", None, 1, "first"),
        ("promote", "production", 1, 2, "better"),
        ("promote", "candidate", None, 2, ""),
        ("rollback", "production", 2, 1, "clicks"),
    ]
    (report,) = models.reports(two)
    assert (report.note, report.card.name, len(report.hashes)) == ("it's spring", "card-speech-1.md", 4)
    assert models.promote("speech@candidate", "production", expect=1).previous == 1
    assert models.rollback("speech", "production").version == 1


def test_a_registry_from_before_reports_gets_their_table(first, make_package, make_report):
    with first.begin() as connection:
        connection.execute(sa.text("DROP TABLE reports"))
    models = Registry.open()
    version = models.show("speech:2")
    assert models.reports(version) == ()
    assert models.attach("speech:2", make_report(make_package("c"), content_hash=version.content_hash)).is_new


@pytest.mark.parametrize("start", ["empty", "first"])
def test_the_steps_make_the_tables_that_the_code_has(request, engine, start):
    if start == "first":
        request.getfixturevalue("first")
    Registry.open()
    assert schema_of(engine) == [SCHEMA_VERSION]
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SchemaRow.metadata) == []


def test_the_newest_step_is_the_schema_of_the_code():
    steps = ScriptDirectory(str(upgrade.STEPS.parent))
    assert steps.get_heads() == [f"{SCHEMA_VERSION:04}"]
    assert [int(step.revision) for step in steps.walk_revisions()] == list(range(SCHEMA_VERSION, 0, -1))


def test_a_step_that_fails_takes_all_of_them_back(first, monkeypatch, tmp_path):
    before = tables(first)
    steps = tmp_path / "broken" / "versions"
    shutil.copytree(upgrade.STEPS, steps)
    with (steps / "0003_removals.py").open("a") as file:
        file.write('    op.execute("INSERT INTO removals VALUES (1)")\n')
    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "STEPS", steps)
        with pytest.raises(RegistryError, match=r"the registry's database .* failed: "):
            Registry.open()
    assert (schema_of(first), tables(first)) == ([1], before)
    assert len(Registry.open().list()) == 2
    assert "removals" in tables(first)


@ON_SQLITE
def test_a_file_is_copied_before_it_is_migrated(first, private_home):
    Registry.open()
    folder = private_home / "nacre"
    copy = folder / f"registry.db.before-{SCHEMA_VERSION:04}"
    assert {path.name for path in folder.iterdir()} <= {"registry.db", "registry.db-wal", "registry.db-shm", copy.name}
    assert copy.stat().st_mode == (folder / "registry.db").stat().st_mode
    copied = sa.create_engine(f"sqlite:///{copy}", poolclass=sa.NullPool)
    assert schema_of(copied) == [1]
    assert "removals" not in tables(copied)
    copy.replace(folder / "registry.db")
    assert len(Registry.open().list()) == 2


@ON_SQLITE
def test_a_file_that_cannot_be_copied_is_not_migrated(first, private_home):
    (private_home / "nacre" / f"registry.db.before-{SCHEMA_VERSION:04}").mkdir()
    with pytest.raises(
        RegistryError, match=r"registry\.db' is not migrated, as no copy can be kept in '.*before-0003'"
    ):
        Registry.open()
    assert schema_of(first) == [1]


@ON_SQLITE
def test_a_new_file_needs_no_copy(models, private_home):
    assert not list((private_home / "nacre").glob("*before*"))
