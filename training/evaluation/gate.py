"""The gate: may a candidate replace what is in production, judged on the same clips at the same bitrates?

Each check has one of three outcomes. It is *undecided* where the clips at hand could be chance, or a number is missing:
a gate that can't tell says so, and doesn't promote. Only a candidate that passes every check is promoted.

Not being worse is shown, not presumed: the worse end of the paired interval of the difference must be within a margin
(non-inferiority; ICH E9, 1998, section 3.3.2). All checks must pass, so their number needs no correction: the chance to
promote what is worse anywhere is at most that of a single check (intersection-union test; Berger, Technometrics 24 (4),
1982). Kinds of clips are judged apart, so that better speech can't hide worse music. A relative margin is taken of
production's value of each clip, so that the mean of `candidate - production - margin` is judged, and the spread of
production's own values is part of it.

Intervals are those of training/evaluation/statistics.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from codec.errors import DataError
from codec.package import open_package
from training.evaluation.policy import Policy, is_number
from training.evaluation.scores import Score
from training.evaluation.statistics import ClipKey, Estimate, by_bitrate, clip_key, estimate_mean, values_by_clip

Outcome = Literal["passed", "failed", "undecided"]
# By clip.
Values = Mapping[ClipKey, float]
# Where an interval lies, seen from a margin.
PLACES: Mapping[Outcome, str] = {"passed": "within", "failed": "beyond", "undecided": "on both sides of"}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a package besides scores: its size, and how each stage's codebook is used; None if unknown."""

    package_bytes: int | None = None
    perplexity_share: tuple[float, ...] | None = None
    dead_share: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check's result: `sentence` has its numbers; `bitrate_kbps` is None where it is about all bitrates.

    `kind` is None where it is about all kinds of clips, or they are all of one.
    """

    name: str
    outcome: Outcome
    sentence: str
    bitrate_kbps: float | None = None
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Clips that are judged apart: of one kind, None if all are, at one bitrate, both sides scored."""

    kind: str | None
    bitrate_kbps: float | None
    candidate: Sequence[Score]
    production: Sequence[Score]

    def check(self, name: str, outcome: Outcome, sentence: str) -> Check:
        """Return the result of a check of this group."""
        kind = "" if self.kind is None else f"{self.kind} "
        sentence = f"{kind}{_at(self.bitrate_kbps)}{sentence}"
        return Check(name=name, outcome=outcome, sentence=sentence, bitrate_kbps=self.bitrate_kbps, kind=self.kind)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The checks of a candidate, and what follows from them."""

    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """Failed if any check failed, else undecided if any is, else passed."""
        found = {result.outcome for result in self.checks}
        return "failed" if "failed" in found else "undecided" if "undecided" in found else "passed"

    @property
    def promote(self) -> bool:
        """Whether every check passed."""
        return self.outcome == "passed"

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences that decided: of the checks that did not pass, failed ones first; of all if all passed."""
        order = ("passed",) if self.promote else ("failed", "undecided")
        return tuple(result.sentence for wanted in order for result in self.checks if result.outcome == wanted)

    def to_json(self) -> str:
        """Return the verdict as JSON: outcome, promote, and the checks."""
        data = {"outcome": self.outcome, "promote": self.promote, "checks": [asdict(result) for result in self.checks]}
        return json.dumps(data, indent=2) + "\n"


def facts_of(package_directory: Path) -> Facts:
    """Return what the gate needs to know of a package.

    Raises:
        PackageError: The directory is no whole package.
    """
    package = open_package(package_directory)
    codebook = package.metrics.get("codebook")
    health = codebook if isinstance(codebook, dict) else {}
    perplexity, size = _stages(health.get("perplexity")), package.config.quantizer.codebook_size
    return Facts(
        package_bytes=sum((package_directory / name).stat().st_size for name in package.files),
        perplexity_share=None if perplexity is None else tuple(value / size for value in perplexity),
        dead_share=_stages(health.get("dead_share")),
    )


