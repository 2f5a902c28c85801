"""A Ray cluster of tests on one machine: each node has processes and a network of its own, which nothing else reaches.

Any test module can import it (pyproject.toml). It takes root, util-linux and iproute2.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
HEAD = "10.77.0.1"
PORT = 6379
ADDRESS = f"{HEAD}:{PORT}"
RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
APART = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")


class Node:
    """What starts as `script` in namespaces of its own, once `begin` is called."""

    def __init__(self, script, log, environment):
        self._log = log
        script = f"echo there; read go; {script}"
        with log.open("wb") as output:
            self._outer = subprocess.Popen(
                [*APART, "sh", "-ec", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment,
            )
        assert self._outer.stdout.readline() == b"there\n", log.read_text()
        (self._init,) = psutil.Process(self._outer.pid).children()

    def begin(self):
        self._outer.stdin.write(b"go\n")
        self._outer.stdin.close()

    def wait(self):
        """Wait until Ray runs on the node."""
        for line in self._outer.stdout:
            if b"Ray runtime started" in line:
                return
        raise AssertionError(self._log.read_text())

    def inside(self, *words):
        """Return the words of a command that runs on the node."""
        return ["nsenter", f"--target={self.pid}", "--net", "--pid", "--mount", f"--wd={ROOT}", *map(str, words)]

    def ip(self, words):
        """Arrange the node's network; processes are named as they are outside."""
        subprocess.run(["nsenter", f"--target={self.pid}", "--net", "ip", *words.split()], check=True)

    @property
    def pid(self):
        return self._init.pid

    def kill(self):
        """End all processes of the node at once, and its network with them."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._init.kill()
        self._outer.wait()
        self._outer.stdout.close()


@contextlib.contextmanager
def running():
    """Yield a cluster of its own."""
    # Not in pytest's folders: their names are too long for a socket.
    with tempfile.TemporaryDirectory(prefix="nacre-ray-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.begin()
            yield cluster
        finally:
            cluster.close()


@contextlib.contextmanager
def started(*words, **settings):
    """Run a command, with these in its environment, and yield it; it ends with the block."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=os.environ | settings, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


class Cluster:
    """A head that takes no work, and nodes that come and go."""

    def __init__(self, folder):
        self._folder = folder
        self._count = 0
        self._settings = {
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
            # A lost node is noticed after three of these, not after a quarter of a minute.
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_failure_threshold": "3",
        }
        prepare = f"ip link set lo up; ip address add {HEAD}/32 dev lo"
        self.head = self._node(
            f"{prepare}; exec {' '.join(RAY)} --head --node-ip-address={HEAD} --port={PORT} --include-dashboard=false"
            f" --temp-dir={folder} --num-cpus=0 --object-store-memory=80000000"
        )

    def begin(self):
        self.head.begin()
        self.head.wait()

    @contextlib.contextmanager
    def nodes(self, *prepared):
        """Yield nodes of one core, each after a shell command ran on it; they join in their own time."""
        nodes = [self._add(prepare) for prepare in prepared]
        try:
            yield nodes
        finally:
            for node in nodes:
                node.kill()

    def _add(self, prepare):
        self._count += 1
        here, there = f"10.77.{self._count}.1", f"10.77.{self._count}.2"
        node = self._node(
            f"{prepare}; exec {' '.join(RAY)} --address={ADDRESS} --node-ip-address={there} --num-cpus=1"
            " --object-store-memory=80000000"
        )
        self.head.ip(f"link add to{self._count} type veth peer name eth0 netns {node.pid}")
        self.head.ip(f"address add {here}/24 dev to{self._count}")
        self.head.ip(f"link set to{self._count} up")
        node.ip("link set lo up")
        node.ip(f"address add {there}/24 dev eth0")
        node.ip("link set eth0 up")
        node.ip(f"route add {HEAD} via {here}")
        node.begin()
        return node

    def started(self, *words):
        """Run a command on the head."""
        return started(*self.head.inside(*words), **self._settings)

    def close(self):
        self.head.kill()

    def _node(self, script):
        return Node(script, self._folder / f"node{self._count}.log", os.environ | self._settings)
