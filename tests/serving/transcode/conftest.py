"""Archives of tiny files, and runs over them in this process."""

import pytest

from transcoding import ENCODE, transcode_inline


@pytest.fixture
def run(model):
    """Transcode with the tiny model, or another, and return the tally."""

    def run(source, target, settings=ENCODE, by=model, engine=None, **changes):
        return transcode_inline(by, source, target, settings, engine, **changes)

    return run


@pytest.fixture
def archive(tmp_path, make_audio):
    """Return a folder of audio, one file that isn't, and one that pretends to be."""
    root = tmp_path / "archive"
    for seed, name in enumerate(["a.wav", "a.flac", "deep/er/b.wav", "deep/c.mp3", "deep/ÿ ü.ogg"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_audio(seconds=0.3, seed=seed, format=path.suffix[1:]))
    (root / "notes.txt").write_text("not audio")
    (root / "deep" / "fake.wav").write_text("no audio either")
    return root
