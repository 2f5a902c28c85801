"""Jobs outlive the service, however it ends: what is finished stays, what isn't is done, and once."""

import hashlib
import io
import os
import signal
import sqlite3
import threading
import time

import pytest
import sqlalchemy as sa

from codec.audio import read_audio
from codec.compress import compress
from codec.errors import NacreError
from serving.jobs import cleaning
from serving.jobs.runner import JobRunner


def work_until_done(service, job, wait_for, lease_s=0.6):
    runner = JobRunner(service.store, service.runner._converter, lease_s)
    wait_for(lambda: runner.run_one() and service.facts(job)["state"] in ("done", "failed"))
    return service.facts(job)


def test_a_waiting_job_survives_a_restart(make_service):
    job = make_service().submit(b"one")
    later = make_service()
    assert later.facts(job)["state"] == "queued"
    assert later.runner.run_one()
    assert later.result(job).content == b"coded one"


def test_a_clean_stop_gives_the_job_back(make_service, make_zip, copier):
    first = make_service()
    job = first.submit(make_zip({"a": b"one", "b": b"two", "c": b"three"}))
    reached = threading.Event()

    def hold(content, progress):
        while content == b"two":
            reached.set()
            progress(0.5)
            time.sleep(0.01)

    copier.on_file = hold
    first.runner.start()
    assert reached.wait(30)
    assert first.runner.stop(30)
    facts = first.facts(job)
    assert (facts["state"], facts["files"]["done"]) == ("queued", 1)
    copier.on_file = lambda content, progress: None
    for _ in range(3):  # stops are no deaths, however many
        assert make_service().facts(job)["state"] == "queued"
    later = make_service()
    assert later.runner.run_one()
    assert copier.seen == [b"one", b"two", b"two", b"three"]
    assert later.outputs(job) == {"a.nac": b"coded one", "b.nac": b"coded two", "c.nac": b"coded three"}


def test_a_stop_without_work_is_quick(service):
    service.runner.start()
    assert service.runner.stop(30)
    assert JobRunner(service.store, service.runner._converter).stop()


def test_kill_9_in_the_middle(make_service, converter, package, model, make_audio, make_zip, start_worker, wait_for):
    service = make_service(converter)
    sounds = {f"{name}.wav": make_audio(seed=seed) for seed, name in enumerate("abd")}
    files = {**dict(list(sounds.items())[:2]), "c.wav": b"hang", "d.wav": sounds["d.wav"]}
    job = service.submit(make_zip(files))
    worker = start_worker(package)
    wait_for(lambda: "hang" in start_worker.lines())
    assert service.facts(job)["files"] == {"total": 4, "done": 2, "failed": 0}
    worker.send_signal(signal.SIGKILL)
    worker.wait(30)
    seen = []
    encode = converter.encode

    def record(source, target, parameters, progress):
        seen.append(source.read_bytes())
        encode(source, target, parameters, progress)

    converter.encode = record
    facts = work_until_done(service, job, wait_for)
    assert start_worker.lines() == [hashlib.sha256(sounds[name]).hexdigest() for name in ("a.wav", "b.wav")] + ["hang"]
    assert seen == [b"hang", sounds["d.wav"]]
    assert (facts["state"], facts["files"]) == ("done", {"total": 4, "done": 3, "failed": 1})
    direct = {f"{name}.nac": compress(model, read_audio(io.BytesIO(data))) for name, data in sounds.items()}
    assert service.outputs(job) == direct


def test_a_file_that_kills_its_worker_twice_is_failed(service, make_tar, start_worker, wait_for):
    job = service.submit(make_tar({"a": b"one", "b": b"poison", "c": b"three"}, "w:gz"))
    assert start_worker(lease_s=0.3, in_turn=2).wait(60) == 2
    facts = work_until_done(service, job, wait_for)
    assert start_worker.lines() == ["one", "poison", "poison"]
    assert (facts["state"], facts["files"]) == ("done", {"total": 3, "done": 2, "failed": 1})
    assert [(failure["file"], failure["code"]) for failure in facts["failures"]] == [("b", "worker_died")]
    assert service.outputs(job) == {"a.nac": b"coded one", "c.nac": b"coded three"}


