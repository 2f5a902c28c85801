"""Run as a program by the tests: forks children that share a registry at once, or that are killed in the middle of it.

Everything is imported before the first fork, so that children start at once and a kill falls into our own work.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
from pathlib import Path

import bentoml.models  # noqa: F401  # for its effect

import codec.package  # noqa: F401  # for its effect
from codec.errors import ConflictError
from registry.registry import Registry

# The calls that change something outside the process, or make it last. Being killed between two of them is the same as
# being killed just before the second.
EFFECTS = {"commit", "execute", "flock", "fsync", "mkdir", "mkdtemp", "open", "rename", "replace", "rmdir", "sendfile"}
EFFECTS |= {"unlink", "write"}
FORK = multiprocessing.get_context("fork")


def race(packages, shared):
    """One child a package: all register `shared` and their own, then move one alias by compare-and-set."""
    barrier, results = FORK.Barrier(len(packages)), FORK.Queue()
    children = [FORK.Process(target=_race, args=(package, shared, barrier, results)) for package in packages]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert all(child.exitcode == 0 for child in children), [child.exitcode for child in children]
    print(json.dumps([results.get() for _ in children]))


def _race(package, shared, barrier, results):
    barrier.wait()
    models = Registry.open()
    same = models.register(shared, "speech")
    own = models.register(package, "speech")
    conflicts = 0
    while True:
        current = next((v.version for v in models.list() if "production" in v.aliases), 0)
        try:
            models.promote(str(own), "production", expect=current)
            break
        except ConflictError:
            conflicts += 1
    results.put({"shared": same.version, "own": own.version, "conflicts": conflicts})


def crash(packages, homes, seed):
    """Kill one child a package, each at another point of what `_work` does; then look, and run it again."""
    total = _in_child(homes / "counted", packages[0], kill_at=None)["effects"]
    chance = random.Random(seed)  # noqa: S311  # any spread will do
    for index, package in enumerate(packages):
        # Odd ones share a home, where leftovers gather; even ones begin with none, so that it is made under fire.
        home = homes / ("shared" if index % 2 else f"own-{index}")
        kill_at = 1 + int(total * (index + chance.random()) / len(packages))
        killed = _in_child(home, package, kill_at=kill_at) is None
        report = {"kill_at": kill_at, "of": total, "killed": killed, "after": _in_child(home)}
        report |= {"rerun": _in_child(home, package, kill_at=None), "finally": _in_child(home)}
        print(json.dumps(report), flush=True)


def _in_child(home, *arguments, **options):
    """Call `_work` in a fork and return what it returned, None if it was killed."""
    receive, send = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_child, args=(send, home, arguments, options))
    child.start()
    send.close()
    try:
        result = receive.recv()
    except EOFError:
        result = None
    child.join()
    assert child.exitcode == (-signal.SIGKILL if result is None else 0), child.exitcode
    return result


def _child(send, home, arguments, options):
    os.environ["NACRE_HOME"] = str(home / "nacre")
    os.environ["BENTOML_HOME"] = str(home / "bentoml")
    send.send(_work(*arguments, **options) if arguments else _look())


def _work(package, kill_at):
    """Register, attach the report beside the package and promote; die just before effect number `kill_at`, from 1."""
    effects = 0

    def count(_frame, event, function):
        nonlocal effects
        if event == "c_call" and function.__name__ in EFFECTS:
            effects += 1
            if effects == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    models = Registry.open()
    version = models.register(package, "speech")
    models.attach(str(version), package.with_name(f"report-{package.name}"))
    models.promote(str(version), "production")
    sys.setprofile(None)
    return {"effects": effects, "version": version.version}


def _look():
    """Return what a user sees: versions, damaged ones, and the history."""
    models = Registry.open()
    return {
        "versions": [v.version for v in models.list()],
        "reports": [len(models.reports(v)) for v in models.list()],
        "runs": [v.lineage["run"] for v in models.list()],
        "problems": [result.problem for result in models.verify_all() if result.problem],
        "production": [v.version for v in models.list() if "production" in v.aliases],
        "history": [[change.previous, change.version] for change in models.history("speech")],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["race", "crash"])
    parser.add_argument("packages", type=Path, nargs="+")
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--homes", type=Path)
    parser.add_argument("--seed", type=int)
    chosen = parser.parse_args()
    if chosen.mode == "race":
        race(chosen.packages, chosen.shared)
    else:
        crash(chosen.packages, chosen.homes, chosen.seed)
