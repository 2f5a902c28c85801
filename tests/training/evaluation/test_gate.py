import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import DataError, PackageError
from codec.weights import write_package
from tiny import tiny_codec
from training.evaluation.gate import Check, Facts, Verdict, facts_of, judge
from training.evaluation.policy import MetricRule, Policy
from training.evaluation.scores import Clip, Score

SHIPPED = Path(__file__).parents[3] / "configs" / "gate.yaml"
FACTS = Facts(package_bytes=1_000, perplexity_share=(0.5, 0.4), dead_share=(0.0, 0.1))
BITRATES = (3.0, 6.0)
POLICY = Policy()


def clip(number, kind):
    return Clip(name=f"{kind}{number}.wav", seconds=2.0 + number % 3, sample_rate=16_000, channels=1, kind=kind)


def scored(num_clips=24, bitrates=BITRATES, encode=40.0, decode=80.0, kind="unknown", **changes):
    """Scores that vary by clip and bitrate; `changes` are functions of (value, clip number) by metric."""
    scores = []
    for rate in bitrates:
        for number in range(num_clips):
            metrics = {"mel_distance": 1 + 0.05 * (number % 7) - 0.03 * rate, "stoi": 0.85 + 0.01 * (number % 5)}
            metrics |= {name: change(metrics[name], number) for name, change in changes.items()}
            speeds = {"encode_realtime": encode, "decode_realtime": decode}
            scores.append(
                Score(
                    clip=clip(number, kind), codec="nacre", bitrate_kbps=rate, num_bytes=900, metrics=metrics, **speeds
                )
            )
    return scores


def better(value, number):
    return 0.95 * value


PRODUCTION = scored()
CANDIDATE = scored(mel_distance=better)
PRODUCTION_SPEECH = scored(kind="speech")


def verdict_of(candidate=CANDIDATE, production=PRODUCTION, policy=POLICY, facts=FACTS, production_facts=FACTS):
    return judge(candidate, production, policy, facts, production_facts)


def outcomes(verdict, name):
    return [result.outcome for result in verdict.checks if result.name == name]


def the_reason(verdict):
    """Return the only sentence that decided."""
    assert len(verdict.reasons) == 1, verdict.reasons
    return verdict.reasons[0]


def test_better_on_the_whole_and_worse_nowhere_is_promoted():
    verdict = verdict_of()
    assert verdict.promote, verdict.reasons
    assert verdict.outcome == "passed"
    assert outcomes(verdict, "mel_distance") == ["passed", "passed"]
    assert outcomes(verdict, "better mel_distance") == ["passed"]
    assert len(verdict.reasons) == len(verdict.checks)


def test_the_same_again_is_not_better():
    verdict = verdict_of(candidate=PRODUCTION)
    assert verdict.outcome == "failed"
    assert not verdict.promote
    reason = the_reason(verdict)
    assert reason.startswith("not better: mean mel_distance is ")
    assert "changes by +0.0000 (+0.0000 to +0.0000)" in reason


def test_the_same_again_is_promoted_where_nothing_needs_to_be_better():
    assert verdict_of(candidate=PRODUCTION, policy=replace(POLICY, require_better=None)).promote


def test_worse_on_the_whole_is_not_better():
    verdict = verdict_of(candidate=scored(mel_distance=lambda value, _: 1.005 * value))
    assert verdict.outcome == "failed"
    assert the_reason(verdict).startswith("not better")


def test_better_for_some_clips_alone_is_undecided():
    # Half a percent up and down, within the margin of one.
    verdict = verdict_of(candidate=scored(mel_distance=lambda value, number: value * (1 + 0.005 * (-1) ** number)))
    assert verdict.outcome == "undecided"
    assert the_reason(verdict).startswith("not surely better")


def test_worse_at_one_bitrate_fails_with_the_numbers():
    low, high = (
        scored(bitrates=(3.0,), mel_distance=better),
        scored(bitrates=(6.0,), stoi=lambda value, _: value - 0.02),
    )
    verdict = verdict_of(candidate=low + high)
    assert verdict.outcome == "failed"
    reason = the_reason(verdict)
    assert reason.startswith("at 6 kbps stoi is 0.8492, production's 0.8692: changes by -0.0200 (-0.0200 to -0.0200)")
    assert reason.endswith("the margin of 0.01")
    assert [(result.name, result.bitrate_kbps) for result in verdict.checks if result.outcome == "failed"] == [
        ("stoi", 6.0)
    ]


