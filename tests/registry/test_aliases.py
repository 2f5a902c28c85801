import getpass
import re

import pytest

from codec.errors import ConflictError, PackageError, RegistryError, UnknownModelError


def positions(models, alias="production"):
    """Return where the alias has been."""
    return [change.version for change in models.history("speech") if change.alias == alias]


def test_promotion_moves_the_alias_and_records_who_when_and_why(three_versions):
    three_versions.promote("speech:1", "production")
    change = three_versions.promote("speech:2", "production", why="better")
    assert (change.action, change.previous, change.version, change.why) == ("promote", 1, 2, "better")
    assert change.changed_by == getpass.getuser()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", change.changed)
    assert three_versions.history("speech")[-1] == change
    assert three_versions.resolve("speech").version == 2
    assert [version.aliases for version in three_versions.list()] == [(), ("production",), ()]


def test_aliases_of_one_version_are_independent(three_versions):
    three_versions.promote("speech:2", "production")
    three_versions.promote("speech:2", "candidate")
    three_versions.promote("speech:3", "candidate")
    assert three_versions.show("speech:2").aliases == ("production",)
    three_versions.rollback("speech", "candidate")
    assert three_versions.show("speech:2").aliases == ("candidate", "production")


def test_a_candidate_is_promoted_by_its_alias(three_versions):
    three_versions.promote("speech:3", "candidate")
    assert three_versions.promote("speech@candidate", "production").version == 3


def test_promoting_what_is_there_already_changes_nothing(three_versions):
    three_versions.promote("speech:1", "production")
    assert three_versions.promote("speech:1", "production") is None
    assert positions(three_versions) == [1]


@pytest.mark.parametrize("expect", [0, 2, 3])
def test_nothing_changes_when_the_alias_is_not_where_expected(three_versions, expect):
    three_versions.promote("speech:1", "production")
    with pytest.raises(ConflictError, match=f"is at version 1, not {expect}"):
        three_versions.promote("speech:2", "production", expect=expect)
    assert three_versions.show("speech").version == 1
    assert positions(three_versions) == [1]


def test_an_expected_alias_moves(three_versions):
    three_versions.promote("speech:1", "production", expect=0)
    three_versions.promote("speech:2", "production", expect=1)
    assert positions(three_versions) == [1, 2]


def test_expecting_an_alias_that_does_not_exist_is_a_conflict(three_versions):
    with pytest.raises(ConflictError, match="doesn't exist"):
        three_versions.promote("speech:1", "production", expect=1)


def test_rollback_goes_one_promotion_back_each_time_and_skips_what_was_given_up(three_versions):
    for version in (1, 2, 3):
        three_versions.promote(f"speech:{version}", "production")
    assert three_versions.rollback("speech", "production", why="clicks").version == 2
    assert three_versions.rollback("speech", "production").version == 1
    with pytest.raises(UnknownModelError, match="no version before 1"):
        three_versions.rollback("speech", "production")
    three_versions.promote("speech:3", "production")
    assert three_versions.rollback("speech", "production").version == 1
    assert positions(three_versions) == [1, 2, 3, 2, 1, 3, 1]
    assert [change.action for change in three_versions.history("speech")][3:5] == ["rollback", "rollback"]


def test_there_is_nothing_to_roll_back_without_a_promotion(three_versions):
    with pytest.raises(UnknownModelError, match="no alias 'production'"):
        three_versions.rollback("speech", "production")
    with pytest.raises(UnknownModelError, match="no model 'music'"):
        three_versions.rollback("music", "production")


def test_rollback_to_a_damaged_version_is_refused(three_versions):
    three_versions.promote("speech:1", "production")
    three_versions.promote("speech:2", "production")
    (three_versions.show("speech:1").directory / "metrics.json").unlink()
    with pytest.raises(PackageError, match=r"metrics\.json"):
        three_versions.rollback("speech", "production")
    assert three_versions.show("speech").version == 2


def test_a_bad_alias_is_refused(three_versions):
    with pytest.raises(RegistryError, match="can't be a model's alias"):
        three_versions.promote("speech:1", "Production!")
