"""MLflow, in a way that can never cost a training: what a stage measures goes to a local spool, and a second process
carries it to MLflow.

    stage ──append──> $DVC_ROOT/.mlflow/spool/<run>/events.jsonl ──uploader──> MLflow (SQLite here, or a server)

The stage itself only appends lines to a file: it imports no mlflow, opens no socket and waits for nobody while it
works. A server that is down, slow or dies leaves a spool, which the same code uploads later (`breviary sync`).
Because the spool is written first, SIGKILL loses nothing, and the uploader, who sees its parent go, closes the run.

    runs.py         `run`: what a stage enters; scratch folder, receipt, signals, peak memory
    fingerprint.py  the key of a run: params, inputs, code, versions
    intact.py       whether what is read is what was written
    scratch.py      where checkpoints survive a crash
    spool.py        the file format between the two processes
    uploader.py     the second process
    execution.py    which execution of the pipeline a run is part of
    pipeline.py     the parent run of an execution
    outcome.py      what the parent shows: stages and results
    peaks.py        peak memory
    locks.py        file locks
    store.py        the store: connection, uploads, runs by their receipt

mlflow is imported inside functions only: it takes seconds.
"""

from breviary.tracking.runs import Run, run

__all__ = ["Run", "run"]
