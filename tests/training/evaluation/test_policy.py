from pathlib import Path

import pytest

from codec.errors import RunError
from training.evaluation.policy import MetricRule, Policy, read_policy

SHIPPED = Path(__file__).parents[3] / "configs" / "gate.yaml"


def test_the_shipped_policy_is_the_default_and_explains_every_key():
    assert read_policy(SHIPPED) == Policy()
    before = "\n"
    for line in SHIPPED.read_text().splitlines():
        if line[:1].isalpha():
            assert before.startswith("#") or before[:1].isalpha(), f"{line} has no comment"
        before = line


def test_keys_that_are_left_out_have_their_defaults(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text("min_clips: 5\nmetrics: {pesq: {better: higher, relative_margin: 0.02}}\nrequire_better: null\n")
    rule = MetricRule(better="higher", relative_margin=0.02)
    assert read_policy(path) == Policy(min_clips=5, metrics={"pesq": rule}, require_better=None)
    path.write_text("# nothing\n")
    assert read_policy(path) == Policy()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_clip: 5", "the policy has unknown keys: min_clip; known are confidence, min_clips, "),
        ("[1]", "the policy must be a mapping of keys to values"),
        ("a: [", "is not YAML"),
        ("confidence: 95", "confidence is 95 but must be a number from 0.5 to below 1"),
        ("confidence: 1e-2", "confidence is '1e-2' but must be a number"),
        ("min_clips: 1", "min_clips is 1 but must be a whole number, at least 2"),
        ("min_clips: true", "min_clips is True but must be"),
        ("min_clips: 20.5", "min_clips is 20.5 but must be"),
        ("max_undefined_share: 1", "max_undefined_share is 1 but must be a number from 0 to below 1"),
        ("max_dead_share: -0.1", "max_dead_share is -0.1 but must be a number from 0 to 1, or null"),
        ("max_size_share: .inf", "max_size_share is inf but must be a number above 0, or null"),
        ("min_encode_speed_share: 0", "min_encode_speed_share is 0 but must be a number above 0, or null"),
        (
            "require_better: pesq",
            r"require_better is 'pesq' but must be null or one of the metrics (mel_distance, stoi)",
        ),
        ("require_better: [pesq]", "require_better is ['pesq'] but must be null or one of"),
        ("metrics: null", "metrics must name at least one metric with its rule, not None"),
        ("metrics: {stoi: 1}", "metrics.stoi: the rule must be a mapping"),
        ("metrics: {stoi: {margin: 1}}", "metrics.stoi: the rule has unknown keys: margin; known are better, "),
        ("metrics: {stoi: {absolute_margin: 1}}", "metrics.stoi: better is None but must be lower or higher"),
        ("metrics: {stoi: {better: higher}}", "metrics.stoi: give absolute_margin or relative_margin, one of the two"),
        (
            "metrics: {stoi: {better: higher, absolute_margin: -1}}",
            "absolute_margin is -1 but must be a number 0 or above",
        ),
    ],
)
def test_a_policy_that_is_not_as_it_must_be_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(RunError) as error:
        read_policy(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_policy_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"can't read the gate's policy .*none\.yaml"):
        read_policy(tmp_path / "none.yaml")
