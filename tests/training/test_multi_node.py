"""Two processes that act as two machines: started by torchrun, or with SLURM's variables."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from running_service import free_port
from training.run import Run

BIN = Path(sys.executable).parent
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "GLOO_SOCKET_IFNAME": "lo"}
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}

pytestmark = pytest.mark.slow


def launch_torchrun(*words):
    """Start `torchrun` once for each of two nodes."""
    port = str(free_port())
    where = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", port]
    launcher = [sys.executable, "-m", "torch.distributed.run", *where]
    program = ["-m", "nacre", "train", "fit", *map(str, words)]
    return [
        subprocess.Popen([*launcher, "--node-rank", rank, *program], env=os.environ | QUIET, **PIPES) for rank in "01"
    ]


def launch_slurm(*words):
    """Start one task on each of two nodes, as srun does."""
    job = {
        "SLURM_JOB_ID": "4242",
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_LOCALID": "0",
        "MASTER_PORT": str(free_port()),
    }
    command = [str(BIN / "nacre"), "train", "fit", *map(str, words)]
    return [
        subprocess.Popen(command, env=os.environ | QUIET | job | {"SLURM_PROCID": rank, "SLURM_NODEID": rank}, **PIPES)
        for rank in "01"
    ]


def finish(nodes):
    """Wait for both nodes and return their (exit status, stdout, stderr)."""
    texts = [node.communicate(timeout=280) for node in nodes]
    return [(node.returncode, *text) for node, text in zip(nodes, texts, strict=True)]


@pytest.fixture
def config(tiny_config):
    return lambda **changes: tiny_config(
        **{"trainer__limit_val_batches": 0, "data__batch_size": 2, "run__checkpoint_every_n_steps": 5} | changes
    )


@pytest.mark.parametrize("launch", [launch_torchrun, launch_slurm])
def test_two_nodes_make_one_run_without_being_told_where(launch, config, private_home):
    first, second = finish(launch("--config", config()))
    assert first[0] == second[0] == 0, first[2] + second[2]
    (directory,) = (private_home / "nacre" / "runs").iterdir()
    assert first[1].split() == [str(directory)]
    assert second[1] == ""
    assert "step 10/10" not in second[2]
    run = Run(directory)
    assert run.read_lineage()["world_size"] == 2
    assert "num_nodes: 2" in run.config.read_text()
    steps = [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()]
    assert steps == list(range(10))


@pytest.mark.parametrize("launch", [launch_torchrun, launch_slurm])
def test_a_dead_node_ends_the_job_and_it_resumes_to_the_same_bits(launch, config, tmp_path, assert_same_training):
    settings = {"trainer__max_steps": 40}
    for status, _, errors in finish(launch("--config", config(**settings), "--run-dir", tmp_path / "straight")):
        assert status == 0, errors
    broken = tmp_path / "broken"
    nodes = launch("--config", config(**settings), "--run-dir", broken)
    while not Run(broken).last_checkpoint.is_file():
        assert all(node.poll() is None for node in nodes), finish(nodes)
        time.sleep(0.05)
    node = psutil.Process(nodes[1].pid)
    for process in [node, *node.children(recursive=True)]:
        process.kill()
    (status, _, errors), (killed, _, _) = finish(nodes)
    assert killed == -signal.SIGKILL
    assert status == 1, errors
    assert "rank 0 lost the connection to another rank, which has died: see that one's messages; go on" in errors
    for status, _, errors in finish(launch("--resume", broken)):
        assert status == 0, errors
    assert_same_training(tmp_path / "straight", broken)


def test_what_rank_0_refuses_ends_every_rank_with_one_line(config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").touch()
    ended = finish(launch_slurm("--config", config(), "--run-dir", tmp_path / "run"))
    assert [status for status, _, _ in ended] == [1, 1]
    lines = [line for _, _, errors in ended for line in errors.splitlines() if line.startswith("nacre: ")]
    assert len(lines) == 1
    assert "is not empty" in lines[0]


def test_several_nodes_without_a_launcher_are_refused(config, tmp_path):
    command = [str(BIN / "nacre"), "train", "fit", "--config", str(config(trainer__num_nodes=2))]
    result = subprocess.run([*command, "--run-dir", tmp_path / "run"], env=os.environ, capture_output=True, text=True)
    assert result.returncode == 1
    assert "start several machines by torchrun or srun (docs/multi-node.md)" in result.stderr
    assert not (tmp_path / "run").exists()