def judge(
    candidate: Sequence[Score],
    production: Sequence[Score],
    policy: Policy,
    candidate_facts: Facts,
    production_facts: Facts,
) -> Verdict:
    """Judge a candidate's scores and facts by the policy; the same input gives the same verdict.

    Raises:
        DataError: No clip was scored at the same bitrate on both sides, or one was twice.
    """
    new, old = by_bitrate(candidate), by_bitrate(production)
    shared = [rate for rate in new if rate in old and _clips(new[rate]) & _clips(old[rate])]
    if not shared:
        raise DataError("candidate and production have no clip in common at any bitrate: evaluate both on the same")
    checks = [*_bitrate_checks(new, old)]
    for group in _groups(new, old, shared):
        checks.append(_enough_clips(group, policy))
        checks += [_not_worse(name, group, policy) for name in _metrics(group, policy, (*candidate, *production))]
    pairs = [(new[rate], old[rate]) for rate in shared]
    if policy.require_better is not None:
        checks.append(_better(policy.require_better, pairs, policy))
    checks += _speed_checks(pairs, policy)
    checks += _codebook_checks(candidate_facts, policy)
    checks += _size_checks(candidate_facts, production_facts, policy)
    return Verdict(checks=tuple(checks))


def _bitrate_checks(new: Mapping[float | None, Any], old: Mapping[float | None, Any]) -> Iterator[Check]:
    """Yield a check for each bitrate that only one side was scored at."""
    for name, rates in (("candidate", new.keys() - old.keys()), ("production", old.keys() - new.keys())):
        for rate in sorted(rates, key=lambda rate: math.inf if rate is None else rate):
            sentence = f"{_at(rate)}only {name} was scored"
            yield Check(name="bitrates", outcome="undecided", sentence=sentence, bitrate_kbps=rate)


def _groups(
    new: Mapping[float | None, Sequence[Score]],
    old: Mapping[float | None, Sequence[Score]],
    rates: Sequence[float | None],
) -> Iterator[Group]:
    """Yield the groups of clips to judge apart at those bitrates."""
    kinds = sorted({score.clip.kind for side in (new, old) for rate in rates for score in side[rate]})
    for rate in rates:
        for kind in kinds:
            ours, theirs = ([score for score in side[rate] if score.clip.kind == kind] for side in (new, old))
            told = kind if len(kinds) > 1 else None
            yield Group(kind=told, bitrate_kbps=rate, candidate=ours, production=theirs)


def _metrics(group: Group, policy: Policy, scores: Sequence[Score]) -> list[str]:
    """Return the policy's metrics that apply to a group: not those that only other kinds have, as STOI for music.

    One that its kind has at another bitrate applies, and is missed at this one.
    """
    of_kind = {name for score in scores if group.kind in (None, score.clip.kind) for name in score.metrics}
    of_others = {name for score in scores for name in score.metrics} - of_kind
    return [name for name in policy.metrics if name not in of_others]


def _enough_clips(group: Group, policy: Policy) -> Check:
    """Check that both sides have the same clips, and enough of them."""
    first, second = _clips(group.candidate), _clips(group.production)
    shared, single = len(first & second), len(first ^ second)
    sentence = f"{shared} clips were scored on both sides, at least {policy.min_clips} are needed"
    outcome: Outcome = "passed" if shared >= policy.min_clips else "undecided"
    if single:
        outcome, sentence = "undecided", f"{sentence}, and {single} on one side only"
    return group.check("clips", outcome, sentence)


def _not_worse(name: str, group: Group, policy: Policy) -> Check:
    """Check that a metric is not worse by more than its margin."""
    rule = policy.metrics[name]
    new, old = _values(name, group.candidate, group.production)
    clips = sorted(new.keys() & old.keys())
    if problem := _undefined(clips, new, old, policy):
        return group.check(name, "undecided", f"{name} {problem}")
    defined = [clip for clip in clips if math.isfinite(new[clip] + old[clip])]
    margins = {clip: rule.margin(old[clip]) for clip in defined}
    excess = _estimate([rule.sign * (new[clip] - old[clip]) - margins[clip] for clip in defined], policy)
    outcome = _at_most_zero(excess)
    margin = _mean([margins[clip] for clip in defined])
    ends = [rule.sign * (end + margin) for end in (excess.low, excess.high)]
    share = "" if rule.relative_margin is None else f" ({rule.relative_margin:g} of production's)"
    sentence = (
        f"{name} {_sides([new[clip] for clip in defined], [old[clip] for clip in defined])}: "
        f"{_change(rule.sign * (excess.mean + margin), ends)}, {PLACES[outcome]} the margin of {margin:.4g}{share}"
    )
    return group.check(name, outcome, sentence)


