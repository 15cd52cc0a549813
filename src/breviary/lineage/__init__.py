"""Where an artefact comes from, and whether every step back to the data, the code and the base weights still holds.

DVC and git are read as files and through their commands; `dvc` itself is never imported.

    hashing.py      DVC's md5 of a file and of a folder
    history.py      what git holds: commits, experiments, the files of each
    lock.py         dvc.lock: who wrote what from what; in which commit or experiment
    objects.py      DVC's cache: whether an object is there and is what its name says
    origins.py      whether code and params are those of a commit
    weights.py      the base record, and the weights in the model cache
    chain.py        all links from an artefact back, one by one
    registered.py   the links from a registered version to its artefact
    causes.py       what makes DVC run a stage again
    executions.py   which MLflow run stands behind each stage of each commit and experiment
"""
