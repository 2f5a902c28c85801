"""Joining short prompts."""

import json

import numpy as np

from codec.audio import read_audio
from data_pipelines.pool import POOL
from data_pipelines.prompts import join_prompts


def voice_of(name):
    return name.partition("/")[0] if "/" in name else None


def test_voices_are_kept_apart_and_files_are_of_bounded_length(tmp_path, write_noise):
    names = [f"{voice}/{number:02d}.wav" for voice in ("a", "b") for number in range(8)]
    for seed, name in enumerate(names):
        write_noise(tmp_path / name, 8.0, seed=seed)
    write_noise(tmp_path / "alone.wav", 3.0, seed=99)
    join_prompts(tmp_path, [*names, "alone.wav"], voice_of)
    joined = sorted(path.name for path in (tmp_path / "joined").iterdir())
    expected = [f"{voice}-16000-000{number}.flac" for voice in ("a", "b") for number in range(3)]
    assert joined == expected
    assert [read_audio(tmp_path / "joined" / name).seconds for name in joined] == [24.0, 24.0, 16.0] * 2
    assert (tmp_path / "alone.wav").is_file()
    assert not (tmp_path / "a" / "00.wav").exists()


def test_seams_are_faded_and_the_rest_is_untouched(tmp_path, write_noise):
    first = write_noise(tmp_path / "v" / "0.wav", 0.5, channels=2, seed=1).mean(axis=1)
    write_noise(tmp_path / "v" / "1.wav", 0.5, seed=2)
    join_prompts(tmp_path, ["v/0.wav", "v/1.wav"], voice_of)
    samples = read_audio(tmp_path / "joined" / "v-16000-0000.flac").samples[0]
    assert len(samples) == 16000
    assert np.abs(samples[7998:8002]).max() < 0.01
    assert np.abs(samples[160:7840] - first[160:7840]).max() < 1e-4


def test_joining_does_not_depend_on_the_order_given(tmp_path, write_noise):
    names = [f"v/{number}.wav" for number in range(5)]
    for folder, order in (("one", names), ("two", names[::-1])):
        for seed, name in enumerate(names):
            write_noise(tmp_path / folder / name, 0.3, seed=seed)
        join_prompts(tmp_path / folder, order, voice_of)
    for name in ("joined/v-16000-0000.flac", "joined.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_low_rates_undecodable_files_and_repeats_are_left_out(tmp_path, write_noise):
    write_noise(tmp_path / "v" / "good.wav", 0.5, seed=1)
    write_noise(tmp_path / "v" / "low.wav", 0.5, sample_rate=8000, seed=2)
    (tmp_path / "v" / "text.wav").write_text("no audio")
    (tmp_path / "v" / "same.wav").write_bytes((tmp_path / "v" / "good.wav").read_bytes())
    join_prompts(tmp_path, [f"v/{name}.wav" for name in ("good", "low", "text", "same")], voice_of)
    contents = json.loads((tmp_path / "joined.json").read_text())
    assert [part["file"] for part in contents["joined/v-16000-0000.flac"]] == ["v/good.wav"]


def test_the_pool_knows_its_voices():
    voices = {
        ("fillets-ng-data-cs", "cabin2/cs/ka2-m-posledni.ogg"): "m",
        ("fillets-ng-data-cs", "hanoi/cs/v-nenifer.ogg"): "v",
        ("fillets-ng-data-cs", "captain/cs/vl-leb-kecy2.ogg"): None,
        ("tuxpaint-stamps-default", "food/loaf_of_bread_desc_fr.ogg"): "fr",
        ("gcin-voice", "ㄅㄚ1/5.ogg"): "5",
        ("asterisk-core-sounds-es-g722", "digits/1.flac"): "voice",
        ("festvox-ru", "ru_0001.wav"): None,
    }
    packages = {package.name: package for package in POOL}
    assert {key: packages[key[0]].voice_of(key[1]) for key in voices} == voices


def test_the_pool_leaves_what_is_kept_for_evaluation():
    packages = {package.name: package for package in POOL}
    assert not packages["tuxpaint-stamps-default"].wants("food/apple_desc_es.ogg")
    assert not packages["klettres-data"].wants("de/alpha/a.ogg")
    assert not packages["ktuberling-data"].wants("nn/eye.ogg")
    held_out = ("-it-g722", "-fr-g722", "fillets-ng-data-nl", "hedgewars", "supertuxkart", "0ad", "asterisk-prompt")
    assert not [name for name in packages if any(word in name for word in held_out)]
