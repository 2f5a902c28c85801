"""One retraining in this process, from the inbox to the moved alias; the same steps as the scheduled job's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from codec.errors import NacreError, RunError
from codec.home import nacre_home
from codec.locking import locked
from training.retraining.decision import Decision
from training.retraining.notice import tell_failure
from training.retraining.retraining import begin, latest_decision, open_inbox, taken, unfinished
from training.retraining.settings import RetrainSettings
from training.retraining.settlement import settle
from training.retraining.steps import build_shards, survey_audio, train
from training.retraining.verdict import judge


def retrain_once(settings: RetrainSettings, *, everything: bool = False) -> Decision:
    """Retrain, compare and decide; without new audio return the latest decision that was made with these settings.

    Raises:
        UnknownModelError: The model has no production version.
        DataError: The inbox or the validation folder is missing or unusable, or there is too little new audio.
        RunError: Training failed, or another retraining is running.
        ConflictError: Production moved since this retraining began.
    """
    with one_at_a_time(), failures_told(settings):
        retraining = unfinished(settings)
        if retraining is None and not everything and (decision := _nothing_new(settings)):
            settle(decision, settings)
            return decision
        retraining = retraining or begin(settings, everything=everything)
        for step in (build_shards, survey_audio, train):
            step(retraining)
        decision = judge(retraining)
        settle(decision, settings)
        return decision


@contextmanager
def one_at_a_time(*, wait: bool = False) -> Iterator[None]:
    """Hold the lock of all retrainings under NACRE_HOME.

    Raises:
        RunError: Another holds it, and this is not to wait.
    """
    lock = nacre_home() / "retrain" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    refusal = RunError("another retraining is running: wait for it, then run this again")
    with locked(lock, None if wait else refusal):
        yield


@contextmanager
def failures_told(settings: RetrainSettings) -> Iterator[None]:
    """Tell whoever asked of an error that passes through."""
    try:
        with system_errors_explained():
            yield
    except NacreError as error:
        tell_failure(settings.model, error, settings.notify)
        raise


@contextmanager
def system_errors_explained() -> Iterator[None]:
    """Make a sentence of what the system refuses: a full disk, a folder that may not be written.

    Raises:
        RunError: The system refused something.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"the retraining stopped, and goes on when it is run again: {error}") from error


def _nothing_new(settings: RetrainSettings) -> Decision | None:
    """Return the latest decision with these settings if the inbox has nothing that no decision was made about."""
    return None if open_inbox(settings).new_files(taken(settings.model)) else latest_decision(settings)
