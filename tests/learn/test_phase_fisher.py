"""Two phases measured from files to files, on the tiny backbone."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from breviary import artifacts, config, tracking
from breviary.errors import ArtifactError, ConfigError, ResourceError, TrainingError
from breviary.learn import anchors, fisher, phase_fisher, start
from breviary.learn.anchors import Anchor
from breviary.model import adapt, resources
from breviary.model.adapters import lora
from breviary.stage import Stage
from tests.learn.examples import example
from tests.weights import wake

ADAPTER = {"kind": "lora", "rank": 4, "alpha": 8.0, "dropout": 0.3, "targets": ["q_proj", "down_proj"]}
SECTIONS = {name: config.SECTIONS[name] for name in start.SECTIONS}
OWN = {"fisher_phase1": "breviary.learn.measuring", "fisher_phase2": "breviary.learn.measuring"}
Measure = Callable[..., dict[str, Any]]


@pytest.fixture
def project(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose first two phases were trained."""
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    return prepared(tmp_path / "project", tiny)


def prepared(folder: Path, tiny: Any) -> Path:
    (folder / "models").mkdir(parents=True)
    shutil.copy(tiny.record, folder / start.BASE)
    papers = [example("paper", number) for number in range(5)]
    artifacts.write_records(folder / start.mixture("phase1"), [*papers, *papers[:2]])  # two of them twice
    artifacts.write_records(folder / start.mixture("phase2"), [papers[1], *(example("talk", n) for n in range(4))])
    for number, phase in enumerate(("phase1", "phase2"), 1):
        model = adapt.create(tiny.model(), lora.Options.model_validate(ADAPTER), seed=number)
        adapt.save(wake(model, seed=number), folder / "models" / phase, tiny.identity)
    return folder


@pytest.fixture
def measure(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Measure]:
    """Measure one phase in a folder; what it wrote to its metrics."""
    from accelerate.state import AcceleratorState

    threads = torch.get_num_threads()

    def run(
        name: str, previous: str | None = None, folder: Path = project, precision: str = "fp32", **changes: Any
    ) -> dict[str, Any]:
        monkeypatch.chdir(folder)
        values = {
            "runtime": {"seed": 17, "threads": 1},
            "compute": {"precision": precision, "quantisation": "none"},
            "adapter": ADAPTER,
            "prompt": {"style": "plain", "max_tokens": 192, "max_summary_tokens": 32},
            "fisher_phase1": {"merge": "none"},
            "fisher_phase2": {},
        }
        values[f"fisher_{name}"] = {**values[f"fisher_{name}"], "examples": 4, **changes}
        Path("params.yaml").write_text(json.dumps(values))
        params = config.read(Path("params.yaml"), SECTIONS | OWN)
        stage = Stage(f"fisher_{name}", params, tracking.Run(f"fisher_{name}", folder / "scratch", None), params)
        try:
            phase_fisher.run(stage, name, previous)
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)
        return artifacts.read_json(Path("metrics", f"fisher_{name}.json"))

    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def stored(folder: Path, phase: str) -> Anchor:
    tensors = load_file(folder / anchors.folder(phase) / anchors.TENSORS)
    parts = {
        part: {key.removeprefix(f"{part}/"): each for key, each in tensors.items() if key.startswith(f"{part}/")}
        for part in ("fisher", "weights")
    }
    return Anchor(parts["weights"], parts["fisher"])


