"""What the others count, of known labels only; by itself in one process, and added up over many."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from codec import errors
from serving.observe.directory import create_directory, forget_dead_workers, use_directory
from serving.observe.labels import known_codes
from serving.observe.metrics import Metrics

ROOT = Path(__file__).resolve().parents[3]


def test_audio_and_its_real_time_factor(metrics, value):
    metrics.observe_audio("speech", "encode", 10.0, 0.5)
    metrics.observe_audio("speech", "encode", 20.0, 0.0)
    labels = {"model": "speech", "operation": "encode"}
    assert value("audio_seconds_total", **labels) == 30
    assert value("work_seconds_total", **labels) == 0.5
    assert value("real_time_factor_bucket", le="20.0", **labels) == 1
    assert value("real_time_factor_bucket", le="10.0", **labels) == 0


def test_models_and_codes_are_known_ones(metrics, value):
    for number in range(100):
        metrics.observe_audio(f"made-up-{number}", "decode", 1, 1)
        metrics.count_swap(f"made-up-{number}", taken=True)
        metrics.count_swap("speech", taken=False)
        metrics.count_rejection(f"made_up_{number}")
        metrics.observe_chunk(f"made-up-{number}", 1)
        metrics.count_finished_job(f"made-up-{number}")
        metrics.observe_audio("speech", f"made-up-{number}", 1, 1)
    metrics.count_rejection("bad_audio")
    assert value("audio_seconds_total", model="other", operation="decode") == 100
    assert value("model_swaps_total", model="other") == 100
    assert value("refused_versions_total", model="speech") == 100
    assert value("rejections_total", code="other") == 100
    assert value("rejections_total", code="bad_audio") == 1
    assert metrics.render().count(b"made") == 0


def test_the_rest(metrics, value):
    metrics.observe_batch(3)
    metrics.observe_batch(1)
    metrics.set_queue_depth(7)
    metrics.set_queue_depth(4)
    metrics.observe_chunk("encode", 0.03)
    metrics.set_jobs({"queued": 2, "done": 5})
    metrics.set_jobs({"running": 1, "done": 6})
    metrics.count_finished_job("failed")
    assert (value("batch_size_sum"), value("batch_size_count")) == (4, 2)
    assert value("queue_depth") == 4
    assert value("stream_chunk_seconds_bucket", operation="encode", le="0.04") == 1
    states = ("queued", "running", "done", "failed", "cancelled")
    assert [value("jobs", state=state) for state in states] == [0, 1, 6, 0, 0]
    assert value("finished_jobs_total", state="failed") == 1
    assert b'nacre_build_info{python="3' in metrics.render()


def test_each_instance_counts_by_itself(metrics):
    other = Metrics()
    metrics.observe_batch(1)
    assert b"nacre_batch_size_count 1.0" in metrics.render()
    assert b"nacre_batch_size_count 0.0" in other.render()


def test_every_name_ends_and_reads_as_prometheus_wants(metrics):
    for family in text_string_to_metric_families(metrics.render().decode()):
        assert family.name.startswith("nacre_")
        assert family.documentation


def test_every_code_that_serving_refuses_with_is_known():
    text = "\n".join(path.read_text() for path in sorted((ROOT / "serving").rglob("*.py")))
    used = set(re.findall(r"""(?:ServiceError\(\s*\d+,\s*|unavailable\(\s*|_too_many\(\s*)"([a-z_]+)\"""", text))
    assert len(used) > 10
    assert used <= known_codes()
    assert errors.AudioError.code in known_codes()


def test_metrics_over_http(client, metrics):
    metrics.observe_batch(1)
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "nacre_batch_size_count 1.0" in answer.text


WORKER = """
import sys
from serving.observe.directory import use_directory
use_directory()
from serving.observe.metrics import Metrics
metrics = Metrics()
metrics.set_models(["speech"])
metrics.observe_audio("speech", "encode", 10.0, 1.0)
metrics.observe_request(route="/v1/encode", method="POST", status="2xx", model="speech", seconds=0.02)
metrics.set_queue_depth(3)
metrics.set_jobs({"queued": 4})
print("ready", flush=True)
sys.stdin.readline()
print(metrics.render().decode())
"""


def start_worker(directory):
    environment = {**os.environ, "NACRE_METRICS_DIRECTORY": str(directory), "PROMETHEUS_MULTIPROC_DIR": "/nowhere"}
    command = [sys.executable, "-c", WORKER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, cwd=ROOT, **pipes)


def test_workers_are_added_up_and_dead_ones_forgotten(tmp_path):
    workers = [start_worker(tmp_path) for _ in range(2)]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
    dead = start_worker(tmp_path)
    assert dead.stdout.readline() == "ready\n"
    dead.kill()
    dead.communicate()
    seen = []
    for worker in workers:
        text, _ = worker.communicate("now\n")
        seen.append(dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")))
    first, second = seen
    assert first['nacre_audio_seconds_total{model="speech",operation="encode"}'] == "30.0"  # it has happened
    name = 'nacre_request_seconds_count{method="POST",model="speech",route="/v1/encode",status="2xx"}'
    assert first[name] == "3.0"
    assert first["nacre_queue_depth"] == "6.0"  # of those that live
    assert first['nacre_jobs{state="queued"}'] == "4.0"  # said by all of them, of the same jobs
    assert second["nacre_queue_depth"] == "3.0"  # the first one has gone meanwhile


def test_files_of_living_workers_stay(tmp_path):
    for name in (f"gauge_livesum_{os.getpid()}.db", "counter_999999999.db", "gauge_livesum_999999999.db"):
        (tmp_path / name).touch()
    forget_dead_workers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"gauge_livesum_{os.getpid()}.db", "counter_999999999.db"}


def test_each_service_has_a_folder_for_as_long_as_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("NACRE_METRICS_DIRECTORY", "")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "bentoml's")
    use_directory()
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == "bentoml's"
    gone, foreign = tmp_path / "nacre-metrics-999999999-abc", tmp_path / "nacre-metrics-notes"
    gone.mkdir()
    (gone / "counter_1.db").touch()
    foreign.mkdir()
    first, second = create_directory(), create_directory()
    assert first != second
    assert first.is_dir()
    assert not gone.exists()
    assert foreign.exists()
    use_directory()
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(second)


