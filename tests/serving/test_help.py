"""Help teaches: each command shows an example, unwrapped, that could be typed."""

import pytest
from click.testing import CliRunner

from nacre import cli


@pytest.mark.parametrize(
    "words",
    [
        ["serve"],
        ["bento", "build"],
        ["encode"],
        ["decode"],
        ["inspect"],
        ["verify"],
        ["transcode"],
        ["import", "hf"],
        ["codec", "describe"],
        ["codec", "export-onnx"],
    ],
)
def test_help_shows_an_example_on_lines_of_its_own(words):
    text = CliRunner().invoke(cli, [*words, "--help"]).output
    assert "\\b" not in text
    example = text.partition("Example:\n")[2].splitlines()[0]
    assert example.startswith(f"    nacre {' '.join(words)} ")
