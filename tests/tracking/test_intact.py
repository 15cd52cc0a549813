"""A stage that DVC runs refuses what is not what dvc.lock says was written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from breviary import tracking
from breviary.errors import ArtifactError
from breviary.tracking import fingerprint, intact

DVC_YAML = """stages:
  write:
    cmd: python -c "open('a.txt', 'w').write('salt is a rock')"
    outs: [a.txt]
  read:
    cmd: >-
      python -c "from pathlib import Path; from breviary.tracking import fingerprint, intact;
      intact.require(fingerprint.inputs([Path('a.txt')])); Path('b.txt').write_text('read')"
    deps: [a.txt]
    outs: [b.txt]
"""


def lock(project: Path, **written: str) -> None:
    outs = "".join(f"    - path: {path}\n      md5: {md5}\n" for path, md5 in written.items())
    (project / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  write:\n    cmd: x\n    outs:\n{outs}")


@pytest.fixture
def read(project: Path) -> list[fingerprint.Input]:
    Path("a").write_bytes(b"salt")
    Path("d").mkdir()
    Path("d/x").write_bytes(b"rock")
    found = fingerprint.inputs([Path("a"), Path("d")])
    lock(project, **{each.name: each.md5 for each in found})
    return found


def test_what_was_written_may_be_read(read: list[fingerprint.Input]) -> None:
    intact.require(read)


@pytest.mark.parametrize(("damaged", "name"), [("a", "a"), ("d/x", "d")])
def test_a_flipped_bit_is_named_with_the_remedy(damaged: str, name: str, read: list[fingerprint.Input]) -> None:
    raw = Path(damaged).read_bytes()
    Path(damaged).write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    found = fingerprint.inputs([Path("a"), Path("d")])
    with pytest.raises(
        ArtifactError, match=rf"^{name}: its md5 is .*damaged, or changed by hand\ndelete what is dam"
    ) as error:
        intact.require(found)
    assert str(error.value).count("its md5 is") == 1


def test_outputs_that_were_swapped_are_named(read: list[fingerprint.Input]) -> None:
    Path("b").write_text("another rock")
    both = fingerprint.inputs([Path("a"), Path("b")])
    lock(Path(), a=both[1].md5, b=both[0].md5)
    with pytest.raises(ArtifactError, match=r"^a: its md5 is .*\n[^\n]*b: its md5 is"):
        intact.require(both)


def test_an_old_md5_that_another_stage_still_knows_does_not_excuse_one(read: list[fingerprint.Input]) -> None:
    text, old = Path("dvc.lock").read_text(), read[0].md5
    stale = f"  read:\n    cmd: x\n    deps:\n    - path: a\n      hash: md5\n      md5: {old}\n      size: 4\n"
    Path("dvc.lock").write_text(text.replace(old, "f" * 32) + stale)
    with pytest.raises(ArtifactError, match=r"^a: its md5 is"):
        intact.require(read)


def test_the_glance_sees_what_yaml_says() -> None:
    text = (Path(__file__).resolve().parents[2] / "dvc.lock").read_text(encoding="utf-8")
    assert intact._glanced(text) == intact._outputs(text)


def test_what_no_stage_writes_is_not_asked_about(read: list[fingerprint.Input]) -> None:
    Path("mine.txt").write_text("new")
    intact.require(fingerprint.inputs([Path("mine.txt")]))
    Path("dvc.lock").unlink()
    Path("a").write_text("another")
    intact.require(fingerprint.inputs([Path("a")]))


def test_a_lock_that_is_none_is_named(read: list[fingerprint.Input]) -> None:
    Path("dvc.lock").write_text("stages: [")
    with pytest.raises(ArtifactError, match=r"dvc\.lock: not a lock file of DVC .*git checkout -- dvc\.lock"):
        intact.require(read)


def test_only_a_stage_that_dvc_runs_is_held_to_the_lock(
    read: list[fingerprint.Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a").write_bytes(b"sale")
    monkeypatch.delenv("DVC_STAGE", raising=False)
    with tracking.run("by_hand", {}, [Path("a")]):
        pass
    monkeypatch.setenv("DVC_STAGE", "read")
    with pytest.raises(ArtifactError, match="a: its md5 is"), tracking.run("read", {}, [Path("a")]):
        pass


@pytest.mark.slow
def test_dvc_does_not_see_a_rotten_bit_and_the_stage_does(tmp_path: Path) -> None:
    """The file keeps its time and size: DVC calls it up to date, in the workspace as in the cache."""
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    source, binaries = Path(intact.__file__).parents[2], Path(sys.executable).parent
    env = {**os.environ, "PYTHONPATH": str(source), "PATH": f"{binaries}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}

    def dvc(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dvc", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert dvc("init", "--no-scm").returncode == 0
    assert dvc("repro").returncode == 0
    file = tmp_path / "a.txt"
    before = file.stat()
    with file.open("r+b") as opened:  # the same inode, as when a disk loses a bit
        opened.write(b"t")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "up to date" in dvc("status", "write").stdout
    done = dvc("repro", "--force", "--single-item", "read")
    assert done.returncode != 0
    assert "a.txt: its md5 is" in done.stderr
