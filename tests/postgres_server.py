"""A PostgreSQL server of tests, on a socket alone. Any test module can import it (pyproject.toml)."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60


def find_programs():
    """Return the folder of PostgreSQL's programs, which Debian keeps off PATH; None if it isn't installed."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")]
    return max(installed, key=lambda folder: float(folder.parent.name), default=None)


@dataclass(frozen=True)
class Server:
    """A server that runs; `folder` holds its socket."""

    folder: Path

    @contextlib.contextmanager
    def schema(self):
        """Make a schema, as good as a database and sooner made; yield its URL as NACRE_REGISTRY_URL takes it."""
        name = f"nacre_{secrets.token_hex(4)}"
        self._run(f"CREATE SCHEMA {name}")
        yield f"postgresql+psycopg://nacre@/postgres?host={self.folder}&options=-csearch_path%3D{name}"
        self._run(f"DROP SCHEMA {name} CASCADE")

    def accepts(self):
        import psycopg

        try:
            self._run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, statement):
        import psycopg

        with psycopg.connect(host=str(self.folder), user="nacre", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)


@contextlib.contextmanager
def running(programs):
    """Yield a server of its own, started by the programs in that folder."""
    # Not in pytest's folders: their names are too long for a socket, and root's are closed to the user that serves.
    with tempfile.TemporaryDirectory(prefix="nacre-pg-") as name:
        folder = Path(name)
        identity = _identity(folder)
        data, log = folder / "data", folder / "log"
        make = [programs / "initdb", "-D", data, "-U", "nacre", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run(make, cwd=folder, check=True, capture_output=True, **identity)
        # Nothing here outlives a power cut, and tests kill clients alone.
        serve = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with log.open("wb") as output:
            process = subprocess.Popen(serve, cwd=folder, stdout=output, stderr=output, **identity)
        try:
            server = Server(folder)
            deadline = time.monotonic() + START_SECONDS
            while not server.accepts():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once, whoever is connected
            process.wait(START_SECONDS)


def _identity(folder):
    """Return who serves, as `subprocess` takes it: PostgreSQL refuses to be root; give that user the folder."""
    if os.geteuid() != 0:
        return {}
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
