import json

import pytest

from codec.config import CodecConfig, QuantizerConfig
from codec.errors import BitrateError, PackageError
from codec.nacre.config import NacreConfig

CONFIG = CodecConfig(name="nacre-16k-speech", network=NacreConfig())


def test_json_round_trip():
    assert CodecConfig.from_json(CONFIG.to_json()) == CONFIG


def change(edit):
    data = json.loads(CONFIG.to_json())
    edit(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a codec configuration"),
        ("[]", "must be an object"),
        (change(lambda d: d.update(colour=1)), "unknown keys: colour"),
        (change(lambda d: d["network"].pop("width")), "lacks the keys: width"),
        (change(lambda d: d.update(sample_rate="16000")), "sample_rate is '16000'"),
        (change(lambda d: d.update(sample_rate=True)), "sample_rate is True"),
        (change(lambda d: d.update(channels=3)), "channels is 3 but must be 1 or 2"),
        (change(lambda d: d.update(family="other")), "family is 'other'"),
        (change(lambda d: d["quantizer"].update(codebook_size=1)), "codebook_size is 1"),
        (change(lambda d: d.update(hop_length=23)), "level_bands is 24 but must be at most hop_length"),
        (change(lambda d: d.update(latent_dim=24)), "latent_dim is 24 but must be above channels"),
    ],
)
def test_bad_json_is_one_clear_error(text, message):
    with pytest.raises(PackageError, match=message):
        CodecConfig.from_json(text)


def test_bitrates_are_the_nominal_ones():
    assert CONFIG.bitrate_kbps(12) == 6.0
    assert CONFIG.bitrates_kbps[:3] == (0.5, 1.0, 1.5)


def test_a_bitrate_or_a_number_chooses_the_stages():
    assert CONFIG.resolve_num_quantizers() == 12
    assert CONFIG.resolve_num_quantizers(num_quantizers=3) == 3
    assert CONFIG.resolve_num_quantizers(bitrate_kbps=3) == 6


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"num_quantizers": 0}, "1 to 12"),
        ({"num_quantizers": 13}, "1 to 12"),
        ({"bitrate_kbps": 6.2}, "choose one of 0.5, 1, 1.5"),
        ({"bitrate_kbps": float("nan")}, "no bitrate of nan"),
        ({"bitrate_kbps": 6.0, "num_quantizers": 12}, "not both"),
    ],
)
def test_what_the_codec_lacks_is_refused(choice, message):
    with pytest.raises(BitrateError, match=message):
        CONFIG.resolve_num_quantizers(**choice)


def test_frames_are_counted_in_integers():
    assert [CONFIG.num_frames(n) for n in (1, 320, 321, 2**53 + 1)] == [1, 1, 2, -(-(2**53 + 1) // 320)]


def test_ranges_are_checked_at_construction():
    with pytest.raises(ValueError, match="kernel_size is 4 but must be odd"):
        NacreConfig(kernel_size=4)
    with pytest.raises(ValueError, match="ema_decay"):
        QuantizerConfig(ema_decay=1.0)
