"""Verifying a finished transcode: every output decoded and measured against its source, and what fell short redone.

    command.py       `nacre transcode verify`, `checksums` and `bag`; bagging.py does the latter two
    finding.py       what is known of one file afterwards: a line of the report
    run.py           all of it; catalogue.py is its notes, repair.py encodes again
    check.py         one file's checks; calls.py is how other processes are called for them
    quality.py       how far an output is from its source, window by window
    si_sdr.py        one measure, exact over any length; visqol.py is the other, an optional one
    pool.py          checks in processes of their own, one thread each
    report.py        the lines and the page; summary.py is what the page says of all files

A page has the worst files to listen to: excerpt.py, spectrogram.py, histogram.py.
"""
