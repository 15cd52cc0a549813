"""Costs are taken in turns, and what is measured is what it is called."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML

from bench import costs, costs_light, costs_mining, spent
from bench.spent import Spent
from breviary.data import shortlist


def test_arms_take_turns_after_a_round_that_does_not_count() -> None:
    order: list[str] = []
    taken = spent.rounds({name: lambda name=name: order.append(name) for name in "ab"}, 2)
    assert order == ["a", "b"] * 3
    assert [len(each) for each in taken.values()] == [2, 2]
    order.clear()
    spent.rounds({name: lambda name=name: order.append(name) for name in "ab"}, 1, warm=False)
    assert order == ["a", "b"]


def test_seconds_are_medians_and_a_ratio_is_taken_within_rounds() -> None:
    slow, fast = (
        [Spent(4.0, 9.0), Spent(6.0, 1.0), Spent(40.0, 2.0)],
        [Spent(2.0, 1.0), Spent(2.0, 1.0), Spent(10.0, 1)],
    )
    assert spent.seconds(slow) == {"cpu_seconds": 6.0, "wall_seconds": 2.0}
    assert spent.ratio(slow, fast) == 3.0


def test_time_of_children_counts() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass"
    assert spent.once(lambda: subprocess.run([sys.executable, "-c", code], check=True)).cpu >= 0.29


def test_a_table_has_a_line_a_size_and_a_column_a_figure() -> None:
    found = costs.table({"10": {"step": {"cpu_seconds": 1.0}, "peak_mib": 5}, "20": {"step": {"cpu_seconds": 2.0}}})
    assert found.splitlines() == [
        "| size | step cpu seconds | peak mib |",
        "|---|---|---|",
        "| 10 | 1.0 | 5 |",
        "| 20 | 2.0 |  |",
    ]


def test_the_documents_that_are_mined_are_unit_vectors_with_words_in_common() -> None:
    left, right = costs_mining.side(40, 1), costs_mining.side(40, 2)
    torch.testing.assert_close(left.vectors.norm(dim=1), torch.ones(40))
    assert np.allclose(left.terms.power(2).sum(axis=1), 1)
    assert len(shortlist.by_words(left, right, 3)) >= 40
    assert torch.equal(costs_mining.side(40, 1).vectors, left.vectors)


@pytest.mark.parametrize(
    ("index", "parts"), [("exhaustive", {"score"}), ("torch", {"embedding", "words", "union", "score"})]
)
def test_mining_reports_its_parts(index: str, parts: set[str]) -> None:
    before = torch.get_num_threads()
    done = CliRunner().invoke(costs_mining.main, ["80", index, "--threads", str(before)], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert set(found["parts"]) == parts
    assert 80 * 64 <= found["pairs"] <= 80 * 80
    assert min(part["peak_mib"] for part in found["parts"].values()) >= found["inputs_mib"] > 0


def test_of_a_pipeline_only_the_commands_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "dvc.yaml"
    file.write_text(
        "stages:\n  a: {cmd: python x.py, deps: [x]}\n  b:\n    foreach: [1]\n    do: {cmd: y, outs: [z]}\n"
    )
    costs_light._with_true(file)
    assert YAML(typ="safe").load(file) == {
        "stages": {"a": {"cmd": "true", "deps": ["x"]}, "b": {"foreach": [1], "do": {"cmd": "true", "outs": ["z"]}}}
    }


def test_the_stages_that_are_called_light_load_nothing_heavy_until_they_work() -> None:
    heavy = {
        "torch",
        "transformers",
        "peft",
        "mlflow",
        "scipy",
        "sklearn",
        "pandas",
        "spacy",
        "trafilatura",
        "datasets",
    }
    code = (
        "import sys, runpy, pathlib\n"
        "for name in sys.argv[1].split():\n"
        "    runpy.run_path(f'stages/{name}.py', run_name='begin')\n"
        f"    assert not (found := sorted({heavy!r} & set(sys.modules))), (name, found)\n"
        "from breviary import config\n"
        "config.read(pathlib.Path('params.yaml'))\n"
        f"assert not (found := sorted({heavy!r} & set(sys.modules))), ('params.yaml', found)\n"
    )
    command = [sys.executable, "-c", code, " ".join(costs_light.WITHOUT_TORCH)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_subject_that_is_not_known_is_refused() -> None:
    done = CliRunner().invoke(costs.main, ["minig"])
    assert done.exit_code == 2
    assert "no subject is called minig; there are subspace, fisher, mining" in done.output


def test_a_size_that_was_measured_stays_where_the_next_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measuring(params: object, rounds: int) -> Iterator[spent.Size]:
        yield "10", {"cpu_seconds": 1.0}
        raise MemoryError

    monkeypatch.setattr(costs, "OUT", tmp_path / "costs.json")
    monkeypatch.setattr(costs, "mining", measuring)
    done = CliRunner().invoke(costs.main, ["mining", "--threads", str(torch.get_num_threads())])
    assert isinstance(done.exception, MemoryError)
    found = json.loads((tmp_path / "costs.json").read_text())["mining"]
    assert found["sizes"] == {"10": {"cpu_seconds": 1.0}}
    assert (found["rounds"], found["machine"]["threads"]) == (1, 2)