def _better(name: str, pairs: Sequence[tuple[Sequence[Score], Sequence[Score]]], policy: Policy) -> Check:
    """Check that a metric is better on the whole: clips are the sample, each with its mean over bitrates."""
    values = [_values(name, *pair) for pair in pairs]
    sides = [_over_bitrates([value[side] for value in values]) for side in (0, 1)]
    clips = sorted(sides[0].keys() & sides[1].keys())
    if problem := _undefined(clips, sides[0], sides[1], policy):
        return Check(name=f"better {name}", outcome="undecided", sentence=f"on the whole {name} {problem}")
    defined = [clip for clip in clips if math.isfinite(sides[0][clip] + sides[1][clip])]
    new, old = ([side[clip] for clip in defined] for side in sides)
    sign = policy.metrics[name].sign
    change = _estimate([now - before for now, before in zip(new, old, strict=True)], policy)
    worst, best = (change.high, change.low) if sign > 0 else (change.low, change.high)
    outcome: Outcome = "passed" if sign * worst < 0 else "failed" if sign * best >= 0 else "undecided"
    word = {"passed": "better", "failed": "not better", "undecided": "not surely better"}[outcome]
    sentence = f"{word}: mean {name} {_sides(new, old)}, {_change(change.mean, (change.low, change.high))}"
    return Check(name=f"better {name}", outcome=outcome, sentence=sentence)


def _speed_checks(pairs: Sequence[tuple[Sequence[Score], Sequence[Score]]], policy: Policy) -> Iterator[Check]:
    """Yield whether encoding and decoding are fast enough: by the time that each clip takes, over all bitrates."""
    for kind, share in (("encode", policy.min_encode_speed_share), ("decode", policy.min_decode_speed_share)):
        if share is None:
            continue
        name = f"{kind} speed"
        new, old = (_over_bitrates([_times(pair[side], kind) for pair in pairs]) for side in (0, 1))
        clips = sorted(new.keys() & old.keys())
        if not clips or not all(math.isfinite(new[clip] + old[clip]) for clip in clips):
            yield Check(name=name, outcome="undecided", sentence=f"{name} is not known of every clip")
            continue
        outcome = _at_most_zero(_estimate([new[clip] * share - old[clip] for clip in clips], policy))
        taken, before = (_mean([side[clip] for clip in clips]) for side in (new, old))
        doubt = ", which clips are at odds about" if outcome == "undecided" else ""
        sentence = f"{name} is {before / taken:.3g} of production's, at least {share:g} is needed{doubt}"
        yield Check(name=name, outcome=outcome, sentence=sentence)


def _codebook_checks(facts: Facts, policy: Policy) -> Iterator[Check]:
    """Yield whether every stage's codebook is used enough."""
    limits = (
        ("perplexity share", facts.perplexity_share, policy.min_perplexity_share, 1),
        ("dead share", facts.dead_share, policy.max_dead_share, -1),
    )
    for name, stages, limit, sign in limits:
        if limit is None:
            continue
        if not stages:
            yield Check(name=name, outcome="undecided", sentence=f"the candidate's package doesn't tell its {name}")
            continue
        worst = min(range(len(stages)), key=lambda stage: sign * stages[stage])
        outcome: Outcome = "passed" if sign * stages[worst] >= sign * limit else "failed"
        rule = f"{'at least' if sign > 0 else 'at most'} {limit:g} is needed"
        sentence = f"the {name} of codebooks is worst in stage {worst + 1} with {stages[worst]:.3g}, {rule}"
        yield Check(name=name, outcome=outcome, sentence=sentence)


