"""The model registry: MLflow's, filled once for each content and moved by the gate or by hand.

    versions.py   what is registered, and under which tags and aliases
    history.py    who was champion when, and why; promote and rollback
    package.py    the folder of one version: the adapter, what it is served with, and code that MLflow can load

Only `candidate` (the newest that was looked at) and `champion` (the one to use) are aliases. A version is content: the
adapter, by DVC's own md5 of its folder, and the settings it is served with. It never changes; tags say what was found.
"""