def test_a_loss_that_clips_are_at_odds_about_is_undecided():
    verdict = verdict_of(candidate=scored(mel_distance=better, stoi=lambda value, number: value - 0.025 * (number % 2)))
    assert verdict.outcome == "undecided"
    assert outcomes(verdict, "stoi") == ["undecided", "undecided"]
    assert "on both sides of the margin of 0.01" in verdict.reasons[0]


def test_a_failure_outweighs_what_is_undecided_and_is_told_first():
    verdict = verdict_of(candidate=PRODUCTION, facts=replace(FACTS, dead_share=None))
    assert verdict.outcome == "failed"
    assert verdict.reasons[0].startswith("not better")
    assert len(verdict.reasons) == 2


@given(
    shares=st.lists(st.floats(0.011, 0.5), min_size=24, max_size=24),
    values=st.lists(st.floats(0.05, 20.0), min_size=24, max_size=24),
)
def test_worse_by_more_than_a_relative_margin_on_every_clip_always_fails(shares, values):
    production = scored(bitrates=(3.0,), mel_distance=lambda _, number: values[number])
    candidate = scored(bitrates=(3.0,), mel_distance=lambda _, number: values[number] * (1 + shares[number]))
    assert outcomes(verdict_of(candidate, production), "mel_distance") == ["failed"]


@given(
    losses=st.lists(st.floats(0.0101, 0.5), min_size=24, max_size=24),
    values=st.lists(st.floats(0.5, 1.0), min_size=24, max_size=24),
)
def test_worse_by_more_than_an_absolute_margin_on_every_clip_always_fails(losses, values):
    production = scored(bitrates=(3.0,), stoi=lambda _, number: values[number])
    candidate = scored(bitrates=(3.0,), stoi=lambda _, number: values[number] - losses[number])
    assert outcomes(verdict_of(candidate, production), "stoi") == ["failed"]


@given(
    values=st.lists(st.floats(-20.0, 20.0), min_size=24, max_size=24), margin=st.floats(0, 0.5), relative=st.booleans()
)
def test_the_same_again_is_never_worse(values, margin, relative):
    rule = MetricRule(better="higher", **{"relative_margin" if relative else "absolute_margin": margin})
    policy = replace(POLICY, metrics={"si_sdr_db": rule}, require_better=None)
    scores = [replace(one, metrics={"si_sdr_db": values[number]}) for number, one in enumerate(scored(bitrates=(3.0,)))]
    assert verdict_of(scores, scores, policy).promote


def test_the_same_input_gives_the_same_verdict_in_any_order():
    assert verdict_of(candidate=CANDIDATE[::-1], production=PRODUCTION[5:] + PRODUCTION[:5]) == verdict_of()


def test_what_is_better_for_one_kind_can_t_hide_what_is_worse_for_another():
    production = [*PRODUCTION_SPEECH, *scored(kind="music")]
    candidate = [*scored(kind="speech", mel_distance=lambda value, number: 0.5 * value)]
    candidate += scored(kind="music", mel_distance=lambda value, number: 1.1 * value)
    verdict = verdict_of(candidate, production)
    assert verdict.outcome == "failed"
    assert outcomes(verdict, "better mel_distance") == ["passed"]
    assert {(result.kind, result.outcome) for result in verdict.checks if result.name == "mel_distance"} == {
        ("music", "failed"),
        ("speech", "passed"),
    }
    assert verdict.reasons[0].startswith("music at 3 kbps mel_distance is ")


def test_each_kind_needs_enough_clips():
    few = scored(3, kind="music")
    verdict = verdict_of([*scored(kind="speech", mel_distance=better), *few], [*PRODUCTION_SPEECH, *few])
    assert verdict.outcome == "undecided"
    assert verdict.reasons[0] == "music at 3 kbps 3 clips were scored on both sides, at least 20 are needed"


def without_stoi(scores):
    return [replace(score, metrics={"mel_distance": score.metrics["mel_distance"]}) for score in scores]


def test_a_metric_of_speech_is_not_asked_of_music():
    production = [*PRODUCTION_SPEECH, *without_stoi(scored(kind="music"))]
    candidate = [*scored(kind="speech", mel_distance=better), *without_stoi(scored(kind="music", mel_distance=better))]
    verdict = verdict_of(candidate, production)
    assert verdict.promote, verdict.reasons
    assert outcomes(verdict, "stoi") == ["passed", "passed"]
    assert outcomes(verdict_of(without_stoi(candidate), without_stoi(production)), "stoi") == ["undecided"] * 4


