"""Persistent jobs: long files and archives of many, converted in the background, whatever becomes of a process.

    submission.py, form.py, spool.py    a request's parameters and body, the body straight to disk
    store.py                            what requests do with jobs
    queue.py                            what runners do with jobs
    runner.py, work.py, watch.py        one thread a process, one job at a time, and the lease it holds meanwhile
    archive.py, zips.py, tars.py        what an archive holds, read with distrust
    converter.py, packages.py           one file's conversion
    routes.py                           the HTTP API

Everything is in NACRE_HOME/jobs: jobs.db, and a folder a job. A job is taken with a lease that its runner renews; the
lease of a process that died runs out, and another takes the job up where its files show it to be.

The table is our own, on SQLAlchemy, because no library does this: huey (3.5) deletes a task as it hands it out, so that
a kill loses it; persist-queue (1.1) hands tasks in work out again whenever a process opens the file; DBOS (3.4) on
SQLite is for development, recovers only what a process of the same name left, and needs PostgreSQL's driver.
"""
