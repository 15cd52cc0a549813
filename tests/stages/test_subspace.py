"""The stage `subspace` on the tiny backbone: the directions of its weights, of an adapter, and of both together."""

import json
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from breviary import config
from breviary.learn import subspace
from breviary.model import adapt, adapted, compute
from breviary.model.adapters import lora
from tests.projects import configure, enter

SCRIPT = Path(__file__).parents[2] / "stages" / "subspace.py"
SECTIONS = {name: config.SECTIONS[name] for name in ("runtime", "compute", "adapter")}
SECTIONS |= {"subspace": "breviary.learn.protecting"}
PARAMS = """
runtime: {seed: 1, threads: 1}
compute: {precision: fp32, quantisation: none}
adapter: {kind: lora, rank: 4, alpha: 8.0, dropout: 0.0, targets: [q_proj, v_proj, down_proj]}
subspace: {k: 3, of: [update]}
"""
FP32 = compute.Options(precision="fp32", quantisation="none")


@pytest.fixture
def project(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with params, the record of the tiny backbone, and the adapter of a phase."""
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    configure(monkeypatch, PARAMS, SECTIONS)
    Path("models").mkdir()
    shutil.copy(tiny.record, "models/base.json")
    known = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.0, targets=["q_proj", "v_proj", "down_proj"])
    model = adapt.create(tiny.model(), known, 0)
    with torch.no_grad():
        for weight in adapt.trainable(model).values():
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.shape[0]))
    adapt.save(model, Path("models/phase1"), tiny.identity)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def params(old: str, new: str) -> None:
    text = Path("params.yaml").read_text()
    assert old in text
    Path("params.yaml").write_text(text.replace(old, new))


def run(model: str) -> Result:
    return CliRunner().invoke(runpy.run_path(str(SCRIPT))["main"], [model], catch_exceptions=False)


@pytest.mark.usefixtures("project")
def test_the_backbone(tiny: Any) -> None:
    result = run("base")
    assert result.exit_code == 0, result.output
    found = subspace.load("base", None, tiny.identity, FP32)
    weights = dict(tiny.model().named_parameters())
    assert len(found) == 6
    for module, each in found.items():
        weight = weights[f"{module.removeprefix('base_model.model.')}.weight"].double()
        torch.testing.assert_close(each.values.double(), torch.linalg.svdvals(weight)[:3], rtol=1e-6, atol=0)
        torch.testing.assert_close(weight @ each.right.double(), (each.left * each.values).double())
    report = json.loads(Path("metrics/subspace_base.json").read_text())
    assert report["k"] == 3 and report["of"]["base"].keys() == {"q_proj", "v_proj", "down_proj"}
    q = [each for module, each in found.items() if module.endswith("q_proj")]
    assert report["of"]["base"]["q_proj"] == {
        "matrices": 2,
        "energy": pytest.approx((q[0].energy + q[1].energy) / 2, rel=1e-3),
        "largest": pytest.approx(float(q[0].values[0] + q[1].values[0]) / 2, rel=1e-3),
        "kth": pytest.approx(float(q[0].values[2] + q[1].values[2]) / 2, rel=1e-3),
    }
    assert result.output.startswith("3 directions of each of 6 matrices hold ") and result.output.count("\n") == 1
    before = subspace.file("base").read_bytes()
    run("base")
    assert subspace.file("base").read_bytes() == before


@pytest.mark.usefixtures("project")
def test_the_update_of_a_phase_needs_no_backbone(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "load", lambda *_: pytest.fail("the backbone was loaded"))
    result = run("phase1")
    assert result.exit_code == 0, result.output
    updates = adapted.stored(Path("models/phase1"), tiny.identity)
    for module, each in subspace.load("update", "phase1", tiny.identity, FP32).items():
        product = updates[module].scaling * updates[module].b.double() @ updates[module].a.double()
        torch.testing.assert_close(each.values.double(), torch.linalg.svdvals(product)[:3], rtol=1e-6, atol=0)


@pytest.mark.usefixtures("project")
def test_both_of_a_phase(tiny: Any) -> None:
    params("of: [update]", "of: [update, merged]")
    result = run("phase1")
    assert result.exit_code == 0 and "% of merged, " in result.output
    plain = adapt.load(tiny.model(), Path("models/phase1"), tiny.identity, trainable=False).merge_and_unload()
    weights = dict(plain.named_parameters())
    for module, each in subspace.load("merged", "phase1", tiny.identity, FP32).items():
        merged = weights[f"{module.removeprefix('base_model.model.')}.weight"].double()
        torch.testing.assert_close(each.values.double(), torch.linalg.svdvals(merged)[:3], rtol=1e-5, atol=0)
    both = subspace.load("update", "phase1", tiny.identity, FP32)
    params("of: [update, merged]", "of: [update]")
    run("phase1")
    alone = subspace.load("update", "phase1", tiny.identity, FP32)
    assert all(torch.equal(alone[module].left, both[module].left) for module in both)


@pytest.mark.parametrize(
    ("model", "k", "said"),
    [
        (
            "base",
            28,
            "subspace@base: subspace.k=28 leaves base_model.model.model.layers.0.self_attn.v_proj (32 x 64) no ",
        ),
        (
            "phase1",
            5,
            "subspace@phase1: subspace.k=5 exceeds the rank 4 of base_model.model.model.layers.0.mlp.down_proj",
        ),
    ],
)
@pytest.mark.usefixtures("project")
def test_more_directions_than_there_is_room_for(model: str, k: int, said: str) -> None:
    params("k: 3", f"k: {k}")
    result = run(model)
    assert result.exit_code == 2 and said in result.stderr
    assert not subspace.file(model).exists()


@pytest.mark.usefixtures("project")
def test_an_adapter_that_was_never_trained_is_refused(tiny: Any) -> None:
    adapt.save(tiny.adapted(), Path("models/phase1"), tiny.identity)
    result = run("phase1")
    assert result.exit_code == 2
    assert "subspace.k=3: update of phase1: base_model.model.model.layers.0.mlp.down_proj has fewer" in result.stderr
    assert "lower subspace.k; an adapter that was never trained has none at all" in result.stderr