def test_a_metric_that_a_kind_lacks_at_one_bitrate_is_missed_there():
    low, high = ([rate] for rate in BITRATES)
    music = scored(kind="music", mel_distance=better)
    production = [*without_stoi(scored(kind="speech", bitrates=low)), *scored(kind="speech", bitrates=high), *music]
    verdict = verdict_of(production, production, replace(POLICY, require_better=None))
    assert verdict.outcome == "undecided"
    assert the_reason(verdict) == "speech at 3 kbps stoi is defined for 0 clips, at least 20 are needed"


def test_too_few_clips_are_undecided():
    verdict = verdict_of(scored(8, mel_distance=better), scored(8))
    assert verdict.outcome == "undecided"
    assert "at 3 kbps 8 clips were scored on both sides, at least 20 are needed" in verdict.reasons
    assert verdict_of(scored(8, mel_distance=better), scored(8), replace(POLICY, min_clips=8)).promote


def test_other_clips_are_undecided():
    verdict = verdict_of(candidate=scored(26, mel_distance=better))
    assert verdict.outcome == "undecided"
    assert outcomes(verdict, "clips") == ["undecided", "undecided"]
    assert "24 clips were scored on both sides, at least 20 are needed, and 2 on one side only" in verdict.reasons[0]


def test_other_bitrates_are_undecided():
    verdict = verdict_of(candidate=CANDIDATE[:24])
    assert the_reason(verdict) == "at 6 kbps only production was scored"
    verdict = verdict_of(production=PRODUCTION[:24])
    assert the_reason(verdict) == "at 6 kbps only candidate was scored"


def test_bitrates_without_a_clip_in_common_are_undecided():
    verdict = verdict_of(
        candidate=CANDIDATE[:24], production=[*PRODUCTION[:24], replace(PRODUCTION[24], bitrate_kbps=9.0)]
    )
    assert the_reason(verdict) == "at 9 kbps only production was scored"


@pytest.mark.parametrize(
    "production", [[], scored(bitrates=(9.0,)), [replace(one, clip=clip(99, "unknown")) for one in CANDIDATE[:1]]]
)
def test_nothing_in_common_is_refused(production):
    with pytest.raises(DataError, match="no clip in common at any bitrate"):
        verdict_of(production=production)


def test_a_clip_scored_twice_is_refused():
    with pytest.raises(DataError, match="scored twice"):
        verdict_of(candidate=[*CANDIDATE, CANDIDATE[0]])


def test_what_is_undefined_for_the_candidate_alone_is_undecided():
    lost = scored(mel_distance=better, stoi=lambda value, number: math.nan if number == 3 else value)
    verdict = verdict_of(candidate=lost)
    assert verdict.outcome == "undecided"
    assert verdict.reasons[0] == "at 3 kbps stoi is undefined for the candidate alone on 1 of 24 clips"


def test_what_is_undefined_for_a_few_clips_is_left_out():
    undefined = {"stoi": lambda value, number: math.nan if number < 2 else value}
    assert verdict_of(scored(mel_distance=better, **undefined), scored(**undefined)).promote


def test_what_is_undefined_for_many_clips_is_undecided():
    undefined = {"stoi": lambda value, number: math.nan if number < 3 else value}
    verdict = verdict_of(scored(mel_distance=better, **undefined), scored(**undefined))
    assert verdict.outcome == "undecided"
    assert verdict.reasons[0] == "at 3 kbps stoi is undefined for 3 of 24 clips, at most 0.1 may be"
    few = replace(POLICY, max_undefined_share=0.2, min_clips=22)
    verdict = verdict_of(scored(mel_distance=better, **undefined), scored(**undefined), few)
    assert verdict.reasons[0] == "at 3 kbps stoi is defined for 21 clips, at least 22 are needed"


def test_a_metric_that_was_not_measured_is_undecided():
    policy = replace(POLICY, metrics={**POLICY.metrics, "pesq": MetricRule(better="higher", absolute_margin=0.05)})
    verdict = verdict_of(policy=policy)
    assert verdict.outcome == "undecided"
    assert outcomes(verdict, "pesq") == ["undecided", "undecided"]
    verdict = verdict_of(policy=replace(policy, require_better="pesq"))
    assert outcomes(verdict, "better pesq") == ["undecided"]