def test_an_archive_that_kills_its_worker_is_failed(service, make_zip, monkeypatch, wait_for):
    class KilledError(BaseException):
        pass

    def kill(*_):
        raise KilledError

    job = service.submit(make_zip({"a": b"one"}))
    monkeypatch.setattr("serving.jobs.work.list_entries", kill)
    runner = JobRunner(service.store, service.runner._converter, 0.05)
    for _ in range(2):
        with pytest.raises(KilledError):
            wait_for(runner.run_one)
    wait_for(lambda: runner.run_one() or service.facts(job)["state"] == "failed")
    assert service.facts(job)["error"]["code"] == "worker_died"


def test_two_workers_never_do_the_same_file(service, make_zip, start_worker, wait_for):
    archives = [{f"{name}{number}": f"{name}{number}".encode() for number in range(8)} for name in "abcdef"]
    jobs = [service.submit(make_zip(files)) for files in archives]
    workers = start_worker(lease_s=30, together=2)
    wait_for(lambda: all(service.facts(job)["state"] == "done" for job in jobs))
    assert workers.poll() is None
    assert sorted(start_worker.lines()) == sorted(name for files in archives for name in files)


def test_a_runner_that_slept_leaves_the_job_to_the_other(make_service, make_zip, copier, wait_for):
    service = make_service()
    job = service.submit(make_zip({"a": b"one", "b": b"two"}))
    reached, go_on = threading.Event(), threading.Event()

    def sleep(content, progress):
        if content == b"one" and not reached.is_set():
            reached.set()
            assert go_on.wait(30)
            progress(1.0)

    copier.on_file = sleep
    sleeper = JobRunner(service.store, copier, 0.3)
    sleeper._queue.renew = lambda claim, progress: None  # as if its process stood still
    thread = threading.Thread(target=sleeper.run_one)
    thread.start()
    assert reached.wait(30)
    facts = work_until_done(service, job, wait_for)
    go_on.set()
    thread.join(30)
    assert (facts["state"], facts["files"]["done"]) == ("done", 2)
    assert service.facts(job) == facts
    assert service.outputs(job) == {"a.nac": b"coded one", "b.nac": b"coded two"}
    assert copier.seen == [b"one", b"one", b"two"]


def test_a_long_file_keeps_its_lease(service, copier, wait_for):
    job = service.submit(b"one")
    other = JobRunner(service.store, copier, 0.8)
    taken = []

    def long(content, progress):
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            taken.append(other.run_one())
            time.sleep(0.02)

    copier.on_file = long
    assert JobRunner(service.store, copier, 0.8).run_one()
    assert not any(taken)
    assert service.facts(job)["state"] == "done"


def test_what_a_killed_service_leaves_is_removed(make_service, make_zip, copier):
    service = make_service()
    (left := service.store.root / "upload-that-was-cut").mkdir()
    job = service.submit(b"one")
    cleaning.clean(service.store)
    assert left.exists()  # it may be going on
    for folder in (left, service.store.folder(job["id"]).path):
        os.utime(folder, (0, 0))
    cleaning.clean(service.store)
    assert not left.exists()
    assert service.facts(job)["state"] == "queued"
    folder = service.store.folder(job["id"])
    (folder.path / "work-dead").mkdir()
    (folder.path / ".nacre-tmp-1234-result.zip").write_bytes(b"half")
    assert service.runner.run_one()
    assert [path.name for path in folder.path.iterdir()] == ["outputs"]


def test_failures_of_the_database_leave_the_job_to_be_taken_again(service, copier, monkeypatch, wait_for):
    job = service.submit(b"one")
    runner = JobRunner(service.store, copier, 0.3)

    def locked(*_):
        raise sa.exc.OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr(runner._queue, "settle", locked)
        with pytest.raises(sa.exc.OperationalError):
            runner.run_one()
    assert work_until_done(service, job, wait_for)["state"] == "done"


def test_a_store_of_a_newer_release(open_store):
    store = open_store()
    with sqlite3.connect(store.root / "jobs.db") as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(NacreError, match="schema 2"):
        open_store()


def test_many_open_a_new_store_at_once(open_store):
    failures = []

    def open_one():
        try:
            open_store()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