def _size_checks(candidate: Facts, production: Facts, policy: Policy) -> Iterator[Check]:
    """Yield whether the package is small enough."""
    if policy.max_size_share is None:
        return
    new, old = candidate.package_bytes, production.package_bytes
    if new is None or not old:
        yield Check(name="size", outcome="undecided", sentence="the size of one of the packages is not known")
        return
    outcome: Outcome = "passed" if new <= policy.max_size_share * old else "failed"
    rule = f"{new / old:.3g} of it, at most {policy.max_size_share:g} is allowed"
    yield Check(name="size", outcome=outcome, sentence=f"the package has {new:,} bytes, production's {old:,}: {rule}")


def _undefined(clips: Sequence[ClipKey], new: Values, old: Values, policy: Policy) -> str:
    """Return why a metric can't be judged over the clips, or nothing."""
    lost = sum(math.isnan(new[clip]) and not math.isnan(old[clip]) for clip in clips)
    if lost:
        return f"is undefined for the candidate alone on {lost} of {len(clips)} clips"
    undefined = sum(math.isnan(new[clip] + old[clip]) for clip in clips)
    if undefined > policy.max_undefined_share * len(clips):
        return f"is undefined for {undefined} of {len(clips)} clips, at most {policy.max_undefined_share:g} may be"
    if len(clips) - undefined < policy.min_clips:
        return f"is defined for {len(clips) - undefined} clips, at least {policy.min_clips} are needed"
    return ""


def _values(name: str, new: Sequence[Score], old: Sequence[Score]) -> tuple[Values, Values]:
    """Return both sides' values of a metric by clip; those that neither measures, as STOI of music, are left out."""
    measured = {clip_key(score) for score in (*new, *old) if name in score.metrics}
    sides = (values_by_clip(scores, name) for scores in (new, old))
    first, second = ({clip: value for clip, value in side.items() if clip in measured} for side in sides)
    return first, second


def _over_bitrates(values: Sequence[Values]) -> dict[ClipKey, float]:
    """Return the mean over bitrates of each clip that all have, NaN where one is undefined."""
    shared = set.intersection(*(set(one) for one in values))
    return {clip: _mean([one[clip] for one in values]) for clip in shared}


def _times(scores: Sequence[Score], kind: str) -> dict[ClipKey, float]:
    """Return the seconds that each clip took to encode or decode, NaN where its speed is no positive number."""
    speeds = {clip_key(score): getattr(score, f"{kind}_realtime") for score in scores}
    return {clip: clip[1] / speed if 0 < speed < math.inf else math.nan for clip, speed in speeds.items()}


def _clips(scores: Sequence[Score]) -> set[ClipKey]:
    return {clip_key(score) for score in scores}


def _estimate(values: Sequence[float], policy: Policy) -> Estimate:
    return estimate_mean(values, confidence=policy.confidence)


def _at_most_zero(excess: Estimate) -> Outcome:
    """Return whether the whole interval is at most zero (passed), above (failed), or neither or unknown (undecided)."""
    return "passed" if excess.high <= 0 else "failed" if excess.low > 0 else "undecided"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _sides(new: Sequence[float], old: Sequence[float]) -> str:
    return f"is {_mean(new):.4f}, production's {_mean(old):.4f}"


def _change(mean: float, ends: Sequence[float]) -> str:
    mean, low, high = (round(value, 4) + 0.0 for value in (mean, min(ends), max(ends)))  # no -0.0000
    return f"changes by {mean:+.4f} ({low:+.4f} to {high:+.4f})"


def _at(rate: float | None) -> str:
    return "" if rate is None else f"at {rate:g} kbps "


def _stages(values: Any) -> tuple[float, ...] | None:
    """Return the numbers of each stage, None if there are none."""
    if not isinstance(values, list) or not values or not all(is_number(value) for value in values):
        return None
    return tuple(float(value) for value in values)
