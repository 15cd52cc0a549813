"""A copy of the project with the profile `tiny`, in which a pipeline takes a minute or two and anything may be broken.

It lies on a disk of its own, in memory, where this user may mount one, so that the disk can be full or read-only and
nobody else notices. Its DVC cache, MLflow store and model cache are its own too.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    *(".dvc/config", ".dvcignore", ".gitignore", "configs", "dvc.yaml", "params.yaml", "profiles"),
    *("sample", "src", "stages"),
    *("metrics/ablation.json", "metrics/budget.json"),  # made by hand, in git; the report shows them
)
SIZE = 4 << 30  # bytes of the disk, of which little is used: stages refuse to begin with less than 2 GB free


@dataclass(frozen=True)
class Clone:
    """A project that may be broken."""

    folder: Path
    environment: dict[str, str]
    disk: Path | None  # where its own disk is mounted; None: it has none

    @property
    def models(self) -> Path:
        """Its model cache."""
        return Path(self.environment["BREVIARY_CACHE"])

    @property
    def cache(self) -> Path:
        """Its DVC cache."""
        return self.folder / ".dvc/cache"

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command here, in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            process_group=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command here; its status, and what it said."""
        process = self.start(*command)
        said, _ = process.communicate()
        return process.returncode, said

    def must(self, *command: str) -> str:
        """Run a command that has to end well. Raises RuntimeError with what it said."""
        status, said = self.run(*command)
        if status:
            raise RuntimeError(f"{' '.join(command)}: status {status}\n{said[-3000:]}")
        return said

    def processes(self) -> list[psutil.Process]:
        """Every process at work here: dvc, the stage, its uploader."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(self.folder):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [process for process in found if process.pid != os.getpid()]

    def stop(self) -> None:
        """End every process at work here: workers of a queue outlive whoever started them."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stages(self) -> dict[str, Any]:
        """dvc.lock: every stage with the hashes of what it read and wrote."""
        return YAML(typ="safe").load((self.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]

    def hashes(self) -> dict[str, str]:
        """The md5 of every file that a stage read or wrote, so that one that differs has a name."""
        entries = [(stage, each) for stage, known in self.stages().items() for each in known["deps"] + known["outs"]]
        return {f"{stage}: {each['path']}": each["md5"] for stage, each in entries}


@contextmanager
def made(place: Path) -> Iterator[Clone]:
    """A clean clone below the folder `place`, which must be empty, for as long as the block lasts."""
    disk = place / "disk"
    disk.mkdir(parents=True)
    mounted = mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk))
    try:
        clone = filled(disk / "project", disk, disk if mounted else None)
        try:
            yield clone
        finally:
            clone.stop()
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(disk)], check=False)


def filled(folder: Path, own: Path, disk: Path | None = None) -> Clone:
    """A clean clone in `folder`, whose caches lie in the folder `own`: two clones may share them."""
    clone = Clone(folder, _environment(own), disk)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        target = clone.folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=ignored)
        else:
            shutil.copyfile(ROOT / part, target)
    clone.must("git", "init", "-q")
    clone.must(sys.executable, "-m", "breviary", "profile", "apply", "tiny")
    clone.must("git", "add", "-A")
    clone.must("git", "commit", "-qm", "start")
    return clone


def mount(*arguments: str) -> bool:
    """Mount something; whether this user may."""
    try:
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
    except OSError:
        return False


def _environment(own: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    places = {"BREVIARY_CACHE": str(own / "models"), "DVC_SITE_CACHE_DIR": str(own / "site"), "PATH": path}
    named = {f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": "src", "PYTHONDONTWRITEBYTECODE": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "BREVIARY_"))}
    return kept | places | named | quiet
