"""Curves, distributions, dvc.lock and MLflow as the report reads them."""

from pathlib import Path

import pytest

from breviary import artifacts
from breviary.data.pair_report import Reject
from breviary.errors import ArtifactError
from breviary.evaluate.scoring import Scored
from breviary.lineage.lock import Stage
from breviary.records import Pair
from breviary.report import curves, making, spent, spread


def test_a_curve_keeps_losses_and_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("step,grad_norm,loss/ewc,valid/talk\n0,,,5.5\n1,0.5,0.0,\n2,0.4,0.25,5.0\n")
    assert curves.read(path) == {
        "steps": 2,
        "curves": {"loss/ewc": [[1, 0.0], [2, 0.25]], "valid/talk": [[0, 5.5], [2, 5.0]]},
    }


def test_a_damaged_curve_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("step,loss/ewc\n1,0.5\n2,half\n")
    with pytest.raises(ArtifactError, match=r"train\.csv:3: not a line of a curve .*half.*train this phase again"):
        curves.read(path)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    kept = curves.thinned([(step, float(step)) for step in range(10_000)])
    assert kept[0] == [0, 0.0]
    assert kept[-1] == [9999, 9999.0]
    assert len(kept) <= curves.POINTS + 1


def test_lengths_are_quantiles_with_each_value_where_they_are_few() -> None:
    few = [Scored(f"d{at}", "talk", "base", {"words": float(at)}) for at in range(5)]
    assert spread.lengths(few, ["base", "p1"]) == {
        "talk": [{"model": "base", "n": 5, "quantiles": [0.2, 1.0, 2.0, 3.0, 3.8], "values": [0.0, 1.0, 2.0, 3.0, 4.0]}]
    }
    assert spread.summary([float(at) for at in range(spread.SHOWN + 1)])["values"] == []
    assert spread.lengths([Scored("d", "talk", "base", {"words": None})], ["base"]) == {}


def test_margins_are_counted_in_bins_and_near_duplicates_left_out() -> None:
    pairs = [Pair("a", "b", "c", "d", "train", 0.1, margin) for margin in (1.2, 1.24, 1.3)]
    rejects = [
        Reject("train", "not mutual", "a", "e", 0.1, 1.15),
        Reject("train", "near duplicate", "a", "f", 0.9, 9.0),
    ]
    found = spread.margins(pairs, rejects)
    assert found == {"width": 0.05, "low": 1.15, "counts": {"mined": [0, 2, 0, 1], "not mutual": [1, 0, 0, 0]}}
    assert spread.margins([], [])["counts"] == {}


def test_stages_come_after_those_they_read_from() -> None:
    stages = [
        Stage("report", {"scores": "1", "src/x.py": "2"}, {"report.json": "3"}, {}),
        Stage("evaluate", {"data": "4"}, {"scores": "1"}, {}),
        Stage("download", {"sample": "5"}, {"data": "4"}, {}),
    ]
    assert [each.name for each in making.ordered(stages)] == ["download", "evaluate", "report"]


def test_a_lock_that_goes_round_in_circles_still_ends() -> None:
    stages = [Stage("a", {"y": "1"}, {"x": "2"}, {}), Stage("b", {"x": "2"}, {"y": "1"}, {})]
    assert {each.name for each in making.ordered(stages)} == {"a", "b"}


def test_the_lock_is_read_with_code_counted_apart(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(
        "schema: '2.0'\nstages:\n  chunk:\n    cmd: x\n    deps:\n    - {path: src/a.py, md5: '1'}\n"
        "    - {path: data/d.jsonl, md5: '2'}\n    outs:\n    - {path: data/c.jsonl, md5: '3'}\n"
    )
    assert making.making(lock) == [making.Made("chunk", {"data/d.jsonl": "2"}, {"data/c.jsonl": "3"}, 1)]
    assert making.making(tmp_path / "none.lock") == []


def test_what_mlflow_does_not_have_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert spent.spent(tmp_path / "runs") == (
        [],
        f"There are no receipts in {tmp_path}/runs/: nothing has been run here.",
    )
    artifacts.write_json(tmp_path / "runs" / "mix.json", {"key": "k", "stage": "mix"})
    assert "The runs are not here" in spent.spent(tmp_path / "runs")[1]


def test_a_store_that_fails_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ConnectionError

    artifacts.write_json(tmp_path / "mix.json", {"key": "k", "stage": "mix"})
    monkeypatch.setattr(spent, "opened", broken)
    assert spent.spent(tmp_path) == ([], "MLflow did not answer (ConnectionError).")
