"""What git holds: the commits that touched a file, DVC's experiments, and the bytes of any file in any of them.

An experiment of DVC is a commit under refs/exps/<first two digits of its baseline>/<the others>/<name>.
"""

import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from breviary.errors import ArtifactError
from breviary.lineage import hashing

EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)")
SHORT = 7  # digits of a commit that are shown


@dataclass(frozen=True)
class Experiment:
    """One finished experiment of DVC."""

    name: str
    baseline: str  # the commit it started from
    commit: str


@dataclass(frozen=True)
class Repository:
    """The git repository of the project at `root`."""

    root: Path
    _blobs: dict[str, str] = field(default_factory=dict, repr=False)  # blob id -> md5 of its bytes

    def git(self, *arguments: str, given: str | None = None) -> bytes | None:
        """What git prints, or None where it says no."""
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=self.root, capture_output=True, input=given.encode() if given else None
            )
        except OSError as error:
            raise ArtifactError(f"git cannot be run ({error}); install it, since lineage is read from it") from None
        return done.stdout if done.returncode == 0 else None

    def lines(self, *arguments: str) -> list[str]:
        """What git prints, by line; none where it says no."""
        return (self.git(*arguments) or b"").decode("utf-8", "replace").splitlines()

    def head(self) -> str:
        """The commit that is checked out, "" before the first."""
        return "".join(self.lines("rev-parse", "--verify", "--quiet", "HEAD"))

    def subject(self, commit: str) -> str:
        """The first line of a commit's message."""
        return "".join(self.lines("log", "-1", "--format=%s", commit))

    def commits(self, path: str, limit: int = 200) -> list[str]:
        """The last commits, of any branch, that changed `path`: those before HEAD first, newest first."""
        ours = self.lines("log", f"-{limit}", "--format=%H", "--", path)
        others = self.lines("log", f"-{limit}", "--format=%H", "--branches", "--tags", "--remotes", "--", path)
        return list(dict.fromkeys([*ours, *others]))

    def experiments(self) -> list[Experiment]:
        """DVC's experiments, newest first."""
        form = "--format=%(objectname) %(refname)"
        found = []
        for line in self.lines("for-each-ref", "--sort=-committerdate", form, "refs/exps"):
            commit, _, ref = line.partition(" ")
            if match := EXPERIMENT.fullmatch(ref):  # refs/exps/exec/... are DVC's own business
                found.append(Experiment(match[3], match[1] + match[2], commit))
        return found

    def content(self, commit: str, path: str) -> bytes | None:
        """The bytes of a file in a commit, None if it has no such file."""
        return self.git("cat-file", "blob", f"{commit}:{path}")

    def digest(self, commit: str, path: str) -> str | None:
        """DVC's md5 of a file or folder as a commit has it, None if it has neither."""
        blobs = self.files(commit, path)
        self._hash(set(blobs.values()))
        if list(blobs) == [path]:
            return self._blobs[blobs[path]]
        inside = {name.removeprefix(f"{path}/"): self._blobs[blob] for name, blob in blobs.items()}
        kept = {name: md5 for name, md5 in inside.items() if not hashing.is_ignored(name, self.ignored)}
        return hashing.of_listing(kept) if kept else None

    def files(self, commit: str, folder: str) -> dict[str, str]:
        """The blob of each file in `folder` (or of the file itself) in a commit, by its path from the top."""
        listed = self.git("ls-tree", "-r", "-z", "--full-tree", commit, "--", folder) or b""
        entries = (entry.split("\t", 1) for entry in listed.decode("utf-8", "surrogateescape").split("\0") if entry)
        return {name: about.split()[2] for about, name in entries if about.split()[1] == "blob"}

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """What .dvcignore names."""
        path = self.root / ".dvcignore"
        return hashing.patterns(path.read_text(encoding="utf-8")) if path.is_file() else ()

    def _hash(self, blobs: set[str]) -> None:
        """Learn the md5 of every blob, all in one process."""
        todo = sorted(blobs - self._blobs.keys())
        if not todo:
            return
        answer = self.git("cat-file", "--batch", given="\n".join(todo) + "\n") or b""
        start = 0
        for blob in todo:  # "<id> blob <size>\n<content>\n"
            end = answer.index(b"\n", start)
            size = int(answer[start:end].split()[2])
            self._blobs[blob] = hashing.of_bytes(answer[end + 1 : end + 1 + size])
            start = end + size + 2