DASHBOARD = json.loads((ROOT / "docker" / "grafana" / "nacre.json").read_text())


def expressions():
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def test_every_metric_of_the_dashboard_exists(metrics):
    metrics.observe_request(route="/v1/encode", method="POST", status="2xx", model="speech", seconds=1)
    metrics.count_bytes("/v1/encode", received=1, sent=1)
    metrics.count_rejection("overloaded")
    metrics.observe_audio("speech", "encode", 1, 1)
    metrics.observe_chunk("encode", 1)
    metrics.count_swap("speech", taken=True)
    metrics.count_swap("speech", taken=False)
    metrics.set_jobs({})
    metrics.count_finished_job("done")
    families = text_string_to_metric_families(metrics.render().decode())
    labels = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    shown = set(re.findall(r"nacre_\w+", " ".join(expressions())))
    assert shown <= labels.keys()
    families_shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert families_shown == {re.sub(r"_(bucket|sum|count)$", "", name) for name in labels}  # none is forgotten
    for expression in expressions():
        used = set().union(*(names.split(", ") for names in re.findall(r"by \(([^)]*)\)", expression)))
        has = set().union(*(labels[name] for name in re.findall(r"nacre_\w+", expression)))
        assert used <= has | {"instance"}, expression


def test_the_dashboard_is_one(metrics):
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert DASHBOARD["schemaVersion"] >= 36
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "job", "instance"]
    covered = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not covered & cells, panel["title"]
        covered |= cells
    for expression in expressions():
        assert expression.count("(") == expression.count(")")
        assert 'job=~"$job", instance=~"$instance"' in expression


def test_the_scraping_example(client):
    yaml = pytest.importorskip("yaml")
    (job,) = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text())["scrape_configs"]
    assert client.get(job["metrics_path"]).status_code == 200
    assert job["authorization"]["type"] == "Bearer"
