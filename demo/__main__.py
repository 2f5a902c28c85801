"""Carry real clips through every room, and show what came out.

Everything it writes is under demo-report/: the report, and in demo-report/home the demo's own registry and runs.
"""

import argparse
import io
import json
import shutil
import sys
from pathlib import Path

import torch

from codec.audio import Audio, probe_audio, read_audio
from demo.commands import CONSOLE, DemoError, Steps, nacre, use_private_home
from demo.report import Row, print_report, write_report
from demo.service import post, running_service
from registry.shipped import DEFAULT_MODEL
from training.metrics import measure

ROOT = Path(__file__).parents[1]
NAME = "demo"
BITRATES_KBPS = (6.0, 3.0)


def main() -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo-report"), help="where the report goes")
    parser.add_argument("--clips", type=Path, default=ROOT / "tests" / "data", help="the folder of audio to train on")
    arguments = parser.parse_args()
    try:
        run(arguments.clips, arguments.out.absolute())
    except DemoError as error:
        CONSOLE.print(f"\ndemo: {error}", style="bold red", markup=False)
        return 1
    return 0


def run(clips: Path, out: Path) -> None:
    """Do the eight steps."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    use_private_home(out / "home")
    data, trained, package = out / "data", out / "run", out / "package"
    steps = Steps(8)

    steps.begin("Build shards from the real clips")
    nacre("data", "build", clips, "--out", data, "--val-percent", "15", "--test-percent", "0")
    nacre("data", "inspect", data)

    steps.begin("Train on two processes")
    config = ROOT / "configs" / "train" / "demo.yaml"
    nacre("train", "fit", "--config", config, "--data.directory", data, "--run-dir", trained)

    steps.begin("Export a package")
    nacre("train", "export", trained, "--out", package)

    steps.begin("Register and promote it")
    nacre("registry", "register", package, "--name", NAME)
    nacre("registry", "promote", f"{NAME}:1", "production", "--why", "the demo's first model")
    nacre("registry", "list")

    steps.begin("Start the service")
    clip = unseen_clip(data, clips)
    CONSOLE.print(f"  a clip that training never saw: {clip.name}")
    original = read_audio(clip)
    models = (DEFAULT_MODEL, f"{NAME}@production")
    with running_service(models, out / "service.log") as url:
        steps.begin("Encode and decode over HTTP, by the model that ships with Nacre and by the one just trained")
        rows = [round_trip(url, clip, original, model, rate) for model in models for rate in BITRATES_KBPS]
        steps.begin("Stop the service")

    steps.begin("Write the report")
    write_report(out, clip.name, original, rows)
    print_report(out, clip.name, rows, steps.seconds)


def unseen_clip(data: Path, clips: Path) -> Path:
    """Return the longest mono validation clip."""
    entries = [json.loads(line) for line in (data / "manifest.jsonl").read_text().splitlines()]
    held_out = [clips / entry["path"] for entry in entries if entry["split"] == "val" and entry["channels"] == 1]
    if not held_out:
        raise DemoError(f"no clip of {clips} fell into the validation split: give it more clips")
    longest: Path = max(held_out, key=lambda path: (probe_audio(path).num_samples, path.name))
    return longest


def round_trip(url: str, clip: Path, original: Audio, model: str, bitrate_kbps: float) -> Row:
    """Encode and decode `clip` over HTTP, and check that not a sample was lost or added."""
    encoded = post(f"{url}/v1/encode", clip.read_bytes(), model=model, bitrate_kbps=bitrate_kbps)
    decoded = post(f"{url}/v1/decode", encoded.body, format="wav")
    audio = read_audio(io.BytesIO(decoded.body))
    if (audio.samples.shape, audio.sample_rate) != (original.samples.shape, original.sample_rate):
        raise DemoError(f"{clip.name} has shape {original.samples.shape}, but decoded {audio.samples.shape}")
    size = f"{len(encoded.body)} bytes, {audio.num_samples} samples, as the original"
    CONSOLE.print(f"  {model}, {bitrate_kbps:g} kbps: {size}")
    scores = measure(torch.from_numpy(audio.samples), torch.from_numpy(original.samples), audio.sample_rate).scores
    return Row(
        model=model.partition("@")[0],
        bitrate_kbps=bitrate_kbps,
        measured_kbps=len(encoded.body) * 8 / original.seconds / 1000,
        mel_distance=scores["mel_distance"],
        si_sdr_db=scores["si_sdr_db"],
        stoi=scores["stoi"],
        encode_realtime_factor=original.seconds / encoded.seconds,
        decode_realtime_factor=original.seconds / decoded.seconds,
        audio=audio,
    )


if __name__ == "__main__":
    sys.exit(main())
