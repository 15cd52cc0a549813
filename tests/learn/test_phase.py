"""Two phases of the curriculum from files to files, on the tiny backbone."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts, config, tracking
from breviary.errors import BreviaryError, ConfigError, DataError, ModelError
from breviary.learn import phase
from breviary.model import adapt
from breviary.stage import Stage
from tests.learn.examples import SECTION, example

Phase = Callable[..., dict[str, Any]]


@pytest.fixture
def project(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose stages before training have run."""
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    return prepared(tmp_path / "project", tiny)


def prepared(folder: Path, tiny: Any) -> Path:
    (folder / "models").mkdir(parents=True)
    shutil.copy(tiny.record, folder / phase.BASE)
    artifacts.write_records(folder / phase.mixture("phase1"), [example("paper", number) for number in range(6)])
    mixed = [example("paper", 1), *(example("talk", number) for number in range(5))]
    artifacts.write_records(folder / phase.mixture("phase2"), mixed)
    artifacts.write_records(folder / phase.VALID, [example("talk", 9), example("paper", 8), example("talk", 10)])
    return folder


@pytest.fixture
def train(project: Path, make_options: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phase]:
    """Run one phase in a folder; what it wrote to its metrics."""
    import torch
    from accelerate.state import AcceleratorState

    threads = torch.get_num_threads()

    def run(name: str, previous: str | None = None, folder: Path = project, **changes: Any) -> dict[str, Any]:
        monkeypatch.chdir(folder)
        adapter = {"kind": "lora", "rank": 4, "alpha": 8.0, "dropout": 0.1, "targets": ["q_proj", "down_proj"]}
        values = {
            "runtime": {"seed": 17, "threads": 1},
            "compute": {"precision": "fp32", "quantisation": "none"},
            "adapter": adapter,
            "prompt": {"style": "plain", "max_tokens": 192, "max_summary_tokens": 32},
            "mix": {
                **{f"phase{n}": {"examples": 6, "shares": {"paper": 0.5, "talk": 0.5}} for n in (1, 2, 3)},
                "max_repetitions": 2,
                "reservoir": 0.5,
            },
            "pairs": SECTION,
            "subspace": {"k": 2, "of": ["update"]},
            "fisher_phase1": {"examples": 3, "merge": "none"},
            f"train_{name}": make_options(**changes).model_dump(),
        }
        Path("params.yaml").write_text(json.dumps(values))
        params = config.read(Path("params.yaml"), {section: config.SECTIONS[section] for section in values})
        stage = Stage(f"train_{name}", params, tracking.Run(f"train_{name}", folder / "scratch" / name, None), params)
        try:
            phase.run(stage, name, previous)
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)
        return artifacts.read_json(Path("metrics", f"train_{name}.json"))

    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def written(folder: Path) -> dict[str, bytes]:
    """Every file that DVC would hash."""
    kept = [path for part in ("models", "metrics") for path in sorted((folder / part).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


def test_a_phase_writes_its_adapter_numbers_and_curve(train: Phase, project: Path) -> None:
    metrics = train("phase1", keep="best")
    assert set(written(project)) == {
        "models/base.json",
        "models/phase1/adapter_config.json",
        "models/phase1/adapter_model.safetensors",
        "models/phase1/backbone.json",
        "models/phase1/sha256.json",
        "metrics/train_phase1.json",
        "metrics/curves/train_phase1.csv",
    }
    assert metrics["steps"] == 4 and metrics["nonfinite"] == {}
    valid = metrics["valid"]
    assert set(valid) == {"before", "best", "last"} and set(valid["last"]) == {"mean", "paper", "talk"}
    assert valid["best"]["mean"] == min(valid[name]["mean"] for name in valid) < valid["before"]["mean"]
    rows = list(csv.DictReader((project / "metrics/curves/train_phase1.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[0]["loss/cross_entropy"] == "" and float(rows[4]["valid/mean"]) > 0
    assert float(rows[1]["lr/B"]) == 4 * float(rows[1]["lr/A"])


@pytest.mark.slow
def test_phases_repeat_to_the_byte_and_follow_each_other(train: Phase, project: Path, tiny: Any) -> None:
    first = train("phase1")
    second = train("phase2", "phase1")
    assert second["valid"]["before"] == first["valid"]["last"] != first["valid"]["before"]
    again = prepared(project.parent / "again", tiny)
    train("phase1", folder=again)
    train("phase2", "phase1", folder=again)
    assert written(again) == written(project)
    content = b"".join(written(project).values())
    assert str(project.parent).encode() not in content and str(tiny.cache).encode() not in content


@pytest.mark.slow
def test_less_memory_gives_the_same_numbers(train: Phase, project: Path, tiny: Any) -> None:
    plain = train("phase1")
    again = prepared(project.parent / "again", tiny)
    assert train("phase1", folder=again, gradient_checkpointing=True)["valid"]["last"] == pytest.approx(
        plain["valid"]["last"], abs=1e-4
    )


def test_bf16_trains(train: Phase, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors.torch import load_file

    read = config.read

    def lower(path: Path, sections: Any) -> config.Params:
        path.write_text(path.read_text().replace('"fp32"', '"bf16"'))
        return read(path, sections)

    monkeypatch.setattr(config, "read", lower)
    metrics = train("phase1", keep="best")
    assert metrics["valid"]["best"]["mean"] < metrics["valid"]["before"]["mean"]
    held = load_file(project / "models/phase1/adapter_model.safetensors")
    assert {tensor.dtype for tensor in held.values()} == {torch.float32}


def test_an_adapter_of_other_weights_is_no_beginning(train: Phase, project: Path) -> None:
    train("phase1")
    adapter = project / "models/phase1"
    artifacts.write_json(adapter / "backbone.json", {"weights": "other"})
    artifacts.seal(adapter, (*adapt.FILES, "backbone.json"))
    with pytest.raises(ModelError, match=r"models/phase1: this adapter was trained on backbone weights other"):
        train("phase2", "phase1")
    assert not (project / "models/phase2").exists()


def test_a_misspelt_option_of_a_term_is_found_before_a_model_is_looked_for(train: Phase, project: Path) -> None:
    (project / phase.BASE).unlink()
    address = r"params\.yaml: train_phase1\.terms\.cross_entropy\.wieght: unknown key, did you mean 'weight'\?"
    with pytest.raises(ConfigError, match=address):
        train("phase1", terms={"cross_entropy": {"wieght": 1.0}})


def test_nothing_to_learn_from_is_an_error(train: Phase, project: Path) -> None:
    artifacts.write_records(project / phase.mixture("phase1"), [])
    with pytest.raises(DataError, match="not one example to learn from"):
        train("phase1")


def test_nothing_to_validate_on_is_an_error(train: Phase, project: Path) -> None:
    artifacts.write_records(project / phase.VALID, [])
    with pytest.raises(BreviaryError, match="not one example to validate on"):
        train("phase1")
    assert not (project / "models/phase1").exists()


def test_a_phase_reads_the_mixture_and_the_phase_before() -> None:
    names = {str(path) for path in phase.reads("phase1", None)}
    assert names == {"models/base.json", "data/mixtures/valid.jsonl", "data/mixtures/phase1.jsonl"}
    assert {str(path) for path in phase.reads("phase2", "phase1")} == {
        *("models/base.json", "data/mixtures/valid.jsonl", "data/mixtures/pairs.jsonl", "data/mixtures/phase2.jsonl"),
        *("models/phase1", "models/phase1_anchor"),
        *("models/subspace/base.safetensors", "models/subspace/phase1.safetensors"),
    }


def test_a_misspelt_term_of_a_later_phase_stops_the_first(
    train: Phase, project: Path, make_options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = config.read

    def with_another_phase(path: Path, sections: Any) -> config.Params:
        wrong = make_options().model_dump() | {"terms": {"cross_entropy": {"wieght": 1.0}}}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"train_phase3": wrong}))
        return read(path, dict(sections) | {"train_phase3": config.SECTIONS["train_phase3"]})

    monkeypatch.setattr(config, "read", with_another_phase)
    with pytest.raises(ConfigError, match=r"train_phase3\.terms\.cross_entropy\.wieght: unknown key"):
        train("phase1")
    assert not (project / "models/phase1").exists()
