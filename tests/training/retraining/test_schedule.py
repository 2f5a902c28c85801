"""The sensor, the schedule and the job, in this process."""

import types
import warnings

import dagster as dg
import pytest

from codec.errors import RegistryError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from training import retrain


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def settings(settings_file, monkeypatch):
    monkeypatch.setenv(retrain.SETTINGS, str(settings_file))
    return settings_file


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def look(instance):
    return retrain.inbox_sensor(dg.build_sensor_context(instance=instance))


def test_enough_new_audio_begins_one_retraining(settings, instance):
    first, again = look(instance), look(instance)
    assert isinstance(first, dg.RunRequest)
    assert first.run_key == again.run_key
    next(iter((settings.parent / "inbox").iterdir())).unlink()
    assert look(instance).run_key != first.run_key


def test_too_little_waits_for_more_or_for_days(settings, instance):
    change(settings, "hours: 0.001", "hours: 5")
    skipped = look(instance)
    assert isinstance(skipped, dg.SkipReason)
    assert "6 new files" in skipped.skip_message
    change(settings, "hours: 5", "days: 0\n  hours: 5")
    assert isinstance(look(instance), dg.RunRequest)


def test_files_that_are_still_written_to_wait(settings, instance):
    change(settings, "settle_minutes: 0", "settle_minutes: 10")
    assert isinstance(look(instance), dg.SkipReason)


def test_nothing_begins_while_a_retraining_runs(settings, instance):
    instance.create_run_for_job(retrain.definitions().resolve_job_def("retrain"), status=dg.DagsterRunStatus.STARTED)
    assert look(instance).skip_message == "a retraining is running"


def test_a_cron_line_makes_a_schedule(settings, instance):
    assert not retrain.definitions().schedules
    change(settings, "trigger:", "trigger:\n  cron: '0 3 * * 0'")
    (schedule,) = retrain.definitions().schedules
    context = dg.build_schedule_context(instance=instance)
    assert schedule.cron_schedule == "0 3 * * 0"
    assert isinstance(schedule(context), dg.RunRequest)
    for path in (settings.parent / "inbox").iterdir():
        path.unlink()
    assert isinstance(schedule(context), dg.SkipReason)


def test_a_step_that_can_not_go_better_is_not_tried_again(settings, instance):
    for path in (settings.parent / "inbox").iterdir():
        path.unlink()
    job = retrain.definitions().resolve_job_def("retrain")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert "there is no new audio" in failure.step_failure_data.error.message
    assert not result.filter_events(lambda event: event.is_step_restarted)


def test_a_step_that_fails_is_tried_again_and_told_of_once(settings, instance, monkeypatch):
    def unreachable(_):
        raise RegistryError("the registry does not answer")

    now, told = [0.0], []
    clock = types.SimpleNamespace(time=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr("dagster._core.execution.plan.active.time", clock)
    monkeypatch.setattr(retrain, "unfinished", unreachable)
    monkeypatch.setattr(retrain, "tell_failure", lambda model, error, notify: told.append(str(error)))
    job = retrain.definitions().resolve_job_def("retrain")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert len(result.filter_events(lambda event: event.is_step_restarted)) == 2
    assert told == ["the registry does not answer"]
