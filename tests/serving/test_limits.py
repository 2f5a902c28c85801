"""Limits come from the environment, and a wrong one is named."""

import pytest

from codec.errors import NacreError
from serving.limits import ServiceLimits


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
