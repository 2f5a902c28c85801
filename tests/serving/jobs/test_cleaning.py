"""What is over goes: results after their time, and what a cancelled job left."""

from serving.jobs import cleaning
from serving.jobs.tables import JobRow


def test_finished_jobs_are_removed_in_time(make_service):
    service = make_service(job_keep_hours=1)
    old, new, waiting = (service.submit(word) for word in (b"old", b"new", b"waiting"))
    service.runner.run_one()
    service.runner.run_one()
    with service.store.database.write() as session:
        session.get_one(JobRow, old["id"]).finished_ms -= 3_600_001
        session.get_one(JobRow, waiting["id"]).created_ms -= 10 * 3_600_000
    cleaning.clean(service.store)
    gone = service.get(old)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "unknown_job")
    assert not service.store.folder(old["id"]).path.exists()
    assert service.result(new).content == b"coded new"
    assert service.facts(waiting)["state"] == "queued"


def test_a_cancelled_job_whose_worker_died_leaves_nothing(service, copier):
    job = service.submit(b"one")
    claim = service.runner._queue.claim()
    assert claim.id == job["id"]
    service.http.delete(f"/v1/jobs/{job['id']}")
    cleaning.clean(service.store)
    assert service.store.folder(job["id"]).path.exists()  # its worker may live
    with service.store.database.write() as session:
        session.get_one(JobRow, job["id"]).lease_until_ms = 0
    cleaning.clean(service.store)
    assert not service.store.folder(job["id"]).path.exists()
