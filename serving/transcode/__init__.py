"""Batch transcoding of an archive of any size: every file exactly once, resumable, originals untouched.

    sources/         entries: what there is to read, listed in bounded memory, and how a worker opens each
    settings.py      what is done to each, and what comes out of it
    state.py         what was done, in a database while a run works; manifest.py is what stays of it
    plan.py          what is missing or changed: the work
    work.py          jobs, tasks and outcomes; worker.py does tasks with a model
    engines/         where workers run: this process, processes of this machine, Ray
    sinks/           where outputs go: a mirrored tree, or shards
    coordinator.py   joins all this; it never loads a model
    estimate.py      what a run would do, take and cost
    progress.py      a terminal's bar or a log's lines; status.py is for other processes
    commands.py      `nacre transcode`

`a.wav` becomes `a.wav.nac`, since `a.wav` and `a.flac` would collide otherwise; decoding takes the `.nac` off.
"""
