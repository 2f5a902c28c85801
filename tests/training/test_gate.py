import math
from dataclasses import replace

import pytest

from training.evaluate import BitrateSummary
from training.gate import judge


def summary(**changes):
    fields = {
        "bitrate_kbps": 3.0,
        "num_clips": 8,
        "measured_kbps": 3.2,
        "mel_distance": 1.0,
        "si_sdr_db": 5.0,
        "stoi": 0.9,
        "log_spectral_distance_db": 10.0,
        "encode_realtime": 100.0,
        "decode_realtime": 100.0,
    }
    return BitrateSummary(**{**fields, **changes})


PRODUCTION = [summary(), summary(bitrate_kbps=6.0, mel_distance=0.8, stoi=0.95)]


def changed(low=(), high=()):
    return [replace(PRODUCTION[0], **dict(low)), replace(PRODUCTION[1], **dict(high))]


def test_better_is_promoted():
    verdict = judge(changed(low={"mel_distance": 0.9}), PRODUCTION)
    assert verdict.promote
    assert "0.8500" in verdict.reasons[0]
    assert "0.9000" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [
        ({}, {}, "not better"),
        ({"mel_distance": 0.5}, {"mel_distance": 0.82}, "at 6 kbps mel distance rises"),
        ({"mel_distance": 0.5, "stoi": 0.88}, {}, "at 3 kbps STOI falls from 0.900 to 0.880"),
        ({"mel_distance": math.nan}, {}, "mel distance rises from 1.0000 to nan"),
        ({"mel_distance": 0.5, "stoi": math.nan}, {}, "STOI falls"),
    ],
)
def test_worse_anywhere_is_rejected_with_the_reason(low, high, reason):
    verdict = judge(changed(low, high), PRODUCTION)
    assert not verdict.promote
    assert reason in "; ".join(verdict.reasons)


def test_an_undefined_metric_of_production_has_no_say():
    production = [replace(old, stoi=math.nan) for old in PRODUCTION]
    assert judge(changed(low={"mel_distance": 0.9}), production).promote
