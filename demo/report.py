"""The demo's report: a picture, a table, and the clips to listen to."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from rich.table import Table

from codec.audio import Audio, write_audio
from codec.files import atomic_path, write_text
from demo.commands import CONSOLE
from registry.shipped import DEFAULT_MODEL

COLUMNS = (
    "model",
    "kbps",
    "measured kbps",
    "mel distance (less is better)",
    "SI-SDR dB",
    "STOI",
    "encode x real time",
    "decode",
)
CAVEAT = (
    f"{DEFAULT_MODEL} ships with Nacre, and is what a codec of this design sounds like. demo is the model just "
    "trained, for about a minute, on less than two minutes of audio: it shows that every part works."
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One round trip over HTTP; the real-time factors include the HTTP calls."""

    model: str
    bitrate_kbps: float
    measured_kbps: float
    mel_distance: float
    si_sdr_db: float
    stoi: float
    encode_realtime_factor: float
    decode_realtime_factor: float
    audio: Audio

    @property
    def title(self) -> str:
        """What the row is about: model and bitrate."""
        return f"{self.model} {self.bitrate_kbps:g} kbps"

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of `COLUMNS`."""
        return (
            self.model,
            f"{self.bitrate_kbps:g}",
            f"{self.measured_kbps:.2f}",
            f"{self.mel_distance:.2f}",
            f"{self.si_sdr_db:.1f}",
            f"{self.stoi:.3f}",
            f"{self.encode_realtime_factor:.0f}",
            f"{self.decode_realtime_factor:.0f}",
        )


def write_report(out: Path, clip: str, original: Audio, rows: list[Row]) -> None:
    """Write report.png, report.md and the wav files."""
    with atomic_path(out / "report.png") as path:
        draw(path, [("original", original), *((row.title, row.audio) for row in rows)])
    write_audio(out / "original.wav", original)
    for row in rows:
        write_audio(out / f"decoded_{row.title.replace(' ', '_')}.wav", row.audio)
    lines = [COLUMNS, ("---", *("---:",) * (len(COLUMNS) - 1)), *(row.cells() for row in rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    write_text(out / "report.md", f"# Nacre demo: {clip}\n\n{CAVEAT}\n\n{table}\n\n![]({'report.png'})\n")


def draw(path: Path, clips: list[tuple[str, Audio]]) -> None:
    """Draw each clip's waveform above its spectrogram."""
    figure, axes = plt.subplots(2, len(clips), figsize=(5 * len(clips), 5), sharex=True, sharey="row", squeeze=False)
    for column, (title, audio) in zip(axes.T, clips, strict=True):
        wave = audio.samples[0]
        column[0].plot(np.arange(len(wave)) / audio.sample_rate, wave, linewidth=0.4)
        column[0].set_title(title)
        column[1].specgram(
            wave + 1e-6 * np.sin(np.arange(len(wave))),
            NFFT=512,
            Fs=audio.sample_rate,
            noverlap=384,
            vmin=-140,
            vmax=-30,
        )
        column[1].set_xlabel("seconds")
    axes[0, 0].set_ylabel("amplitude")
    axes[1, 0].set_ylabel("Hz")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def print_report(out: Path, clip: str, rows: list[Row], seconds: float) -> None:
    """Print the table and where the rest is."""
    table = Table(*COLUMNS, title=f"{clip}, encoded and decoded over HTTP")
    for row in rows:
        table.add_row(*row.cells())
    CONSOLE.print()
    CONSOLE.print(table)
    CONSOLE.print(CAVEAT)
    CONSOLE.print(
        f"Report: {out / 'report.md'}, picture: {out / 'report.png'}, audio beside them. {seconds:.0f} s in all."
    )
