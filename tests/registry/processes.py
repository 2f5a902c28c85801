"""Run as a program by the tests: forks children that share a registry at once, or that are killed in the middle of it.

Everything is imported before the first fork, so that children start at once and a kill falls into our own work.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
from pathlib import Path

import alembic.script  # noqa: F401  # for its effect
import bentoml.models  # noqa: F401  # for its effect
import sqlalchemy as sa

import codec.package  # noqa: F401  # for its effect
from codec.errors import ConflictError
from registry.registry import Registry
from registry.upkeep import Upkeep

# The calls that change something outside the process, or make it last. Being killed between two of them is the same as
# being killed just before the second.
EFFECTS = {"commit", "execute", "flock", "fsync", "mkdir", "mkdtemp", "open", "rename", "replace", "rmdir", "sendfile"}
EFFECTS |= {"unlink", "write"}
# Those of psycopg, in Python, that exchange something with the server.
EXCHANGES = {"connect", "wait"}
# A PostgreSQL database; None for a file in each home.
SERVER = os.environ.get("NACRE_REGISTRY_URL")
# How many of the newest versions gc leaves, and how many packages come before the first kill, so that gc has work.
KEEP, WARM_UP = 2, 4
FORK = multiprocessing.get_context("fork")


def race(packages, shared):
    """One child a package: all register `shared` and their own, then move one alias by compare-and-set."""
    results = FORK.Queue()
    _at_once(_race, [(package, shared, results) for package in packages])
    print(json.dumps([results.get() for _ in packages]))


def open_at_once(urls):
    """Eight children open each registry but the first; that is for loading what is only loaded when it is used."""
    for index, url in enumerate(urls):
        os.environ["NACRE_REGISTRY_URL"] = url
        if index == 0:
            Registry.open()
        else:
            _at_once(Registry.open, [()] * 8)


def _at_once(function, calls):
    """Call `function` with the arguments of each of `calls`, in a child each."""
    barrier = FORK.Barrier(len(calls))
    children = [FORK.Process(target=_wait_and_call, args=(barrier, function, call)) for call in calls]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert all(child.exitcode == 0 for child in children), [child.exitcode for child in children]


def _wait_and_call(barrier, function, arguments):
    barrier.wait()
    function(*arguments)


def _race(package, shared, results):
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
    """Kill one child a package, each at another point of what `_work` does; then look, and do it again."""
    # In this process, so that children find loaded what is only loaded when it is used.
    _live_in(homes / "shared")
    for package in packages[:WARM_UP]:
        total = _again(package)["rerun"]["effects"]
    chance = random.Random(seed)  # noqa: S311  # any spread will do
    victims = packages[WARM_UP:]
    for index, package in enumerate(victims):
        # Every fourth begins with nothing, so that a home is made under fire; the others share one, where gc has work.
        home = homes / ("shared" if index % 4 else f"own-{index}")
        kill_at = 1 + int(total * (index + chance.random()) / len(victims))
        killed = _in_child(home, _work, package, kill_at) is None
        report = {"kill_at": kill_at, "of": total, "killed": killed} | _in_child(home, _again, package)
        print(json.dumps(report), flush=True)


def migrate(urls, homes, seed):
    """Kill one child a URL, each at another point of opening an old registry; the first two are only opened."""
    first, second, *victims = urls
    # In this process, so that children find loaded what is only loaded when it is used.
    _live_in(homes)
    _open(first)
    total = _in_child(homes, _open, second)
    chance = random.Random(seed)  # noqa: S311  # any spread will do
    for index, url in enumerate(victims):
        kill_at = 1 + int(total * (index + chance.random()) / len(victims))
        killed = _in_child(homes, _open, url, kill_at) is None
        print(json.dumps({"kill_at": kill_at, "of": total, "killed": killed}), flush=True)


def _open(url, kill_at=None):
    os.environ["NACRE_REGISTRY_URL"] = url
    with _effects(kill_at) as effects:
        Registry.open()
    return len(effects)


def _again(package):
    """Return what a user sees after the kill, what doing it all again does, and what is seen then."""
    return {"after": _look(), "rerun": _work(package), "finally": _look(), "leftovers": len(Upkeep.open().leftovers())}


def _in_child(home, function, *arguments):
    """Call `function` in a fork and return what it returned, None if it was killed."""
    receive, send = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_child, args=(send, home, function, arguments))
    child.start()
    send.close()
    try:
        result = receive.recv()
    except EOFError:
        result = None
    child.join()
    assert child.exitcode == (-signal.SIGKILL if result is None else 0), child.exitcode
    return result


def _child(send, home, function, arguments):
    _live_in(home)
    send.send(function(*arguments))


def _live_in(home):
    os.environ["NACRE_HOME"] = str(home / "nacre")
    os.environ["BENTOML_HOME"] = str(home / "bentoml")
    if SERVER is not None:
        os.environ["NACRE_REGISTRY_URL"] = _schema_for(home)


def _schema_for(home):
    """Return the URL of a home's own schema in the server's database, made if it is not there."""
    server = sa.make_url(SERVER)
    options = f"{server.query['options']}_{home.name.replace('-', '_')}"
    with sa.create_engine(server, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.schema.CreateSchema(options.partition("=")[2], if_not_exists=True))
    return server.update_query_dict({"options": options}).render_as_string(hide_password=False)


@contextlib.contextmanager
def _effects(kill_at):
    """Yield a list that gets a 1 for each effect; die just before effect `kill_at`, from 1."""
    effects = []

    def count(frame, event, function):
        if event == "c_call":
            counts = function.__name__ in EFFECTS
        else:
            counts = event == "call" and frame.f_code.co_name in EXCHANGES and "/psycopg/" in frame.f_code.co_filename
        if counts:
            effects.append(1)
            if len(effects) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    yield effects
    sys.setprofile(None)


def _work(package, kill_at=None):
    """Register, attach the report beside the package, promote, clean up; die just before effect `kill_at`, from 1."""
    with _effects(kill_at) as effects:
        models, upkeep = Registry.open(), Upkeep.open()
        version = models.register(package, "speech")
        models.attach(str(version), package.with_name(f"report-{package.name}"))
        models.promote(str(version), "production")
        gone = upkeep.collect(KEEP)
        upkeep.remove_leftovers()
    return {"effects": len(effects), "version": version.version, "gone": [one.version for one in gone]}


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
    parser.add_argument("mode", choices=["race", "open", "crash", "migrate"])
    parser.add_argument("packages", type=Path, nargs="*")
    parser.add_argument("--urls", nargs="+")
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--homes", type=Path)
    parser.add_argument("--seed", type=int)
    chosen = parser.parse_args()
    if chosen.mode == "race":
        race(chosen.packages, chosen.shared)
    elif chosen.mode == "open":
        open_at_once(chosen.urls)
    elif chosen.mode == "migrate":
        migrate(chosen.urls, chosen.homes, chosen.seed)
    else:
        crash(chosen.packages, chosen.homes, chosen.seed)
