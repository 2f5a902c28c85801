"""The DataModule: what it delivers, that it resumes exactly, and what it says about damaged or empty data."""

import shutil

import fsspec
import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from codec.errors import DataError, MissingToolError, RunError
from data_pipelines.build import BuildConfig, build_dataset
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.folder import DataFolder
from data_pipelines.index import read_index
from streams import SEGMENT, make, take


def equal(one, other):
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def audio_of(clips):
    return [clip.audio for clip in clips]


def epoch_length(dataset, readers, batch_size, crops):
    index, _ = read_index(DataFolder(str(dataset)))
    return index.num_records("train") // readers * crops // batch_size


def test_batches_are_crops_of_the_records(dataset):
    (batch,) = take(make(dataset), 1)
    assert batch.dtype == torch.float32
    assert batch.shape == (4, 1, SEGMENT)
    assert 0.05 < batch.std() < 0.2
    assert batch.abs().max() <= 1


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_continues_exactly_on_every_rank(dataset, workers):
    total, before = 14, 5
    for rank in range(2):
        straight = take(make(dataset, rank, 2, num_workers=workers), total)
        interrupted = make(dataset, rank, 2, num_workers=workers)
        first = take(interrupted, before)
        resumed = make(dataset, rank, 2, num_workers=workers)
        resumed.load_state_dict(interrupted.state_dict())
        assert equal(straight, first + take(resumed, total - before))
    assert total > 2 * workers * epoch_length(dataset, 2 * max(1, workers), 4, 2), "the test must cross epochs"


def test_every_point_of_the_stream_can_be_resumed_from(dataset):
    straight = take(make(dataset), 30)
    for point in range(0, 30, 7):
        resumed = make(dataset)
        resumed.load_state_dict(make(dataset).state_dict() | {"batches": point})
        assert equal(straight[point : point + 2], take(resumed, 2))


def test_iterating_again_goes_on_after_the_last_batch_counted(dataset):
    straight = take(make(dataset, num_workers=2), 6)
    again = make(dataset, num_workers=2)
    assert equal(straight, take(again, 3) + take(again, 3))


def test_an_epoch_over_ranks_and_workers_has_every_record_once(tmp_path, write_noise):
    for number in range(24):
        write_noise(tmp_path / "audio" / f"{number}.wav", 0.5, seed=number)
    config = BuildConfig(val_percent=0, test_percent=0, shard_bytes=50_000)
    build_dataset([tmp_path / "audio"], tmp_path / "data", config)
    crops = []
    for rank in range(2):
        settings = {"num_workers": 2, "batch_size": 3, "crops_per_record": 1, "segment_samples": 8000}
        crops += torch.cat(take(make(tmp_path / "data", rank, 2, **settings), 4))
    assert len({crop.numpy().tobytes() for crop in crops}) == len(crops) == 24


def test_ranks_epochs_and_seeds_differ(dataset):
    length = epoch_length(dataset, 2, 4, 2)
    batches = take(make(dataset, 0, 2), length + 1)
    assert not torch.equal(batches[0], batches[length])
    assert not torch.equal(batches[0], take(make(dataset, 1, 2), 1)[0])
    assert not torch.equal(batches[0], take(make(dataset, 0, 2, seed=1), 1)[0])


@pytest.mark.parametrize("change", [{"num_workers": 1}, {"batch_size": 2}, {"seed": 9}, {"segment_samples": 99}])
def test_resuming_with_other_settings_is_refused(dataset, change):
    state = make(dataset).state_dict()
    with pytest.raises(RunError, match=f"can't resume exactly with {next(iter(change))} from"):
        make(dataset, **change).load_state_dict(state)


def test_resuming_with_other_ranks_or_data_is_refused(dataset, tmp_path, make_corpus):
    state = make(dataset).state_dict()
    with pytest.raises(RunError, match="world_size from 1 to 2"):
        make(dataset, 0, 2).load_state_dict(state)
    build_dataset([make_corpus(tmp_path / "other", 30, seed=70)], tmp_path / "changed", BuildConfig(val_percent=30))
    with pytest.raises(RunError, match="index_sha256"):
        make(tmp_path / "changed").load_state_dict(state)


def test_short_records_are_padded_with_zeros(tmp_path, write_noise):
    for number in range(4):
        write_noise(tmp_path / "audio" / f"{number}.wav", 0.5, seed=number)
    build_dataset([tmp_path / "audio"], tmp_path / "data", BuildConfig(val_percent=0, test_percent=0))
    (batch,) = take(make(tmp_path / "data", segment_samples=10_000), 1)
    assert batch[:, :, 8000:].abs().max() == 0
    assert batch[:, :, :8000].std() > 0.05


def test_stereo_channels_are_kept_apart(tmp_path, write_noise):
    write_noise(tmp_path / "audio" / "a.wav", 1.0, channels=2)
    build_dataset([tmp_path / "audio"], tmp_path / "data", BuildConfig(channels=2, val_percent=0, test_percent=0))
    (batch,) = take(make(tmp_path / "data", segment_samples=16000), 1)
    assert batch.shape == (4, 2, 16000)
    assert abs(torch.corrcoef(batch[0])[0, 1]) < 0.1


def test_urls_give_the_same_stream(dataset):
    memory = fsspec.filesystem("memory")
    memory.put(str(dataset), "/nacre-data", recursive=True)
    try:
        expected = take(make(dataset, num_workers=2), 4)
        assert equal(expected, take(make("memory://nacre-data", num_workers=2), 4))
        assert equal(expected, take(make(f"file://{dataset}/", num_workers=2), 4))
        assert make("memory://nacre-data").index_sha256 == make(dataset).index_sha256
    finally:
        memory.rm("/nacre-data", recursive=True)


