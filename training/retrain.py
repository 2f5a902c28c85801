"""The scheduled retraining as Dagster definitions: an asset for each step, a sensor on the inbox, a cron schedule.

NACRE_RETRAIN_SETTINGS names the settings' YAML (configs/retrain.yaml), as `nacre retrain daemon` sets it. What a step
made lies in the retraining's folder, so assets pass nothing on, and a step that is run again does what is left to do.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from codec.errors import DataError, NacreError
from training.retraining.inbox import InboxFile, oldest_days, total_hours
from training.retraining.notice import tell_failure
from training.retraining.once import one_at_a_time, system_errors_explained
from training.retraining.retraining import (
    Retraining,
    batch_key,
    begin,
    latest_decision,
    open_inbox,
    taken,
    unfinished,
)
from training.retraining.settings import RetrainSettings, read_settings
from training.retraining.settlement import settle
from training.retraining.steps import build_shards, survey_audio, train
from training.retraining.verdict import judge

SETTINGS = "NACRE_RETRAIN_SETTINGS"
AGAIN = dg.RetryPolicy(max_retries=2, delay=10)
ACTIVE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


def current_settings() -> RetrainSettings:
    """Read the settings that the environment names, as they are now."""
    return read_settings(Path(os.environ[SETTINGS]), {})


def _step(work: Callable[[RetrainSettings], dict[str, Any]]) -> dg.MaterializeResult[Any]:
    """Do a step alone, tell of it if it failed for good; what can't go better a second time is not tried again."""
    settings = current_settings()
    try:
        with system_errors_explained(), one_at_a_time(wait=True):
            return dg.MaterializeResult(metadata=work(settings))
    except NacreError as error:
        again = not isinstance(error, DataError)
        if not again or dg.AssetExecutionContext.get().retry_number >= AGAIN.max_retries:
            tell_failure(settings.model, error, settings.notify)
        raise dg.Failure(str(error), allow_retries=again) from error


def _with_retraining(step: Callable[[Retraining], object]) -> Callable[[RetrainSettings], dict[str, Any]]:
    """Return the step of the retraining that has begun; one that was decided meanwhile has no more steps."""

    def work(settings: RetrainSettings) -> dict[str, Any]:
        retraining = unfinished(settings)
        if retraining is None:
            return {"state": "decided"}
        step(retraining)
        return {"folder": str(retraining.folder)}

    return work


@dg.asset(group_name="retraining", retry_policy=AGAIN)
def new_audio() -> dg.MaterializeResult[Any]:
    """What of the inbox no retraining has taken yet, and the production version to start from."""

    def work(settings: RetrainSettings) -> dict[str, Any]:
        retraining = unfinished(settings) or begin(settings)
        hours = total_hours(retraining.files)
        return {"folder": str(retraining.folder), "files": len(retraining.files), "hours": hours}

    return _step(work)


@dg.asset(group_name="retraining", retry_policy=AGAIN, deps=[new_audio])
def new_shards() -> dg.MaterializeResult[Any]:
    """Shards of the new audio, without fresh clips and validation clips; what can't be used is counted."""
    return _step(_with_retraining(build_shards))


@dg.asset(group_name="retraining", retry_policy=AGAIN, deps=[new_shards])
def audio_survey() -> dg.MaterializeResult[Any]:
    """What the new audio is like beside the validation clips; audio that has moved too far is refused."""
    return _step(_with_retraining(survey_audio))


@dg.asset(group_name="retraining", retry_policy=AGAIN, deps=[audio_survey])
def fine_tuned_run() -> dg.MaterializeResult[Any]:
    """A run from production on new and old audio, and its package."""
    return _step(_with_retraining(train))


@dg.asset(group_name="retraining", retry_policy=AGAIN, deps=[fine_tuned_run])
def verdict() -> dg.MaterializeResult[Any]:
    """The candidate, registered with its reports, and the decision."""
    return _step(_with_retraining(judge))


@dg.asset(group_name="retraining", retry_policy=AGAIN, deps=[verdict])
def production_version() -> dg.MaterializeResult[Any]:
    """The aliases as the decision wants them; services follow by themselves."""

    def work(settings: RetrainSettings) -> dict[str, Any]:
        decision = latest_decision(settings)
        assert decision is not None
        settle(decision, settings)
        return {"decision": decision.sentence, "folder": str(decision.folder)}

    return _step(work)


retrain_job = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.groups("retraining"),
    executor_def=dg.in_process_executor,
    tags={"nacre/retrain": "one at a time", "dagster/retry_strategy": "FROM_FAILURE"},
    description="New audio in the inbox becomes a better model in production, or doesn't.",
)


def _is_active(instance: dg.DagsterInstance) -> bool:
    filters = dg.RunsFilter(job_name=retrain_job.name, statuses=list(ACTIVE))
    return instance.get_runs_count(filters) > 0


def _new_files(settings: RetrainSettings) -> list[InboxFile]:
    settled = settings.trigger.settle_minutes * 60
    return open_inbox(settings).new_files(taken(settings.model), settled_for_s=settled)


@dg.sensor(job=retrain_job, default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=1)
def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Begin when there is enough new audio, or when it has waited long enough."""
    settings = current_settings()
    if _is_active(context.instance):
        return dg.SkipReason("a retraining is running")
    files = _new_files(settings)
    hours, days, trigger = total_hours(files), oldest_days(files), settings.trigger
    waited = trigger.days is not None and days >= trigger.days and hours >= settings.limits.min_hours
    if not files or (hours < trigger.hours and not waited):
        return dg.SkipReason(f"{len(files)} new files with {hours:.2f} h, the oldest {days:.1f} days old")
    return dg.RunRequest(run_key=f"{settings.key()}-{batch_key(files)}")


def retrain_schedule(settings: RetrainSettings) -> dg.ScheduleDefinition:
    """Return the schedule of a cron line, which passes by when there is too little new audio."""

    @dg.schedule(
        job=retrain_job,
        cron_schedule=settings.trigger.cron or "",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        name="retrain_schedule",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = current_settings()
        hours = total_hours(_new_files(now))
        if hours <= now.limits.min_hours or _is_active(context.instance):
            return dg.SkipReason(f"{hours:.2f} h of new audio")
        return dg.RunRequest()

    return schedule


def definitions() -> dg.Definitions:
    """Return everything that the daemon runs."""
    settings = current_settings()
    return dg.Definitions(
        assets=[new_audio, new_shards, audio_survey, fine_tuned_run, verdict, production_version],
        jobs=[retrain_job],
        sensors=[inbox_sensor],
        schedules=[retrain_schedule(settings)] if settings.trigger.cron else [],
    )


if os.environ.get(SETTINGS):
    defs = definitions()
