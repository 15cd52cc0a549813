"""An anchor comes back as it was written, belongs to one adapter, and two of them add up."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from breviary.errors import ArtifactError, ConfigError
from breviary.learn import anchors
from breviary.learn.anchors import Anchor

LAYER = "base_model.model.model.layers.{}.{}.{}.default.weight"
NAMES = [
    LAYER.format(number, layer, matrix)
    for number in (0, 1)
    for layer in ("self_attn.q_proj", "mlp.down_proj")
    for matrix in ("lora_A", "lora_B")
]


def weights(seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.randn(2, 3, generator=draw) for name in NAMES}


def anchor(seed: int = 0) -> Anchor:
    return Anchor(weights(seed), {name: each.square() for name, each in weights(seed + 100).items()})


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = anchor()
    anchors.save(written, tmp_path / "a", {"examples": 3})
    read = anchors.load(tmp_path / "a", weights(9))
    for left, right in ((written.weights, read.weights), (written.fisher, read.fisher)):
        assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_the_same_anchor_has_the_same_bytes(tmp_path: Path) -> None:
    one = anchor()
    turned = Anchor(
        {name: one.weights[name].double().T.contiguous().T.requires_grad_() for name in reversed(NAMES)},
        {name: one.fisher[name] for name in reversed(NAMES)},
    )
    for folder, each in (("a", one), ("b", turned)):
        anchors.save(each, tmp_path / folder, {"examples": 3})
    for file in (anchors.TENSORS, anchors.SUMMARY):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        assert (tmp_path / "a" / file).stat().st_mode & 0o777 == 0o644
    assert {each.dtype for each in load_file(tmp_path / "b" / anchors.TENSORS).values()} == {torch.float32}


def test_the_summary_says_how_large_the_fisher_is_and_where(tmp_path: Path) -> None:
    fisher = {name: torch.full((2, 3), 2.0 if "lora_B" in name else 0.0) for name in NAMES}
    fisher[NAMES[1]] = torch.tensor([[8.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # q_proj.lora_B of layer 0
    said = anchors.save(Anchor(weights(), fisher), tmp_path / "a", {"examples": 3, "merge": "none"})
    assert said == json.loads((tmp_path / "a" / anchors.SUMMARY).read_text())
    assert said["examples"] == 3 and said["merge"] == "none"
    assert said["matrices"] == {
        "lora_A": {"mean": 0.0, "max": 0.0, "nonzero": 0.0},
        "lora_B": {"mean": pytest.approx(44 / 24, rel=1e-5), "max": 8.0, "nonzero": pytest.approx(19 / 24, rel=1e-5)},
    }
    assert set(said["layers"]) == {"q_proj", "down_proj"}
    assert said["layers"]["q_proj"]["mean"] == pytest.approx(20 / 24, rel=1e-5)
    assert said["all"] == {
        "mean": pytest.approx(44 / 48, rel=1e-5),
        "max": 8.0,
        "nonzero": pytest.approx(19 / 48, 1e-5),
    }


def test_a_missing_anchor_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"phase1_anchor/anchor\.safetensors: missing; run `dvc repro`"):
        anchors.load(tmp_path / "phase1_anchor", weights())


def test_a_damaged_anchor_is_refused(tmp_path: Path) -> None:
    anchors.save(anchor(), tmp_path / "a", {})
    file = tmp_path / "a" / anchors.TENSORS
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(
        ArtifactError, match=r"anchor\.safetensors: damaged .*delete the folder and run the fisher stage"
    ):
        anchors.load(tmp_path / "a", weights())


def test_the_anchor_of_another_adapter_is_refused_with_all_that_differs(tmp_path: Path) -> None:
    anchors.save(anchor(), tmp_path / "a", {})
    other = weights()
    other["extra.lora_A.default.weight"] = other.pop(NAMES[0])
    other[NAMES[1]] = torch.zeros(4, 3)
    with pytest.raises(ArtifactError) as refused:
        anchors.load(tmp_path / "a", other)
    said = str(refused.value).splitlines()
    assert said[0].endswith(f"a: does not belong to this adapter, which has {', '.join(sorted(other)[:3])}, ...")
    assert said[1:-1] == [
        line
        for part in ("Fisher", "weights")
        for line in (
            f"{part}: 1 missing: extra.lora_A.default.weight",
            f"{part}: 1 of no such weight: {NAMES[0]}",
            f"{part}: 1 of another shape: {NAMES[1]} [2, 3] for [4, 3]",
        )
    ]
    assert "run `dvc repro`" in said[-1] and "set `adapter` in params.yaml back" in said[-1]


def test_an_anchor_without_its_weights_is_refused(tmp_path: Path) -> None:
    anchors.save(anchor(), tmp_path / "a", {})
    tensors = load_file(tmp_path / "a" / anchors.TENSORS)
    save_file(
        {key: each for key, each in tensors.items() if key.startswith("fisher/")}, tmp_path / "a" / anchors.TENSORS
    )
    with pytest.raises(ArtifactError, match=r"weights: 8 missing: base_model\S+, base_model\S+, base_model\S+, \.\.\."):
        anchors.load(tmp_path / "a", weights())


def negative(values: Tensor) -> Tensor:
    return values - 100


def infinite(values: Tensor) -> Tensor:
    return values / 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (negative, r"the Fisher of base_model\S+ is negative, .*, \.\.\.; delete the folder"),
        (infinite, r"base_model\S+ is not finite, .*, \.\.\.; delete the folder"),
        (torch.zeros_like, "the Fisher of all 8 weights is zero; delete the folder"),
    ],
)
def test_what_is_no_fisher_is_refused(change: Callable[[Tensor], Tensor], message: str, tmp_path: Path) -> None:
    one = anchor()
    anchors.save(Anchor(one.weights, anchor().fisher), tmp_path / "a", {})
    tensors = load_file(tmp_path / "a" / anchors.TENSORS)
    changed = {key: change(each) if key.startswith("fisher/") else each for key, each in tensors.items()}
    save_file(changed, tmp_path / "a" / anchors.TENSORS)
    with pytest.raises(ArtifactError, match=message):
        anchors.load(tmp_path / "a", weights())


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    one = anchor()
    one.weights[NAMES[2]][0, 0] = float("nan")  # type: ignore[index]
    anchors.save(one, tmp_path / "a", {})
    with pytest.raises(ArtifactError, match=r"layers\.0\.mlp\.down_proj\.lora_A\.default\.weight is not finite"):
        anchors.load(tmp_path / "a", weights())


def test_the_first_phase_has_no_anchor_to_start_from() -> None:
    assert anchors.folder("phase1") == Path("models/phase1_anchor")
    with pytest.raises(ConfigError, match=r"ewc has no anchor: no phase comes before this one.*drop `ewc`"):
        anchors.folder(None)


def energy(anchor: Anchor, at: dict[str, Tensor]) -> float:
    return sum(float((anchor.fisher[name] * (at[name] - anchor.weights[name]).square()).sum()) for name in at)


numbers = st.floats(-5, 5).map(lambda value: round(value, 3))
sizes = st.one_of(st.just(0.0), st.floats(0.001, 50))


@given(st.data())
def test_a_sum_is_both_quadratics_up_to_a_constant(data: Any) -> None:
    """At any two points the sum differs by as much as the two together do."""

    def tensor(values: Any) -> dict[str, Tensor]:
        return {"w": torch.tensor(data.draw(st.lists(values, min_size=4, max_size=4)), dtype=torch.float64)}

    old, new = Anchor(tensor(numbers), tensor(sizes)), Anchor(tensor(numbers), tensor(sizes))
    merged = anchors.merge(old, new, "sum", 0.9)
    here, there = tensor(numbers), tensor(numbers)
    apart = [energy(each, here) - energy(each, there) for each in (merged, old, new)]
    assert apart[0] == pytest.approx(apart[1] + apart[2], rel=1e-9, abs=1e-7)


def test_where_neither_phase_cares_the_newer_weight_is_kept() -> None:
    old = Anchor({"w": torch.tensor([1.0, 1.0, 1.0, 1.0])}, {"w": torch.tensor([0.0, 0.0, 3.0, 1e-38])})
    new = Anchor({"w": torch.tensor([5.0, 5.0, 5.0, 5.0])}, {"w": torch.tensor([0.0, 2.0, 0.0, 1e-38])})
    merged = anchors.merge(old, new, "sum", 0.9)
    assert merged.weights["w"].tolist() == [5.0, 5.0, 1.0, 3.0]
    torch.testing.assert_close(merged.fisher["w"], torch.tensor([0.0, 2.0, 3.0, 2e-38]))


def test_online_the_older_fisher_decays_and_the_newer_weights_hold() -> None:
    old, new = anchor(1), anchor(2)
    merged = anchors.merge(old, new, "online", 0.25)
    for name in NAMES:
        assert torch.equal(merged.weights[name], new.weights[name])
        torch.testing.assert_close(merged.fisher[name], 0.25 * old.fisher[name] + new.fisher[name])


def test_without_merging_the_newer_stands_alone() -> None:
    new = anchor(2)
    assert anchors.merge(anchor(1), new, "none", 0.9) is new


def test_anchors_of_two_adapters_do_not_merge() -> None:
    other = Anchor({"w": torch.zeros(1)}, {"w": torch.ones(1)})
    with pytest.raises(
        ArtifactError, match="the earlier anchor: does not belong to this adapter, which has base_model"
    ):
        anchors.merge(other, anchor(), "sum", 0.9)
