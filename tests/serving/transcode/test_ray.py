"""The Ray engine: on a Ray of its own and on a cluster of nodes, whole and while parts of it are killed.

Everything is done from the command line, in network namespaces: no Ray here can be reached from outside.
"""

import contextlib
import os
import re
import sys
import time
from importlib.util import find_spec

import numpy as np
import psutil
import pytest
import soundfile

import ray_cluster
from codec.package import open_package
from serving.transcode.coordinator import transcode
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.order import Order
from serving.transcode.settings import Settings

FILES = 160
# What one worker may have in its hands: a few tasks, and one batch more.
IN_FLIGHT = 16

pytestmark = [pytest.mark.slow, pytest.mark.needs_tool("ip", "nsenter", "unshare")]


@pytest.fixture(autouse=True, scope="module")
def means():
    """What Ray in namespaces takes; CI has it."""
    missing = [
        *(["Ray is not installed: pip install ray"] if find_spec("ray") is None else []),
        *(["network namespaces take root"] if os.geteuid() != 0 else []),
    ]
    if missing:
        pytest.fail(missing[0]) if os.environ.get("NACRE_CI") == "1" else pytest.skip(missing[0])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Enough for some seconds: a few clips under many names."""
    folder = tmp_path_factory.mktemp("source")
    for number in range(FILES):
        path = folder / f"{number % 7}" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        if number < 8:
            samples = 0.1 * np.random.default_rng(number).standard_normal(40_000)
            soundfile.write(path, samples, 8_000)
        else:
            path.hardlink_to(folder / f"{number % 8 % 7}" / f"{number % 8}.wav")
    return folder


@pytest.fixture(scope="module")
def expected(source, package, model, tmp_path_factory):
    """What one clean run without Ray leaves."""
    target = tmp_path_factory.mktemp("expected")
    settings = Settings(num_quantizers=2)
    order = Order(
        source=str(source),
        target=str(target),
        package=package,
        fingerprint=open_package(package).fingerprint,
        settings=settings,
    )
    assert transcode(order, InlineEngine(model)).done == FILES
    return content(target)


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster.running() as cluster:
        yield cluster


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def command(source, target, package, *options):
    words = ["-m", "nacre", "transcode", source, target, "--model", package, "--num-quantizers", "2", "--engine", "ray"]
    return [sys.executable, *map(str, [*words, *options])]


def on_loopback(words):
    """Run a command that has no network but its own loopback."""
    apart = ["unshare", "--net", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh"]
    return ray_cluster.started(*apart, *words, OMP_NUM_THREADS="1")


def until(condition, run):
    """Wait until something is so while `run` works, and return it."""
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def outputs(target):
    """Return each output there is by name, with what tells it from another that takes its place."""
    return {path.name: path.stat().st_ino for path in target.rglob("*.nac") if not path.name.startswith(".")}


def actors(process):
    """Return the processes of actors that a program started."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.cmdline()[0].startswith("ray::RayActor"):
                found.append(child)
    return found


def check_end(run, target, expected, before):
    """Check that all is done, and nothing twice but what was in flight when outputs were as `before`."""
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert out.startswith(f"{FILES} done, 0 unchanged, 0 failed")
    assert content(target) == expected
    assert 0 < len(before) < FILES
    after = outputs(target)
    assert sum(after[name] != inode for name, inode in before.items()) <= IN_FLIGHT


def test_a_ray_of_its_own_does_what_one_process_does_though_a_worker_is_killed(source, package, expected, tmp_path):
    target = tmp_path / "target"
    with on_loopback(command(source, target, package)) as run:
        until(lambda: len(outputs(target)) > 20, run)
        victim = actors(run)[0]
        before = outputs(target)
        victim.kill()
        check_end(run, target, expected, before)


def test_a_node_joins_a_run_that_waits_and_is_lost_and_another_goes_on(cluster, source, package, expected, tmp_path):
    target = tmp_path / "target"
    with cluster.started(*command(source, target, package, "--ray-address", ray_cluster.ADDRESS)) as run:
        until((target / ".nacre" / "status.json").exists, run)
        with cluster.nodes("true") as (node,):
            until(lambda: len(outputs(target)) > 20, run)
            before = outputs(target)
            node.kill()
        with cluster.nodes("true"):
            check_end(run, target, expected, before)


def test_a_node_that_does_not_share_the_target_is_refused(cluster, source, package, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    words = command(source, target, package, "--ray-address", ray_cluster.ADDRESS)
    with cluster.nodes(f"mount -t tmpfs none {target}"), cluster.started(*words) as run:
        out, err = run.communicate(timeout=120)
    assert (run.returncode, out) == (1, "")
    refusal = f"'{target}' is not the same folder there: name one that all nodes share, or a URL"
    assert re.fullmatch(rf"nacre: the node 10\.77\.\d\.2 can't take part: {re.escape(refusal)}", err.splitlines()[-1])
    assert outputs(target) == {}


def test_the_model_goes_to_gpus_where_there_are_some(source, package, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 1}')
    with on_loopback(command(source, tmp_path / "target", package)) as run:
        _, err = run.communicate(timeout=120)
    assert run.returncode == 1
    # Ray believes that there is one, CUDA doesn't.
    assert re.fullmatch(r"nacre: the node 127\.0\.0\.1 can't take part: .*(CUDA|NVIDIA).*", err.splitlines()[-1])