def written(folder: Path) -> dict[str, bytes]:
    found = [*folder.glob("models/*_anchor/*"), *folder.glob("metrics/*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_phase_leaves_its_weights_and_a_normalised_fisher(measure: Measure, project: Path) -> None:
    metrics = measure("phase1")
    assert set(written(project)) == {
        "models/phase1_anchor/anchor.safetensors",
        "models/phase1_anchor/fisher.json",
        "metrics/fisher_phase1.json",
    }
    anchor = stored(project, "phase1")
    saved = load_file(project / "models/phase1/adapter_model.safetensors")
    assert {name.replace(".default", ""): each.tolist() for name, each in anchor.weights.items()} == {
        name: each.tolist() for name, each in saved.items()
    }
    assert metrics == artifacts.read_json(project / "models/phase1_anchor/fisher.json")
    assert (metrics["examples"], metrics["skipped"], metrics["skipped_examples"]) == (4, 0, [])
    assert metrics["merge"] == "none" and metrics["factor"] > 0
    assert metrics["all"]["mean"] == pytest.approx(1.0, rel=1e-5) and metrics["all"]["nonzero"] > 0.9
    assert set(metrics["layers"]) == {"q_proj", "down_proj"} and set(metrics["matrices"]) == {"lora_A", "lora_B"}


def test_the_second_phase_adds_to_the_first(measure: Measure, project: Path) -> None:
    measure("phase1")
    alone = measure("phase2", "phase1", merge="none")
    one, two = stored(project, "phase1"), stored(project, "phase2")
    both = measure("phase2", "phase1")
    merged = stored(project, "phase2")
    assert (alone["all"]["mean"], both["all"]["mean"]) == (pytest.approx(1, rel=1e-5), pytest.approx(2, rel=1e-5))
    assert both["merge"] == "sum" and both["factor"] == alone["factor"]
    expected = anchors.merge(one, two, "sum", 0.5)
    for name, each in merged.fisher.items():
        torch.testing.assert_close(each, expected.fisher[name])
        torch.testing.assert_close(merged.weights[name], expected.weights[name])
    online = measure("phase2", "phase1", merge="online", decay=0.5)
    assert online["all"]["mean"] == pytest.approx(1.5, rel=1e-5)
    kept = stored(project, "phase2")
    assert all(torch.equal(each, two.weights[name]) for name, each in kept.weights.items())


@pytest.mark.slow
def test_it_repeats_to_the_byte(measure: Measure, project: Path, tiny: Any) -> None:
    again = prepared(project.parent / "again", tiny)
    for folder in (project, again):
        measure("phase1", folder=folder)
        measure("phase2", "phase1", folder=folder)
    assert written(again) == written(project)
    content = b"".join(written(project).values())
    assert str(project.parent).encode() not in content and str(tiny.cache).encode() not in content


def test_less_memory_gives_the_same_numbers(measure: Measure, project: Path) -> None:
    measure("phase1")
    plain = stored(project, "phase1")
    measure("phase1", gradient_checkpointing=True)
    thrifty = stored(project, "phase1")
    for name, each in plain.fisher.items():
        torch.testing.assert_close(thrifty.fisher[name], each, rtol=1e-4, atol=1e-4)


def test_bf16_is_measured(measure: Measure, project: Path) -> None:
    measure("phase1")
    exact = stored(project, "phase1").fisher
    metrics = measure("phase1", precision="bf16")
    rough = stored(project, "phase1").fisher
    flat = torch.stack([torch.cat([each.flatten() for each in found.values()]) for found in (exact, rough)])
    assert metrics["all"]["nonzero"] > 0.9 and float(torch.corrcoef(flat)[0, 1]) > 0.99


def test_examples_are_drawn_without_repeats_and_from_the_seed() -> None:
    mixture = [example("paper", number % 5) for number in range(12)]
    drawn = phase_fisher.sample(mixture, 3, "17 phase1")
    assert len({each.id for each in drawn}) == 3 and set(drawn) <= set(mixture)
    assert phase_fisher.sample(mixture, 3, "17 phase1") == drawn
    assert len({tuple(phase_fisher.sample(mixture, 3, f"{seed} phase1")) for seed in range(20)}) > 5
    assert sorted(each.id for each in phase_fisher.sample(mixture, 48, "17 phase1")) == sorted(
        {each.id for each in mixture}
    )


def test_no_penalty_and_no_other_phase_is_in_what_is_read() -> None:
    base, mixed, adapter = Path("models/base.json"), Path("data/mixtures/phase2.jsonl"), Path("models/phase2")
    assert phase_fisher.reads("phase2", "phase1") == [base, mixed, adapter, Path("models/phase1_anchor")]
    assert phase_fisher.reads("phase2", None) == [base, mixed, adapter]


def test_the_first_phase_cannot_merge(measure: Measure, project: Path) -> None:
    (project / start.BASE).unlink()  # it is found before a model is looked for
    with pytest.raises(ConfigError, match=r"params\.yaml: fisher_phase1\.merge: 'sum' needs the anchor of an earlier"):
        measure("phase1", merge="sum")


def test_an_adapter_that_was_never_trained_leaves_nothing(measure: Measure, project: Path, tiny: Any) -> None:
    adapt.save(
        adapt.create(tiny.model(), lora.Options.model_validate(ADAPTER), 0), project / "models/phase1", tiny.identity
    )
    with pytest.raises(TrainingError, match="this adapter was never trained"):
        measure("phase1")
    assert not (project / "models/phase1_anchor").exists()


def test_an_earlier_anchor_that_is_missing_is_asked_for_first(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fisher, "diagonal", lambda *_, **__: pytest.fail("a Fisher was measured"))
    with pytest.raises(ArtifactError, match=r"models/phase1_anchor/anchor\.safetensors: missing; run `dvc repro`"):
        measure("phase2", "phase1")


def test_too_little_memory_is_found_early(measure: Measure, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "available", lambda: resources.Memory("RAM", 10**8, 10**8))
    monkeypatch.setattr(start, "model", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(ResourceError, match="fisher_phase1 needs about"):
        measure("phase1")


def test_examples_that_were_left_out_are_named(
    measure: Measure, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, broken = fisher.log_likelihood, example("paper", 2).id

    def sometimes(model: Any, row: Any, pad: int, accelerator: Any) -> torch.Tensor:
        return plain(model, row, pad, accelerator) * (float("nan") if row.example == broken else 1.0)

    monkeypatch.setattr(fisher, "log_likelihood", sometimes)
    metrics = measure("phase1", examples=5, max_nonfinite_share=0.2)
    assert (metrics["examples"], metrics["skipped"], metrics["skipped_examples"]) == (4, 1, [broken])
    with pytest.raises(TrainingError, match=f"not finite for 1 of 5 examples .*: {broken};"):
        measure("phase1", examples=5)
