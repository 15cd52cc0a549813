"""The comparison pairs documents, leaves out what cannot be measured, and counts what a model did."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import long
from breviary import artifacts, config
from breviary.data.prompts import Generated, Prompt
from breviary.summarise import summariser
from breviary.summarise.levels import Summary
from tests.projects import SUMMARISING, configure, enter


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as out:
        for place in range(9):
            out.write(json.dumps({"id": f"d{place}", "source_text": f"Text {place}.", "summary": "Said."}) + "\n")
    return path


def test_a_limit_takes_a_part_of_what_more_would_take(file: Path) -> None:
    few, many = long.read(file, 3), long.read(file, None)
    assert list(few) == list(many)[:3]
    assert len(many) == 9
    assert few[next(iter(few))][1] == "Said."


def summary(text: str, coverage: float) -> Summary:
    return Summary(text, [], [(0, 9)], levels=2, calls=4, read=90, tokens=6, coverage=coverage)


def test_modes_are_compared_document_by_document() -> None:
    source = "Tides rise. Bread bakes. Snow falls. Bees hum. Clocks tick. Glass breaks."
    documents: dict[str, tuple[str, str]] = dict.fromkeys("abc", (source, "Bees hum."))
    flat = long.scores({name: summary("Tides rise.", 0.3) for name in documents}, documents)
    whole = long.scores({"a": summary("Bees hum.", 1.0), "b": summary("Bees.", 1.0), "c": summary("", 1.0)}, documents)
    found = long.compared("talks", {"truncate": flat, "map_reduce": whole})
    assert found["truncate"]["mean"]["rouge1"]["mean"] == 0.0
    assert found["truncate"]["mean"]["coverage_early"]["mean"] == 1.0
    assert found["truncate"]["against_truncate"] == {}
    against = found["map_reduce"]["against_truncate"]
    assert against["rouge1"]["difference"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert against["read"]["difference"] == pytest.approx(0.7)
    assert against["coverage_middle"]["n"] == 2  # an empty summary has no place


def test_tokens_and_seconds_are_counted_where_they_are_spent() -> None:
    meter = long.Meter(lambda prompts: [Generated("a", 2, True)] * len(prompts))
    meter([Prompt([1, 2, 3], False)] * 4)
    for length in (3, 1):
        meter.before(None, (), {})
        meter.after(None, (), {"input_ids": np.zeros((4, length))}, None)
    found = long.cost(meter, {"a": summary("a", 1.0), "b": summary("b", 1.0)})
    assert (found["prefill_tokens"], found["written_tokens"], found["calls"]) == (6.0, 4.0, 4.0)
    assert found["prefill_seconds"] >= 0


def test_a_table_shows_each_mode(file: Path) -> None:
    documents = long.read(file, 4)
    quality = {"truncate": long.scores({name: summary("Said.", 0.5) for name in documents}, documents)}
    meter = long.Meter(lambda prompts: [])
    cost = {"truncate": long.cost(meter, {name: summary("Said.", 0.5) for name in documents})}
    found = {"documents": 4, "words": 2.0, "quality": long.compared("talks", quality), "cost": cost}
    table = long.markdown({"files": {"talks": found}})
    assert "### talks: 4 documents, 2 words each" in table
    assert "| truncate | 1.000 |  | 1.000 | - | - | - | - | 0.500 |" in table
    assert "| truncate | 4.0 | 2.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 |" in table


@pytest.mark.slow
def test_the_command_compares_modes_on_the_tiny_model(tiny, tmp_path, monkeypatch) -> None:
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    configure(monkeypatch, SUMMARISING, {name: config.SECTIONS[name] for name in (*summariser.SECTIONS, "hierarchy")})
    artifacts.write_json(Path("models/base.json"), artifacts.read_json(tiny.record))
    with gzip.open("talks.jsonl.gz", "wt", encoding="utf-8") as out:
        for place in range(2):
            out.write(json.dumps({"id": f"d{place}", "source_text": "Bees dance. " * 40, "summary": "Bees."}) + "\n")
    words = ["talks.jsonl.gz", "--model", "base", "--limit", "1", "--modes"]
    done = CliRunner().invoke(long.main, [*words, "truncate,map_reduce,extract"], catch_exceptions=False)
    assert done.exit_code == 0
    (found,) = artifacts.read_json(Path("metrics/long.json"))["files"].values()
    assert found["documents"] == 1
    assert found["cost"]["map_reduce"]["calls"] > found["cost"]["extract"]["calls"] == 1
    assert all(of["prefill_seconds"] > 0 for of in found["cost"].values())
    wrong = CliRunner().invoke(long.main, [*words, "truncate,all"])
    assert wrong.exit_code == 2 and "no mode all; there is: truncate, map_reduce" in wrong.stderr
