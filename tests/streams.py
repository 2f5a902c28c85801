"""Training streams as a rank of a trainer would hold and take them; any test module can import them (tests/tiny.py)."""

from types import SimpleNamespace

from data_pipelines.datamodule import AudioDataModule

SEGMENT = 4000


def make(directory, rank=0, world_size=1, **settings):
    """Return a DataModule as the rank of a trainer would hold it."""
    defaults = {"segment_samples": SEGMENT, "batch_size": 4, "num_workers": 0}
    datamodule = AudioDataModule(directory=str(directory), **defaults | settings)
    datamodule.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, limit_val_batches=1.0)
    return datamodule


def take(datamodule, count):
    """Train for `count` batches."""
    batches = []
    for batch in datamodule.train_dataloader():
        batches.append(batch)
        datamodule.count_batch()
        if len(batches) == count:
            return batches
    raise AssertionError("the stream ended")
