"""The file format between a stage and its uploader."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.tracking import spool as module
from breviary.tracking.spool import Spool, Writer, tidy, waiting


@given(words=st.lists(st.text(), max_size=5))
def test_what_is_written_is_read(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    with Writer(spool) as writer:
        for word in words:
            writer.append("tags", tags={"word": word})
    assert [event["tags"]["word"] for event in spool.read()] == words


def test_a_line_cut_short_is_left_out_and_what_follows_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.events.write_bytes(b'{"op": "start", "time": 1}\n{"op": "met')
    assert [event["op"] for event in spool.read()] == ["start"]
    with Writer(spool) as writer:
        writer.append("end", status="FINISHED")
    assert [event["op"] for event in spool.read()] == ["start", "end"]


class HalfFull:
    """A file on a disk that has room for three bytes more."""

    def __init__(self, file: object) -> None:
        self._file, self.room = file, 3

    def write(self, line: bytes) -> int:
        return self._file.write(line[: self.room])  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with Writer(spool) as writer:
        writer.append("start")
        writer._file = file = HalfFull(writer._file)  # type: ignore[assignment]
        with pytest.raises(OSError, match=r"No space left on device: '.*events\.jsonl'"):
            writer.append("metrics")
        file.room = 1000
        writer.append("end")
    assert [event["op"] for event in spool.read()] == ["start", "end"]
    assert spool.events.read_bytes().count(b"\n") == 2


def test_what_a_crash_left_of_a_forgotten_run_is_removed_once_it_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    spools = module.home() / "spool"
    (spools / "gone").mkdir(parents=True)
    (spools / "gone" / "params.json").write_text("{}")
    (spools / "lone.lock").touch()
    with Writer(Spool(spools / "alive")) as writer:
        writer.append("start")
    (spools / "alive.lock").touch()
    tidy()
    assert len(list(spools.iterdir())) == 4
    then = time.time() - 2 * module.SETTLED
    for path in (spools / "gone", spools / "lone.lock", spools / "alive.lock"):
        os.utime(path, (then, then))
    tidy()
    assert sorted(path.name for path in spools.iterdir()) == ["alive", "alive.lock"]


def test_pending_starts_where_the_upload_stopped(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with Writer(spool) as writer:
        writer.append("start")
        ((_, offset),) = spool.pending()
        writer.append("end")
    spool.note(offset=offset)
    assert [event["op"] for event, _ in spool.pending()] == ["end"]


def test_a_run_whose_stage_died_is_closed_once_at_the_time_of_its_last_word(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with Writer(spool) as writer:
        writer.append("start", time=7)
        assert spool.close() is False
    assert spool.close() and spool.close()
    assert [(event["op"], event["time"]) for event in spool.read()] == [("start", 7), ("end", 7)]


def test_a_run_that_started_again_is_not_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "run")
    with Writer(spool):
        spool.remove()
        assert spool.folder.exists()
    spool.remove()
    assert not spool.folder.exists()


def test_the_project_is_where_dvc_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert module.home() == tmp_path / ".mlflow"
    assert module.uri() == f"sqlite:///{tmp_path}/.mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert module.uri() == "http://127.0.0.1:5000"
    assert waiting() == []
