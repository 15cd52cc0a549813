"""`breviary mend`: put right what a crash left of the files that DVC writes in place, and sweep up temporary ones.

    dvc.lock           cut short: the last one in git takes its place, or none; results come back from the run cache
    .dvc/tmp/rwlock    cut short: removed; it says which process is at work on what, and none is
    .*.part, .*.tmp    files that were being written, by this project or by DVC: removed once they are an hour old

What stages write needs none of this: it appears whole or not at all. DVC opens dvc.lock and fills it, after every
stage; a process that is killed in these milliseconds leaves half a file, which the next `dvc repro` refuses to read.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from breviary import artifacts

LOCK, OWNERS, HELD = Path("dvc.lock"), Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/lock")
TEMPORARY = re.compile(r"\..*\.\d+\.part|.*\.[\w-]{22}\.tmp")  # artifacts.atomic; DVC's own
SKIPPED = {".git", ".venv", "node_modules", "__pycache__"}
OLD = 3600.0  # seconds: no file takes this long to write


@click.command()
@click.option("--older", metavar="SECONDS", default=OLD, show_default=True, help="Temporary files at least this old.")
def mend(older: float) -> None:
    """Put right what a killed `dvc repro` may leave half-written, and remove old temporary files.

    Can be repeated; `make repro` does it first. The exit status is 1 where `dvc` is at work here.
    """
    from breviary.tracking import spool
    from breviary.tracking.locks import acquire

    root = spool.root()
    handle = acquire(root / HELD, wait=False) if (root / HELD).exists() else None
    if (handle is None and (root / HELD).exists()) or any(map(_is_dvc, _owners(root))):
        click.echo(f"`dvc` is at work in {root}; do this again when it is done", err=True)
        sys.exit(1)
    try:
        for line in mended(root, older):
            click.echo(line)
    finally:
        if handle is not None:
            os.close(handle)


def _owners(root: Path) -> set[int]:
    """The processes that said what they are at work on; DVC lets go of its lock while a stage runs, but not of this."""
    try:
        said = json.loads((root / OWNERS).read_bytes())
        readers = [each for those in said.get("read", {}).values() for each in those]
        return {each["pid"] for each in [*said.get("write", {}).values(), *readers]}
    except (FileNotFoundError, ValueError):  # cut short, to be mended
        return set()


def _is_dvc(process: int) -> bool:
    """Whether it is alive and no stranger to whom the number of a killed one was given."""
    import psutil

    try:
        return any("dvc" in word for word in psutil.Process(process).cmdline())
    except psutil.Error:
        return False


def mended(root: Path, older: float) -> Iterator[str]:
    """Mend everything, a line for each thing done."""
    lock = root / LOCK
    if lock.exists() and not is_whole(lock.read_bytes()):
        committed = _committed(root)
        if committed:
            with artifacts.atomic(lock) as temporary:
                temporary.write_bytes(committed)
        else:
            lock.unlink()
        yield f"{LOCK} was cut short: {'the one in git took its place' if committed else 'removed'}; run `dvc repro`"
    owners = root / OWNERS
    if owners.exists() and not _is_json(owners.read_bytes()):
        owners.unlink()
        yield f"{OWNERS} was cut short: removed"
    for path in list(_temporary(root)):
        if time.time() - path.lstat().st_mtime >= older:
            _remove(path)
            yield f"{path.relative_to(root)}: removed"


def is_whole(content: bytes) -> bool:
    """Whether this is a dvc.lock as DVC writes it, to its last line."""
    from ruamel.yaml import YAML, YAMLError

    try:
        found = YAML(typ="safe").load(content) if content.endswith(b"\n") else None
    except (YAMLError, UnicodeDecodeError):
        return False
    if not isinstance(found, dict) or found.get("schema") != "2.0":
        return False
    stages = found.get("stages", {})
    return isinstance(stages, dict) and all(_is_stage(stage) for stage in stages.values())


def _is_stage(found: Any) -> bool:
    """Whether DVC would take it: a key that was just being written has None or half a word for a value."""
    if not isinstance(found, dict) or "cmd" not in found:
        return False
    lists, params = [found.get(part, []) for part in ("deps", "outs")], found.get("params", {})
    return (
        all(isinstance(files, list) for files in lists)
        and all(isinstance(item, dict) and "path" in item for files in lists for item in files)
        and isinstance(params, dict)
        and all(isinstance(values, dict) for values in params.values())
    )


def _committed(root: Path) -> bytes:
    """dvc.lock of the last commit; nothing where there is none that is whole."""
    done = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], cwd=root, capture_output=True)
    return done.stdout if done.returncode == 0 and is_whole(done.stdout) else b""


def _is_json(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False


def _temporary(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            if TEMPORARY.fullmatch(name):
                yield Path(folder) / name
        folders[:] = [name for name in folders if name not in SKIPPED and not TEMPORARY.fullmatch(name)]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
