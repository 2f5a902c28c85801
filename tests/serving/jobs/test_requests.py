"""The routes: what is refused and how, whose jobs they are, and what becomes of them."""

import shutil
import threading
import time
from datetime import datetime, timedelta

import anyio
import httpx
import pytest

from serving.jobs.tables import JobRow


def code_of(answer, status):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "request_id"}
    return body["error"]["code"]


def test_a_job_as_the_api_describes_it(service, make_zip):
    answer = service.http.post("/v1/jobs?operation=encode", content=make_zip({"a": b"one", "b": b"bad"}))
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert len(job["id"]) == 32
    created = datetime.fromisoformat(job["created"])
    assert job == {
        "id": job["id"],
        "operation": "encode",
        "state": "queued",
        "progress": 0.0,
        "created": job["created"],
        "finished": None,
        "files": {"total": 0, "done": 0, "failed": 0},
        "failures": [],
        "error": None,
        "expires": None,
    }
    assert job["created"].endswith("Z")
    service.runner.run_one()
    job = service.facts(job)
    assert (job["state"], job["progress"], job["error"]) == ("done", 1.0, None)
    assert job["failures"] == [{"file": "b", "code": "bad_audio", "message": "it is bad"}]
    finished = datetime.fromisoformat(job["finished"])
    assert created <= finished
    assert datetime.fromisoformat(job["expires"]) == finished + timedelta(hours=24)


def test_openapi_describes_the_routes(service):
    schema = service.http.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/v1/jobs", "/v1/jobs/{job_id}", "/v1/jobs/{job_id}/result"}
    submit = schema["paths"]["/v1/jobs"]["post"]
    names = {parameter["name"] for parameter in submit["parameters"]}
    assert {"operation", "bitrate_kbps", "format", "Idempotency-Key"} <= names
    assert {"202", "400", "409", "413", "422", "429", "503"} <= set(submit["responses"])


@pytest.mark.parametrize(
    "parameters",
    [
        {"operation": None},
        {"operation": "transcode"},
        {"bitrate": "1"},
        {"bitrate_kbps": "fast"},
        {"format": "wav"},
        {"operation": "decode", "denoise": "true"},
        {"operation": "decode", "format": "mp3"},
    ],
)
def test_unknown_and_malformed_parameters(service, parameters):
    assert service.submit(b"x", expect=422, **parameters)["error"]["code"] == "invalid_request"
    fields = {"operation": "encode", **parameters}
    fields = {name: value for name, value in fields.items() if value is not None}
    answer = service.http.post("/v1/jobs", files={"file": b"x"}, data=fields)
    assert code_of(answer, 422) == "invalid_request"
    assert list(service.store.root.glob("*/")) == []


def test_a_parameter_twice(service):
    answer = service.submit(files={"file": b"x"}, data={"operation": "encode"}, expect=422)
    assert answer["error"]["code"] == "invalid_request"


def test_what_no_file_can_be_converted_with(service):
    assert service.submit(b"x", num_quantizers=99, expect=400)["error"]["code"] == "bad_bitrate"


def test_empty_bodies(service):
    assert service.submit(b"", expect=400)["error"]["code"] == "empty_body"
    assert service.submit(files={"file": b""}, expect=400)["error"]["code"] == "empty_body"


FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'
FORMS = {
    "no_boundary": ("multipart/form-data", b"x"),
    "no_form": ("multipart/form-data; boundary=b", b"no boundary here"),
    "no_name": ("multipart/form-data; boundary=b", b"--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--\r\n"),
    "other_field": ("multipart/form-data; boundary=b", FILE.replace(b'"file"', b'"other"') + b"--b--\r\n"),
    "url": ("multipart/form-data; boundary=b", FILE.replace(b'; filename="a"', b"") + b"--b--\r\n"),
    "no_file": ("multipart/form-data; boundary=b", b"--b--\r\n"),
    "cut": ("multipart/form-data; boundary=b", FILE),
    "two_files": ("multipart/form-data; boundary=b", FILE + FILE + b"--b--\r\n"),
    "long_header": ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"x" * 5000 + b"\r\n\r\n"),
    "long_field": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + b"x" * 2000 + b"\r\n" + FILE + b"--b--\r\n",
    ),
    "many_fields": (
        "multipart/form-data; boundary=b",
        b"".join(b'--b\r\nContent-Disposition: form-data; name="%d"\r\n\r\nx\r\n' % n for n in range(9)) + b"--b--\r\n",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_malformed_forms(service, name):
    kind, body = FORMS[name]
    answer = service.http.post("/v1/jobs?operation=encode", content=body, headers={"Content-Type": kind})
    assert code_of(answer, 400) == "bad_form"
    assert list(service.store.root.glob("*/")) == []


def test_bodies_that_are_too_large(make_service):
    service = make_service(max_job_bytes=1000)
    assert service.submit(b"x" * 1000)["state"] == "queued"
    assert service.submit(b"x" * 1001, expect=413)["error"]["code"] == "too_large"
    sent = []

    def pieces():
        for _ in range(30):
            sent.append(1)
            yield b"x" * 100

    assert service.submit(pieces(), expect=413)["error"]["code"] == "too_large"
    assert service.submit(files={"file": b"x" * 1001}, expect=413)["error"]["code"] == "too_large"
    assert len(list(service.store.root.glob("*/"))) == 1


def test_a_body_that_comes_too_slowly(make_service):
    service = make_service(job_upload_seconds=0.05)

    async def send():
        async def pieces():
            yield b"x"
            await anyio.sleep(0.3)
            yield b"x"

        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/v1/jobs?operation=encode", content=pieces())

    assert code_of(anyio.run(send), 408) == "upload_timeout"
    assert list(service.store.root.glob("*/")) == []


def test_idempotency_keys(service):
    first = service.submit(b"one", key="key")
    assert service.submit(b"one", key="key", expect=200)["id"] == first["id"]
    service.runner.run_one()
    again = service.submit(files={"file": b"one"}, key="key", expect=200)
    assert (again["id"], again["state"]) == (first["id"], "done")
    assert service.submit(b"two", key="key", expect=409)["error"]["code"] == "key_reused"
    assert service.submit(b"one", key="key", num_quantizers=1, expect=409)["error"]["code"] == "key_reused"
    assert service.submit(b"one", key="key", operation="decode", expect=409)["error"]["code"] == "key_reused"
    assert service.submit(b"two", key="key", owner="other")["id"] != first["id"]
    assert service.submit(b"one", key="other")["id"] != first["id"]
    assert service.submit(b"one")["id"] != service.submit(b"one")["id"]
    for bad in ("", "two words", "x" * 256):
        assert service.submit(b"one", key=bad, expect=422)["error"]["code"] == "invalid_request"
    assert len(list(service.store.root.glob("*/"))) == 5
    service.http.delete(f"/v1/jobs/{first['id']}")
    assert service.submit(b"two", key="key")["state"] == "queued"


def test_the_same_key_at_the_same_time(service):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(service_post(service))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [202]


def service_post(service):
    return service.http.post("/v1/jobs?operation=encode", content=b"one", headers={"Idempotency-Key": "key"})


def test_nobody_sees_anothers_jobs(service):
    job = service.submit(b"one", owner="ann")
    service.runner.run_one()
    for path in ("", "/result"):
        assert service.get(job, "ann", path).status_code == 200
        assert code_of(service.get(job, "bob", path), 404) == "unknown_job"
    answer = service.http.delete(f"/v1/jobs/{job['id']}", headers={"X-Owner": "bob"})
    assert code_of(answer, 404) == "unknown_job"
    assert service.http.get("/v1/jobs", headers={"X-Owner": "bob"}).json() == {"jobs": [], "next": None}
    assert len(service.http.get("/v1/jobs", headers={"X-Owner": "ann"}).json()["jobs"]) == 1
    assert code_of(service.http.get("/v1/jobs/..%2F..%2Fetc"), 404)


def test_pages_are_newest_first(service):
    jobs = [service.submit(f"{number}".encode())["id"] for number in range(5)]
    times = {}
    with service.store.database.write() as session:
        for number, job in enumerate(jobs):
            times[job] = session.get_one(JobRow, job).created_ms = 1_000_000 + number // 2
    newest = sorted(jobs, key=lambda job: (times[job], job), reverse=True)
    found, cursor = [], None
    for _ in range(3):
        page = service.http.get("/v1/jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
    assert (found, cursor) == (newest, None)
    assert len(service.http.get("/v1/jobs").json()["jobs"]) == 5
    for parameters in ({"limit": 0}, {"limit": 101}, {"cursor": "x"}, {"cursor": "1-"}, {"cursor": "9" * 30 + "-a"}):
        assert code_of(service.http.get("/v1/jobs", params=parameters), 422) == "invalid_request"


def test_results_before_and_without_an_end(service):
    job = service.submit(b"bad")
    assert code_of(service.get(job, path="/result"), 409) == "not_done"
    service.runner.run_one()
    assert code_of(service.get(job, path="/result"), 409) == "not_done"
    assert code_of(service.get({"id": "0" * 32}, path="/result"), 404) == "unknown_job"


def test_results_in_parts(service):
    job = service.submit(b"one")
    service.runner.run_one()
    answer = service.http.get(f"/v1/jobs/{job['id']}/result", headers={"Range": "bytes=6-"})
    assert (answer.status_code, answer.content) == (206, b"one")


def test_cancelling_a_waiting_job(service, copier):
    job = service.submit(b"one", key="key")
    assert service.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert service.facts(job)["state"] == "cancelled"
    assert not service.store.folder(job["id"]).path.exists()
    assert not service.runner.run_one()
    assert code_of(service.get(job, path="/result"), 409) == "not_done"
    assert service.submit(b"one", key="key")["id"] != job["id"]
    assert service.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert code_of(service.get(job), 404) == "unknown_job"


@pytest.mark.parametrize("twice", [False, True])
def test_cancelling_a_running_job_stops_it_soon(service, copier, twice):
    job = service.submit(b"endless")
    reached = threading.Event()

    def endless(content, progress):
        while True:
            reached.set()
            progress(0.25)
            time.sleep(0.005)

    copier.on_file = endless
    service.runner.start()
    assert reached.wait(30)
    begun = time.monotonic()
    for _ in range(2 if twice else 1):
        assert service.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    while service.store.folder(job["id"]).path.exists():
        assert time.monotonic() < begun + 10
        time.sleep(0.01)
    assert time.monotonic() < begun + 3  # about a second, on a busy machine
    assert service.runner.stop(30)
    if twice:
        assert service.get(job).status_code == 404
    else:
        assert service.facts(job)["state"] == "cancelled"


def test_removing_a_finished_job(service):
    job = service.submit(b"one")
    service.runner.run_one()
    assert service.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert code_of(service.get(job), 404) == "unknown_job"
    assert not service.store.folder(job["id"]).path.exists()
    assert code_of(service.http.delete(f"/v1/jobs/{job['id']}"), 404) == "unknown_job"


def test_progress_is_told_while_it_grows(service, make_zip, copier, monkeypatch):
    job = service.submit(make_zip({"a": b"x" * 30, "b": b"y" * 10}))
    monkeypatch.setattr("serving.jobs.runner.RENEW_SECONDS", 0.02)
    told = []

    def slow(content, progress):
        progress(0.5)
        time.sleep(0.2)
        told.append(service.facts(job)["progress"])

    copier.on_file = slow
    service.runner.run_one()
    assert told == [0.375, 0.875]


def test_limits_on_jobs(make_service):
    service = make_service(max_jobs=3, max_jobs_per_owner=2)
    for _ in range(2):
        service.submit(b"one", owner="ann")
    answer = service.http.post("/v1/jobs?operation=encode", content=b"x", headers={"X-Owner": "ann"})
    assert code_of(answer, 429) == "too_many_jobs"
    assert int(answer.headers["Retry-After"]) >= 1
    service.submit(b"one", owner="bob")
    answer = service.http.post("/v1/jobs?operation=encode", content=b"x", headers={"X-Owner": "cid"})
    assert code_of(answer, 503) == "overloaded"
    assert int(answer.headers["Retry-After"]) >= 1
    service.runner.run_one()
    service.submit(b"one", owner="ann")


def test_limits_on_uploads(make_service):
    service = make_service(max_job_uploads=1)
    refused = []

    async def send():
        async def both():
            yield b"x"
            refused.append(await client.post("/v1/jobs?operation=encode", content=b"y"))
            yield b"z"

        async with httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://service") as client:
            taken = await client.post("/v1/jobs?operation=encode", content=both())
            return taken, await client.post("/v1/jobs?operation=encode", content=b"later")

    assert [answer.status_code for answer in anyio.run(send)] == [202, 202]
    assert code_of(refused[0], 503) == "overloaded"


def test_a_full_disk(make_service, monkeypatch, make_zip, copier):
    service = make_service(job_min_free_bytes=1000)
    free = [10_000]
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("serving.jobs.folder.shutil.disk_usage", lambda path: usage._replace(free=free[0]))
    job = service.submit(make_zip({"a": b"one", "b": b"two"}))
    answer = service.http.post("/v1/jobs?operation=encode", content=b"x" * 9_500)
    assert code_of(answer, 503) == "storage_full"
    assert "Retry-After" in answer.headers
    free[0] = 999
    assert service.submit(b"x", expect=503)["error"]["code"] == "storage_full"
    free[0] = 10_000

    def fill(content, progress):
        free[0] = 500

    copier.on_file = fill
    service.runner.run_one()
    facts = service.facts(job)
    assert [failure["code"] for failure in facts["failures"]] == ["storage_full"]
    assert (facts["state"], facts["error"]["code"]) == ("failed", "storage_full")


def test_an_unforeseen_failure_tells_nothing(service, caplog, make_zip):
    job = service.run(make_zip({"a": b"bug", "b": b"good"}))
    assert job["failures"] == [{"file": "a", "code": "internal", "message": job["failures"][0]["message"]}]
    assert "secret" not in str(job)
    assert "a secret of this machine" in caplog.text
    assert job["id"] in caplog.text
    assert list(service.outputs(job)) == ["b.nac"]


def test_failures_are_listed_in_bounds(service, make_zip, monkeypatch):
    monkeypatch.setattr("serving.jobs.store.MAX_FAILURES", 3)
    monkeypatch.setattr("serving.jobs.store.MAX_LISTED_FAILURES", 1)
    job = service.run(make_zip({f"{number}": b"bad" for number in range(4)}))
    assert (job["files"]["failed"], len(job["failures"])) == (4, 3)
    assert len(service.http.get("/v1/jobs").json()["jobs"][0]["failures"]) == 1