def test_any_metric_can_be_the_one_to_be_better_in():
    policy = replace(POLICY, require_better="stoi")
    assert verdict_of(policy=policy).outcome == "failed"
    assert verdict_of(candidate=scored(stoi=lambda value, _: value + 0.01), policy=policy).promote
    assert verdict_of(candidate=scored(stoi=lambda value, _: value - 0.001), policy=policy).outcome == "failed"


@pytest.mark.parametrize("kind", ["encode", "decode"])
def test_speed_is_judged_by_its_share_of_production_s(kind):
    slow, fast = (scored(mel_distance=better, **{kind: speed}) for speed in (30.0, 79.0))
    verdict = verdict_of(candidate=slow, production=scored(**{kind: 40.0}))
    assert (verdict.outcome, the_reason(verdict)) == (
        "failed",
        f"{kind} speed is 0.75 of production's, at least 0.8 is needed",
    )
    assert verdict_of(candidate=fast, production=scored(**{kind: 80.0})).promote
    ignored = replace(POLICY, **{f"min_{kind}_speed_share": None})
    assert verdict_of(candidate=slow, production=scored(**{kind: 40.0}), policy=ignored).promote


def test_speed_that_clips_are_at_odds_about_is_undecided():
    uneven = [replace(one, encode_realtime=20.0 if number % 3 == 0 else 40.0) for number, one in enumerate(CANDIDATE)]
    verdict = verdict_of(candidate=uneven)
    assert verdict.outcome == "undecided"
    assert the_reason(verdict).endswith("at least 0.8 is needed, which clips are at odds about")


def test_speed_that_was_not_measured_is_undecided():
    verdict = verdict_of(candidate=[replace(one, decode_realtime=math.nan) for one in CANDIDATE])
    assert (verdict.outcome, the_reason(verdict)) == ("undecided", "decode speed is not known of every clip")


@pytest.mark.parametrize(
    ("facts", "outcome", "reason"),
    [
        ({"perplexity_share": (0.5, 0.05)}, "failed", "perplexity share of codebooks is worst in stage 2 with 0.05"),
        ({"dead_share": (0.6, 0.1)}, "failed", "dead share of codebooks is worst in stage 1 with 0.6, at most 0.5"),
        ({"perplexity_share": None}, "undecided", "doesn't tell its perplexity share"),
        ({"dead_share": None}, "undecided", "doesn't tell its dead share"),
        ({"package_bytes": 1_251}, "failed", "1,251 bytes, production's 1,000: 1.25 of it, at most 1.25 is allowed"),
        ({"package_bytes": None}, "undecided", "size of one of the packages is not known"),
    ],
)
def test_facts_are_held_to_their_limits(facts, outcome, reason):
    verdict = verdict_of(facts=replace(FACTS, **facts))
    assert verdict.outcome == outcome
    assert reason in the_reason(verdict)
    ignored = {"min_perplexity_share": None, "max_dead_share": None, "max_size_share": None}
    assert verdict_of(facts=replace(FACTS, **facts), policy=replace(POLICY, **ignored)).promote


def test_limits_themselves_are_allowed():
    facts = Facts(package_bytes=1_250, perplexity_share=(0.1,), dead_share=(0.5,))
    assert verdict_of(facts=facts).promote


def test_a_verdict_is_written_as_json():
    data = json.loads(verdict_of(candidate=PRODUCTION).to_json())
    assert (data["outcome"], data["promote"]) == ("failed", False)
    assert {"name", "outcome", "sentence", "bitrate_kbps", "kind"} == set(data["checks"][0])
    assert Verdict(checks=(Check(name="a", outcome="passed", sentence="b"),)).promote


def test_facts_of_a_package(tmp_path):
    codec = tiny_codec()
    codebook = {"perplexity": [8.0, 4.0], "dead_share": [0.0, 0.25], "expiry_rate": [0.0, 0.0]}
    write_package(tmp_path / "package", codec, metrics={"codebook": codebook}, lineage={})
    facts = facts_of(tmp_path / "package")
    assert facts.perplexity_share == (0.5, 0.25)
    assert facts.dead_share == (0.0, 0.25)
    assert facts.package_bytes == sum(path.stat().st_size for path in (tmp_path / "package").iterdir())
    write_package(tmp_path / "bare", codec, metrics={}, lineage={})
    bare = facts_of(tmp_path / "bare")
    assert (bare.perplexity_share, bare.dead_share) == (None, None)
    shutil.rmtree(tmp_path / "bare")
    with pytest.raises(PackageError):
        facts_of(tmp_path / "bare")
