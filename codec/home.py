"""Where state lives: everything Nacre keeps is under `NACRE_HOME`, by default `~/.nacre`.

registry.db   names, versions, aliases and their history
bentoml/      BentoML's store (unless `BENTOML_HOME` names another place)
runs/         training runs, one directory each
jobs/         jobs of the HTTP service, with their input and results
keys.json     who may use the HTTP service
audio/        training audio that `nacre audio fetch` got
"""

import os
from pathlib import Path


def nacre_home() -> Path:
    """Return the state directory; it may not exist yet."""
    return Path(os.environ.get("NACRE_HOME") or Path.home() / ".nacre").expanduser().absolute()


def bentoml_home() -> Path:
    """Return BentoML's state directory and make BentoML use it (call this before importing bentoml)."""
    home = Path(os.environ.get("BENTOML_HOME") or nacre_home() / "bentoml").expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["BENTOML_HOME"] = str(home)
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    return home
