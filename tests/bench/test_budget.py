"""Arms are tried in turn on every document, and their numbers are those of the rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import budget as bench
from bench import budget_tables
from bench.budget import PLANNED, Arm, Row
from breviary import artifacts, config
from breviary.data import prompts
from breviary.model import adapt, chat
from breviary.model.cost import Cost, Pace
from breviary.records import Document
from breviary.summarise import asked
from breviary.summarise.budget import Options
from breviary.summarise.budgeted import Writer
from tests.projects import SUMMARISING, configure, enter

FAST, TIMED = Arm("fast", 30), Arm("fast", 100, 500)
ROW = Row(FAST, "d", False, "fast", 10, 100.0, True, 0.5, 0.4)
ROWS = [
    ROW,
    replace(ROW, tokens=31, milliseconds=300.0, whole=False, rouge1=0.7),
    *(replace(ROW, arm=TIMED, milliseconds=ms) for ms in (400.0, 501.0, 450.0)),
    Row(TIMED, "d", refused=True),
    Row(Arm(PLANNED, 100, 10), "d", refused=True),
]


def test_every_profile_is_tried_with_every_budget() -> None:
    tried = bench.arms(["a", "b"], [32, 64], [500], 100)
    assert len(tried) == len(set(tried)) == 7
    assert Arm("b", 64) in tried and Arm(PLANNED, 100, 500) in tried and Arm("a", 100, 500) in tried


def test_a_line_holds_what_its_rows_say() -> None:
    tokens, timed, none = budget_tables.summary(ROWS)
    assert tokens["rouge1"] == pytest.approx(0.6) and tokens["p50_ms"] == 200
    assert (tokens["long"], tokens["late"], tokens["whole"], tokens["refused"]) == (0.5, 0, 0.5, 0)
    assert timed["late"] == pytest.approx(1 / 3) and timed["refused"] == 0.25 and timed["used"] == {"fast": 3}
    assert timed["p95_ms"] == pytest.approx(495.9)
    assert none == {"profile": PLANNED, "max_tokens": 100, "max_ms": 10, "documents": 1, "refused": 1.0}


def test_markdown_and_figure_are_the_same_each_time(tmp_path: Path) -> None:
    found = {
        "documents": 4,
        "arms": budget_tables.summary(ROWS),
        "lookup": {
            "guessed": 8,
            "tokens_per_second": 20.0,
            "tokens_per_second_with_lookup": 30.0,
            "ratio": 1.5,
            "equal_texts": 0.75,
        },
        "prefix": {"prefix_tokens": 9, "prompt_tokens": 288, "ratio": 0.97},
    }
    text = budget_tables.markdown(found)
    assert "| fast | 30 | 0% | 0.600 | 0.400 | 20 | 50% | 50.0% | 200 | 290 |" in text
    assert "| fast | 500 ms | 25% | 0.500 | 0.400 | 10 | 100% | 33.3% | 450 | 496 |" in text
    assert "| planned | 10 ms | 100% |  |  |  |  |  |  |  |" in text
    assert "30.0 tokens a second instead of 20.0 (median ratio 1.50); 75% of the texts are equal." in text
    assert "whose first 9 are already read takes 0.97 of the time" in text
    for name in ("one.svg", "two.svg"):
        budget_tables.figure(found["arms"], tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_it_runs_on_the_tiny_model(tiny: Any) -> None:
    options = Options.model_validate(
        {
            "profiles": {"two": {"beams": 2}, "one": {"beams": 1}},
            "profile": "two",
            "max_tokens": 12,
            "max_ms": None,
            "min_tokens": 1,
            "reserve": 0.0,
            "batch_size": 2,
        }
    )
    cost = Cost({100: 1.0}, 0.0, {"two": Pace(2, {1: 1.0}), "one": Pace(1, {1: 1.0})})
    spec = prompts.Options(style="plain", max_tokens=120, max_summary_tokens=16)
    prompter = prompts.build(spec, tiny.tokenizer, 4096, chat.frame)
    said = "Bees dance. "
    writer = Writer(tiny.model().eval(), tiny.tokenizer, options, lambda: cost, 0)
    made = Document("paper", "Bees", said * 9, said, id="d1")
    tried = bench.arms(["two", "one"], [12], [1, 60_000], 12)
    found = list(bench.rows(writer, prompter, [made], tried, seed=0))
    assert {row.arm for row in found} == set(tried)
    assert all(row.refused for row in found if row.arm.ms == 1)
    prompt = prompter.prompt(made.text)
    assert bench.lookup(writer, [prompt, prompt], 4)["equal_texts"] == 1
    saved = bench.prefix(writer, prompter, prompt, rounds=1)
    assert saved["prefix_tokens"] == len(prompter.prefix) and saved["ratio"] > 0


@pytest.mark.slow
def test_the_command_measures_plans_writes_and_draws(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    profiles = "{two: {beams: 2}, one: {beams: 1, no_repeat_ngram: 3, prompt_lookup: 4}}"
    section = f"budget: {{profiles: {profiles}, profile: two, max_tokens: 12, max_ms: null, min_tokens: 1,"
    params = f"{SUMMARISING}{section} reserve: 0.1, batch_size: 2}}\n"
    configure(monkeypatch, params, {name: config.SECTIONS[name] for name in asked.SECTIONS})
    artifacts.write_json(Path("models/base.json"), artifacts.read_json(tiny.record))
    adapt.save(tiny.adapted(), Path("models/phase3"), tiny.identity)
    documents = [Document("paper", f"Bees {at}", "Bees dance. " * 40, "Bees dance.", id=f"d{at}") for at in range(3)]
    artifacts.write_records(Path("data/documents.jsonl"), documents)
    artifacts.write_json(Path("data/splits.json"), {"d0": "train", "d1": "test", "d2": "test"})
    words = ["--documents", "1", "--tokens", "6,12", "--ms", "1,60000"]
    done = CliRunner().invoke(bench.main, words, catch_exceptions=False)
    assert done.exit_code == 0
    found = artifacts.read_json(Path("metrics/budget.json"))
    assert (found["documents"], len(found["arms"])) == (1, 2 * 2 + 3 * 2)
    assert all(line["long"] == 0 for line in found["arms"] if "long" in line)
    assert "1 test documents" in done.stdout and Path("docs/figures/budget.svg").is_file()
