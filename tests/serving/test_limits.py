"""Limits come from the environment, and a wrong one is named."""

import pytest

from codec.errors import NacreError
from serving.limits import ServiceLimits
from serving.workers import number_of_workers


def test_defaults_and_overrides(monkeypatch):
    monkeypatch.setenv("NACRE_MAX_SECONDS", "12.5")
    monkeypatch.setenv("NACRE_QUEUE", "0")
    limits = ServiceLimits.from_environment()
    assert (limits.max_seconds, limits.queue) == (12.5, 0)
    assert limits.max_channels == ServiceLimits().max_channels
    assert limits.audio.max_seconds == 12.5


@pytest.mark.parametrize("value", ["many", "-1", "0", "inf", "nan"])
def test_a_wrong_value_is_named(monkeypatch, value):
    monkeypatch.setenv("NACRE_MAX_SECONDS", value)
    with pytest.raises(NacreError, match=f"NACRE_MAX_SECONDS is '{value}'"):
        ServiceLimits.from_environment()


@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5"])
def test_a_number_of_workers_that_is_none(monkeypatch, text):
    monkeypatch.setenv("NACRE_WORKERS", text)
    with pytest.raises(NacreError, match=r"NACRE_WORKERS is .*: it must be a whole number from 1 on"):
        number_of_workers()