def test_a_url_that_cannot_be_opened_is_a_clear_error():
    with pytest.raises(DataError, match="can't be opened"):
        make("nowhere://bucket/data").setup("fit")


def test_a_missing_package_is_named(monkeypatch):
    def fail(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    with pytest.raises(MissingToolError, match=r"nacre\[s3\]"):
        make("s3://bucket/data").setup("fit")


def test_spawned_workers_deliver_the_same(dataset):
    loader = DataLoader(make(dataset).train_stream(), batch_size=None, num_workers=1, multiprocessing_context="spawn")
    batches = iter(loader)
    assert equal(take(make(dataset), 2), [next(batches).audio, next(batches).audio])


@pytest.mark.parametrize(
    ("percent", "split", "remedy"), [(99.999, "train", "lower --val-percent"), (0, "val", "raise --val-percent")]
)
def test_an_empty_split_says_where_the_files_went(tmp_path, make_corpus, percent, split, remedy):
    config = BuildConfig(val_percent=percent, test_percent=0)
    build_dataset([make_corpus(tmp_path / "audio", 3)], tmp_path / "data", config)
    counts = "0 to train, 4 to val, 0 to test" if split == "train" else "4 to train, 0 to val, 0 to test"
    with pytest.raises(DataError, match=rf"nothing in split {split} \(files went {counts}\).*{remedy}"):
        make(tmp_path / "data").setup("fit")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"\xff\xfe", b'{"version": 2, "splits": {"train": 3}}'])
def test_a_missing_or_damaged_index_is_a_clear_error(tmp_path, content):
    if content is not None:
        (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(DataError, match="nacre data build"):
        make(tmp_path).setup("fit")


def test_an_index_of_the_future_is_refused(dataset):
    index = (dataset / "index.json").read_text().replace('"version": 2', '"version": 3')
    (dataset / "index.json").write_text(index)
    with pytest.raises(DataError, match="version 3"):
        make(dataset).setup("fit")


def test_validation_clips_are_fixed_and_spread_over_files(dataset):
    clips = make(dataset, max_val_clips=6).val_dataloader()
    again = make(dataset, max_val_clips=6, seed=5, batch_size=1).val_dataloader()
    assert [clip.key for clip in clips] == [clip.key for clip in again]
    assert equal(audio_of(clips), audio_of(again))
    assert len({clip.key.split("-")[0] for clip in clips}) == len(clips) == 6
    assert all(clip.audio.shape[:2] == (1, 1) for clip in clips)


def test_validation_clips_are_cut(dataset):
    clips = make(dataset, max_val_seconds=0.6).val_dataloader()
    assert max(clip.audio.shape[-1] for clip in clips) == 9600


def test_ranks_share_the_validation_clips(dataset):
    whole = [clip.key for clip in make(dataset, max_val_clips=5).val_dataloader()]
    shares = [[clip.key for clip in make(dataset, rank, 2, max_val_clips=5).val_dataloader()] for rank in range(2)]
    assert sorted(shares[0] + shares[1]) == sorted(whole)
    alone = [make(dataset, rank, 3, max_val_clips=1).val_dataloader() for rank in range(3)]
    assert [len(share) for share in alone] == [1, 1, 1]


def test_calibration_is_the_same_everywhere_and_spread(dataset):
    audio = make(dataset).calibration_audio(12)
    assert audio.shape == (12, 1, SEGMENT)
    other = make(dataset, 1, 2, num_workers=2, batch_size=2)
    take(other, 3)
    assert torch.equal(audio, other.calibration_audio(12))
    assert not torch.equal(audio, make(dataset, seed=1).calibration_audio(12))
    assert len({segment.numpy().tobytes() for segment in make(dataset).calibration_audio(200)}) == 200


def test_the_index_is_exposed(dataset):
    datamodule = make(dataset)
    assert (datamodule.sample_rate, datamodule.channels) == (16000, 1)
    assert datamodule.index_sha256 == read_index(DataFolder(str(dataset)))[1]


class Recorder(lightning.LightningModule):
    """Records what it is given, and counts as training does."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen, self.keys = [], []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch.clone())
        return self.weight.sum() * batch.mean()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.trainer.datamodule.count_batch()

    def validation_step(self, batch, batch_idx):
        self.keys.append(batch.key)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(dataset, root, max_steps, checkpoint=None, **settings):
    trainer = lightning.Trainer(
        max_steps=max_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root,
        num_sanity_val_steps=0,
        **settings,
    )
    module = Recorder()
    datamodule = AudioDataModule(directory=str(dataset), segment_samples=SEGMENT, batch_size=4, num_workers=2)
    trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint)
    return trainer, module


# Lightning 2.6 still uses torch's old name for a leaf of a tree.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_lightning_trains_validates_and_resumes(dataset, tmp_path):
    _, straight = fit(dataset, tmp_path, 8)
    trainer, first = fit(dataset, tmp_path, 3)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    _, rest = fit(dataset, tmp_path, 8, checkpoint=tmp_path / "a.ckpt")
    assert equal(straight.seen, first.seen + rest.seen)
    _, limited = fit(dataset, tmp_path, 8, limit_train_batches=3)
    assert equal(straight.seen, limited.seen)
    expected = [clip.key for clip in make(dataset).val_dataloader()]
    assert limited.keys[: len(expected)] == expected
    datamodule = AudioDataModule(directory=str(dataset), segment_samples=SEGMENT, batch_size=1)
    lightning.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False).validate(
        Recorder(), datamodule=datamodule, ckpt_path=tmp_path / "a.ckpt", verbose=False
    )


def test_a_copied_data_set_is_the_same_data_set(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "copy")
    moved = make(tmp_path / "copy")
    moved.load_state_dict(make(dataset).state_dict())
    assert equal(take(make(dataset), 2), take(moved, 2))
