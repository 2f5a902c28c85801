"""`nacre evaluate`: draw rate-distortion curves, compare models, gate a candidate, and listen."""

from __future__ import annotations

import sys
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)
DEFAULT = "models"


class DefaultGroup(click.Group):
    """A group whose command `models` needs no name: `nacre evaluate NAME --data CLIPS`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command's name before what is no command's."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=DefaultGroup)
def evaluate() -> None:
    """Evaluate models beside other codecs; see 'nacre evaluate models --help', whose name may be left out.

    \b
    Example:
      nacre evaluate speech@production --data CLIPS --out REPORT
      nacre evaluate --compare speech:2 speech:1 --data CLIPS --out REPORT
      nacre evaluate gate speech@candidate --against speech@production --data CLIPS
      nacre evaluate speech@production --data CLIPS --mushra LISTENING
      nacre evaluate mushra-results LISTENING/key.json RESULTS... --out listening.json
    """


@evaluate.command()
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@click.option("--data", required=True, type=FOLDER, help="Folder of clips; a manifest.csv may say what kind each is.")
@click.option("--out", type=FOLDER, help="Folder of the report; given again, it goes on with what is missing.")
@click.option("--bitrate-kbps", "bitrates", type=float, multiple=True, help="Of the models; several may be given.")
@click.option("--codec", "codecs", multiple=True, help="Another codec to compare, as opus:12; several may be given.")
@click.option("--compare", is_flag=True, help="The models alone, without other codecs unless --codec names them.")
@click.option("--lyra", type=FOLDER, help="Folder of Lyra v2's three .tflite files, to compare it too.")
@click.option(
    "--sources", type=FOLDER, help="Folder of 'nacre audio fetch' that they were trained on, for their cards."
)
@click.option("--licence", default="", help="Of the models' weights, in words, for their cards.")
@click.option("--mushra", type=FOLDER, help="Write a listening test into this folder instead of a report.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the listening test's orders and names.")
@click.option(
    "--processes", type=click.IntRange(1), help="How many at once; as many as pay, up to all cores, unless told."
)
def models(
    names: tuple[str, ...],
    data: Path,
    out: Path | None,
    bitrates: tuple[float, ...],
    codecs: tuple[str, ...],
    compare: bool,
    lyra: Path | None,
    sources: Path | None,
    licence: str,
    mushra: Path | None,
    seed: int,
    processes: int | None,
) -> None:
    """Score models and other codecs on the same clips, and write a report.

    The report is one page (report.html) with curves, intervals, tests of what differs, and the worst clips to hear;
    beside it pictures, scores.csv, summary.csv, bd_rates.csv and summary.json, and a card of each model, which
    'nacre registry attach' keeps with its version. A codec whose program is
    missing is left out and named.

    \b
    Example:
      nacre evaluate speech@production --data CLIPS --out REPORT
    """
    from training.evaluation.flow import ReportRequest, evaluate_models, write_test

    if (out is None) == (mushra is None):
        raise click.UsageError("give --out for a report, or --mushra for a listening test")
    request = ReportRequest(
        models=names,
        clips=data,
        bitrates_kbps=bitrates,
        codecs=codecs,
        peers=not compare,
        lyra=lyra,
        sources=sources,
        licence=licence,
    )
    if mushra is not None:
        click.echo(write_test(request, mushra, seed=seed))
    elif out is not None:
        click.echo(evaluate_models(request, out, processes=processes))


@evaluate.command()
@click.argument("candidate")
@click.option("--against", required=True, help="What the candidate would replace, as speech@production.")
@click.option("--data", required=True, type=FOLDER, help="Folder of fixed clips, which neither was trained on.")
@click.option("--policy", type=FOLDER, help="YAML of what a candidate must show; configs/gate.yaml has the defaults.")
@click.option("--bitrate-kbps", "bitrates", type=float, multiple=True, help="Where to compare; several may be given.")
@click.option("--out", type=FOLDER, help="Folder of scores and a report; if not given, no report is written.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def gate(
    candidate: str,
    against: str,
    data: Path,
    policy: Path | None,
    bitrates: tuple[float, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Judge whether CANDIDATE may replace another model; exit status 0 if it may, 1 if not, 3 if that is undecided.

    With --out a report of both, the verdict and the candidate's card are written too, which 'nacre registry attach'
    keeps with its version.

    \b
    Example:
      nacre evaluate gate speech@candidate --against speech@production --data CLIPS --policy configs/gate.yaml
    """
    from training.evaluation.judging import judge_candidate, write_judgement

    judgement = judge_candidate(candidate, against, data, policy=policy, bitrates_kbps=bitrates, out=out)
    if out is not None:
        write_judgement(judgement, out)
    verdict = judgement.verdict
    if as_json:
        click.echo(verdict.to_json(), nl=False)
    else:
        click.echo("\n".join([f"{verdict.outcome}:", *(f"  {reason}" for reason in verdict.reasons)]))
    sys.exit({"passed": 0, "failed": 1, "undecided": 3}[verdict.outcome])


@evaluate.command("mushra-results")
@click.argument("key", type=FOLDER)
@click.argument("results", metavar="RESULTS...", nargs=-1, required=True, type=FOLDER)
@click.option(
    "--out", required=True, type=FOLDER, help="The analysis, a .json; a picture of the same name is beside it."
)
def mushra_results(key: Path, results: tuple[Path, ...], out: Path) -> None:
    """Analyse the ratings of a listening test: KEY is its key.json, RESULTS what listeners sent.

    \b
    Example:
      nacre evaluate mushra-results LISTENING/key.json anna.json ben.json --out listening.json
    """
    from training.evaluation.flow import analyse_test

    click.echo(analyse_test(key, results, out))
