"""Directions are those of a full float64 SVD, whatever the spectrum; files say which weights they belong to."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from breviary.errors import ArtifactError, ConfigError
from breviary.learn import subspace
from breviary.learn.subspace import Directions
from breviary.model import compute

FP32 = compute.Options(precision="fp32", quantisation="none")


def spectrum(out: int, into: int, values: torch.Tensor, seed: int) -> torch.Tensor:
    """A matrix with these singular values, in random directions."""
    draw = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(out, len(values), generator=draw, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(into, len(values), generator=draw, dtype=torch.float64))
    return left * values @ right.T


def sine(found: torch.Tensor, true: torch.Tensor) -> float:
    """Of the largest principal angle between two spaces."""
    orthonormal, _ = torch.linalg.qr(found.double())
    return float(torch.linalg.matrix_norm(orthonormal - true @ (true.T @ orthonormal), 2))


def assert_triples(found: Directions, dense: torch.Tensor, atol: float = 1e-6) -> None:
    """What makes singular triples: orthonormal sides, and W v = s u, u' W = s v'."""
    dense, left, right = dense.double(), found.left.double(), found.right.double()
    values = found.values.double()
    same, scale = torch.eye(len(values), dtype=torch.float64), max(1e-12, float(values[0]))
    for gram in (left.T @ left, right.T @ right):
        torch.testing.assert_close(gram, same, rtol=0, atol=atol)
    torch.testing.assert_close(dense @ right / scale, left * values / scale, rtol=0, atol=atol)
    torch.testing.assert_close(dense.T @ left / scale, right * values / scale, rtol=0, atol=atol)
    assert (values >= 0).all() and (values.diff() <= 0).all()


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    out=st.integers(2, 70),
    into=st.integers(2, 70),
    share=st.floats(0, 1),
    decay=st.floats(0.0, 2.0),
    seed=st.integers(0, 2**16),
)
def test_directions_are_those_of_the_full_svd(out: int, into: int, share: float, decay: float, seed: int) -> None:
    """Wide, tall and square; spectra from flat (all values equal) to steep. i^-0.3 is how language models decay."""
    full = min(out, into)
    k = 1 + int(share * (full - 1))
    dense = spectrum(out, into, torch.arange(1, full + 1, dtype=torch.float64) ** -decay, seed)
    found = subspace.top_directions(dense.float(), k)
    left, values, right = torch.linalg.svd(dense.float().double(), full_matrices=False)
    assert_triples(found, dense.float())
    torch.testing.assert_close(found.values.double(), values[:k], rtol=1e-6, atol=1e-7)
    assert found.energy == pytest.approx(float(values[:k].square().sum() / values.square().sum()), rel=0, abs=6e-7)
    assert found.energy == round(found.energy, 6)  # the last bits differ with the number of threads
    gap = float(values[k - 1] - values[k]) if k < full else 1.0
    if gap > 1e-4:  # else the space of the first k is not defined
        assert sine(found.left, left[:, :k]) < 1e-6 and sine(found.right, right.T[:, :k]) < 1e-6


@pytest.mark.slow
def test_slow_decay_is_where_a_randomised_svd_is_wrong() -> None:
    dense = spectrum(300, 200, torch.arange(1, 201, dtype=torch.float64) ** -0.3, 0).float()
    true, _, _ = torch.linalg.svd(dense.double(), full_matrices=False)
    torch.manual_seed(0)
    randomised, _, _ = torch.svd_lowrank(dense, q=16, niter=2)
    assert sine(randomised, true[:, :16]) > 0.5
    assert sine(subspace.top_directions(dense, 16).left, true[:, :16]) < 1e-6


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (15, 15)])
def test_equal_and_absent_singular_values(shape: tuple[int, int]) -> None:
    """Both sides stay orthonormal where there is nothing to divide by; who asks for a whole rank is told."""
    dense = spectrum(*shape, torch.tensor([3.0, 3.0, 3.0, 1.0], dtype=torch.float64), 0)
    found = subspace.top_directions(dense, 6)
    assert_triples(found, dense)
    assert found.energy == pytest.approx(1.0) and found.energy <= 1
    assert subspace.deficient(found) and not subspace.deficient(subspace.top_directions(dense, 4))
    nothing = subspace.top_directions(torch.zeros(shape), 2)
    assert subspace.deficient(nothing) and nothing.energy == 0


@settings(max_examples=40, deadline=None)
@given(
    out=st.integers(1, 60),
    into=st.integers(1, 60),
    rank=st.integers(1, 12),
    share=st.floats(0, 1),
    scaling=st.floats(0.1, 8),
    seed=st.integers(0, 2**16),
)
def test_directions_of_an_update_are_those_of_its_product(
    out: int, into: int, rank: int, share: float, scaling: float, seed: int
) -> None:
    rank = min(rank, out, into)
    k = 1 + int(share * (rank - 1))
    draw = torch.Generator().manual_seed(seed)
    a, b = torch.randn(rank, into, generator=draw), torch.randn(out, rank, generator=draw)
    found = subspace.of_update(a, b, scaling, k)
    product = scaling * b.double() @ a.double()
    left, values, right = torch.linalg.svd(product, full_matrices=False)
    assert_triples(found, product)
    torch.testing.assert_close(found.values.double(), values[:k], rtol=1e-6, atol=1e-7)
    assert found.energy == pytest.approx(float(values[:k].square().sum() / values.square().sum()), rel=0, abs=6e-7)
    if k == rank or values[k - 1] - values[k] > 1e-3 * values[0]:
        assert sine(found.left, left[:, :k]) < 1e-5 and sine(found.right, right.T[:, :k]) < 1e-5


def test_an_update_that_was_never_trained_has_no_directions() -> None:
    assert subspace.deficient(subspace.of_update(torch.randn(4, 20), torch.zeros(30, 4), 2.0, 2))


def test_more_directions_than_there_are() -> None:
    with pytest.raises(ConfigError, match=r"k=6 directions of a matrix of \(5, 9\); 1 to 5 exist"):
        subspace.top_directions(torch.randn(5, 9), 6)
    with pytest.raises(ConfigError, match=r"k=5 directions of an update of rank 4; 1 to 4 exist"):
        subspace.of_update(torch.randn(4, 20), torch.randn(30, 4), 2.0, 5)


def test_an_update_must_have_room_beside_the_directions() -> None:
    sizes = {"k_proj": (48, 64, 32), "q_proj": (64, 64, 32), "v_proj": (49, 64, 32)}
    with pytest.raises(ConfigError) as refused:
        subspace.require_room(16, sizes, "subspace.k")
    assert str(refused.value).splitlines() == [
        "subspace.k=16 leaves k_proj (48 x 64) no room for an update of rank 32: at most 15",
        "lower k or adapter.rank, or take these layers out of adapter.targets",
    ]
    subspace.require_room(16, {"v_proj": (49, 64, 32)}, "subspace.k")


SIZES = {"layers.0.q": (12, 8, 3), "layers.1.q": (7, 9, 3)}


def drawn(k: int = 5) -> dict[str, Directions]:
    draw = torch.Generator().manual_seed(0)
    return {
        module: subspace.top_directions(torch.randn(out, into, generator=draw), k)
        for module, (out, into, _) in SIZES.items()
    }


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Directions]:
    monkeypatch.chdir(tmp_path)
    made = drawn()
    subspace.save(subspace.file("base"), {"base": made}, "abc", FP32)
    subspace.save(subspace.file("phase1"), {"update": made}, "abc", FP32)
    return made


def same(one: Directions, other: Directions) -> bool:
    return one.energy == other.energy and all(
        torch.equal(getattr(one, part), getattr(other, part)) for part in subspace.PARTS
    )


@pytest.mark.parametrize(("of", "previous"), [("base", None), ("base", "phase1"), ("update", "phase1")])
def test_what_was_saved_is_loaded(of: str, previous: str | None, saved: dict[str, Directions]) -> None:
    found = subspace.load(of, previous, "abc", FP32)
    assert found.keys() == saved.keys() and all(same(found[module], saved[module]) for module in saved)
    assert {tensor.dtype for each in found.values() for tensor in (each.left, each.values, each.right)} == {
        torch.float32
    }


def test_the_file_has_the_same_bytes_each_time(saved: dict[str, Directions]) -> None:
    backwards = dict(sorted(drawn().items(), reverse=True))
    before = subspace.file("base").read_bytes()
    subspace.save(subspace.file("base"), {"base": backwards}, "abc", FP32)
    assert subspace.file("base").read_bytes() == before
    with safe_open(subspace.file("base"), "pt") as opened:
        assert list(opened.metadata()) == [subspace.HEADER]  # two keys would be written in an order of their own
        assert json.loads(opened.metadata()[subspace.HEADER]).keys() == {
            *("energy", "weights", "quantisation", "precision")
        }
    assert sorted(path.name for path in subspace.file("base").parent.iterdir()) == [
        *("base.safetensors", "phase1.safetensors")
    ]


def test_the_first_directions_of_many_are_the_directions_of_few() -> None:
    few, many = drawn(2), subspace.first(drawn(5), 2, SIZES, "base")
    for module in SIZES:
        assert torch.equal(many[module].values, few[module].values)
        assert sine(many[module].left, few[module].left.double()) < 1e-6
        assert many[module].energy == pytest.approx(few[module].energy, rel=0, abs=1.2e-6)  # two that were rounded


@pytest.mark.parametrize(
    ("identity", "precision", "quantisation", "said"),
    [
        ("other", "fp32", "none", "weights abc, not other; run"),
        ("abc", "fp32", "nf4", "quantisation none, not nf4; run"),
        ("abc", "bf16", "none", "precision fp32, not bf16; run"),
        ("other", "fp32", "int8", "weights abc, not other; quantisation none, not int8; run"),
    ],
)
@pytest.mark.usefixtures("saved")
def test_directions_of_other_weights_are_refused(identity: str, precision: str, quantisation: str, said: str) -> None:
    arithmetic = compute.Options.model_validate({"precision": precision, "quantisation": quantisation})
    with pytest.raises(ArtifactError, match=rf"models/subspace/base\.safetensors: made of {said} `dvc repro`, which"):
        subspace.load("base", None, identity, arithmetic)


@pytest.mark.usefixtures("saved")
def test_directions_that_nobody_asked_for_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"phase1\.safetensors holds directions of update, not of 'merged'; add it to"
    ):
        subspace.load("merged", "phase1", "abc", FP32)
    with pytest.raises(ConfigError, match=r"of: 'update' needs an earlier phase, and there is none"):
        subspace.load("update", None, "abc", FP32)
    with pytest.raises(ArtifactError, match=r"models/subspace/phase2\.safetensors: missing; run `dvc repro`"):
        subspace.load("update", "phase2", "abc", FP32)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("kept", [0, 9, 300])
def test_a_damaged_file_is_refused(kept: int) -> None:
    path = subspace.file("base")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"base\.safetensors: damaged .*; delete it and run `dvc repro`"):
        subspace.load("base", None, "abc", FP32)


@pytest.mark.usefixtures("saved")
def test_a_file_of_something_else_is_refused() -> None:
    save_file({"x": torch.zeros(2)}, subspace.file("base"))
    with pytest.raises(ArtifactError, match=r"base\.safetensors: damaged"):
        subspace.load("base", None, "abc", FP32)


@pytest.mark.parametrize("part", subspace.PARTS)
def test_directions_that_are_not_finite_are_refused(part: str, saved: dict[str, Directions]) -> None:
    getattr(saved["layers.1.q"], part).view(-1)[3] = float("nan")
    subspace.save(subspace.file("base"), {"base": saved}, "abc", FP32)
    with pytest.raises(ArtifactError, match=r"base\.safetensors: not finite in layers\.1\.q; delete it"):
        subspace.load("base", None, "abc", FP32)


def test_directions_that_do_not_fit_the_adapter_are_refused_all_at_once() -> None:
    sizes = {"layers.0.q": (12, 9, 3), "layers.2.q": (7, 9, 3), "layers.3.q": (7, 9, 3)}
    stored = drawn() | {"layers.3.q": subspace.top_directions(torch.randn(7, 9), 2)}
    with pytest.raises(ArtifactError) as refused:
        subspace.first(stored, 3, sizes, "update")
    assert str(refused.value).splitlines() == [
        "subspace of 'update': layers.2.q: no directions",
        "subspace of 'update': layers.1.q: directions of a layer without update",
        "subspace of 'update': layers.0.q: directions of a matrix of (12, 8), not of (12, 9)",
        "subspace of 'update': layers.3.q: 2 directions stored, k=3 asked for",
        "set subspace.k to k or more, then run `dvc repro`, which makes it again",
    ]


def test_a_16_bit_copy_would_leak() -> None:
    """Why directions are stored in fp32."""
    draw = torch.Generator().manual_seed(0)
    found: Any = subspace.top_directions(torch.randn(512, 64, generator=draw), 16)
    leaks = {}
    for dtype in (torch.float32, torch.bfloat16):
        left = found.left.to(dtype).double()
        product = torch.randn(512, 8, generator=draw, dtype=torch.float64)
        product -= left @ (left.T @ product)
        leaks[dtype] = float(torch.linalg.matrix_norm(found.left.double().T @ product) / product.norm())
    assert leaks[torch.float32] < 1e-6 and leaks[torch.bfloat16] > 1e-4
