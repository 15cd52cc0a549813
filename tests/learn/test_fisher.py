"""The Fisher is that of logistic regression where that is known, and of single examples everywhere else."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from breviary.data import batches
from breviary.data.batches import Row
from breviary.learn import fisher
from breviary.learn.forward import forward
from breviary.model import adapt, compute
from breviary.model.adapters import lora
from tests.learn.fishers import PAD, Rows, assert_close, measure, trained


def test_logistic_regression_has_its_known_fisher() -> None:
    """log p(y | x) = log sigmoid(+-(w x + b)), whose gradient is (y - p) (x, 1)."""
    draw = torch.Generator().manual_seed(3)
    features = torch.randn(50, 4, generator=draw, dtype=torch.float64)
    labels = torch.randint(2, (50,), generator=draw).double()
    weight, bias = torch.randn(4, generator=draw, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    weights = {"w": weight.requires_grad_(), "b": bias.requires_grad_()}

    def log_likelihood(index: int) -> Tensor:
        return nn.functional.logsigmoid((2 * labels[index] - 1) * (features[index] @ weight + bias))

    sums, lost = fisher.sum_of_squares(log_likelihood, range(50), weights)
    residual = (labels - torch.sigmoid(features @ weight + bias)).detach()
    assert not lost and {total.dtype for total in sums.values()} == {torch.float64}
    torch.testing.assert_close(sums["w"], (residual[:, None] * features).square().sum(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(sums["b"], residual.square().sum(), rtol=1e-12, atol=0)


@pytest.mark.slow
def test_it_is_that_of_gradients_for_each_example(tiny: Any, accelerator: Any) -> None:
    """Against torch.func: the gradients of all examples at once, by vmap, through the libraries' own forward."""
    draw = torch.Generator().manual_seed(5)
    ids = torch.randint(256, (6, 20), generator=draw)
    model, theirs = (trained(tiny.adapted(double=True, fused=fused)) for fused in (True, False))
    theirs.base_model.model.set_attn_implementation("eager")
    rows = [Row(f"e{index}", row[:12].tolist(), row[12:].tolist()) for index, row in enumerate(ids)]
    weights = {name: weight.detach() for name, weight in adapt.trainable(model).items()}
    mask = torch.full((20, 20), float("-inf"), dtype=torch.float64).triu(1)[None, None]

    def log_likelihood(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        inputs = {"input_ids": one[None], "attention_mask": mask, "use_cache": False}
        logits = torch.func.functional_call(theirs, weights, kwargs=inputs).logits
        return -nn.functional.cross_entropy(logits[0, 11:-1], one[12:], reduction="sum")

    gradients = torch.func.vmap(torch.func.grad(log_likelihood), (None, 0))(weights, ids)
    found = measure(model, rows, accelerator)
    assert_close(found.diagonal, {name: each.square().mean(0) for name, each in gradients.items()}, 1e-6)
    assert found.examples == 6 and found.skipped == ()


def test_the_order_of_examples_changes_nothing_and_each_counts_once(
    tiny: Any, accelerator: Any, make_rows: Rows
) -> None:
    model, rows = trained(tiny.adapted(double=True)), make_rows(7, seed=1)
    whole = measure(model, rows, accelerator)
    assert_close(measure(model, rows[::-1], accelerator).diagonal, whole.diagonal, 1e-12)
    assert_close(measure(model, rows * 2, accelerator).diagonal, whole.diagonal, 1e-12)
    alone = [measure(model, [row], accelerator).diagonal for row in rows]
    assert_close({name: sum(each[name] for each in alone) / 7 for name in alone[0]}, whole.diagonal, 1e-12)


def test_it_is_not_the_square_of_a_batch_gradient(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    """The fault of Avalanche and of the system that this project follows: there it depends on the batch size."""
    model, rows = trained(tiny.adapted(double=True)), make_rows(8, seed=2)
    weights = adapt.trainable(model)
    truth = float(sum(each.sum() for each in measure(model, rows, accelerator).diagonal.values()))
    found = []
    for size in (1, 2, 4, 8):
        summed = 0.0
        for start in range(0, 8, size):
            step = forward(model, batches.collate(rows[start : start + size], PAD))
            loss = nn.functional.cross_entropy(step.logits, step.targets, reduction="sum") / size
            gradients = torch.autograd.grad(loss, list(weights.values()))
            summed += float(sum(gradient.square().sum() for gradient in gradients)) * size / 8
        found.append(summed)
    assert found[0] == pytest.approx(truth, rel=1e-10)
    assert found[1] < 0.9 * truth and found[2] < 0.7 * truth and found[3] < 0.5 * truth


def test_the_likelihood_is_summed_over_the_target(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    """With a mean each example would count by one over the square of its length."""
    model = trained(tiny.adapted(double=True))
    rows = [row for row in make_rows(20, seed=3) if len(row.target) > 4]
    weights = adapt.trainable(model)
    for row in rows[:3]:
        step = forward(model, batches.collate([row], PAD))
        mean = nn.functional.cross_entropy(step.logits, step.targets)
        gradients = torch.autograd.grad(mean, list(weights.values()))
        squared = dict(zip(weights, (len(row.target) ** 2 * each.square() for each in gradients), strict=True))
        assert_close(measure(model, [row], accelerator).diagonal, squared, 1e-6)  # norms are computed in fp32


def test_gradient_checkpointing_is_on_and_changes_nothing(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    plain, thrifty, rows = trained(tiny.adapted()), trained(tiny.adapted()), make_rows(4)
    thrifty.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    thrifty.enable_input_require_grads()
    calls = {True: 0, False: 0}
    for model in (plain, thrifty):
        layer = model.base_model.model.model.layers[0].self_attn
        layer.register_forward_hook(lambda *_, which=model is thrifty: calls.update({which: calls[which] + 1}))
    assert_close(measure(thrifty, rows, accelerator).diagonal, measure(plain, rows, accelerator).diagonal, 1e-6)
    assert calls == {True: 8, False: 4}  # each example's forward pass runs again in its backward pass


def test_dropout_is_off_and_comes_back(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    """That of the adapter, and that of attention, which is a number and not a module."""
    noisy, quiet, rows = trained(tiny.adapted(dropout=0.5)), trained(tiny.adapted()), make_rows(4)
    attention = [module for module in noisy.modules() if hasattr(module, "attention_dropout")]
    assert attention
    for module in attention:
        module.attention_dropout = 0.5
    noisy.base_model.model.model.norm.eval()  # a mode that was chosen by hand
    modes = {name: module.training for name, module in noisy.named_modules()}
    assert_close(measure(noisy, rows, accelerator).diagonal, measure(quiet, rows, accelerator).diagonal, 0)
    assert {name: module.training for name, module in noisy.named_modules()} == modes
    assert {module.attention_dropout for module in attention} == {0.5}
    with pytest.raises(RuntimeError, match="midway"), fisher.without_dropout(noisy):
        assert noisy.training
        raise RuntimeError("midway")
    assert {name: module.training for name, module in noisy.named_modules()} == modes


def test_gradients_are_left_alone(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    model = trained(tiny.adapted())
    weights = adapt.trainable(model)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    name = next(iter(weights))
    weights[name].grad = torch.ones_like(weights[name])
    found = measure(model, make_rows(3), accelerator)
    assert all(each.grad is None for other, each in weights.items() if other != name)
    assert bool((weights[name].grad == 1).all())
    assert all(torch.equal(weights[each], before[each]) for each in before)
    assert not any(each.requires_grad for each in found.diagonal.values())
    assert {each.dtype for each in found.diagonal.values()} == {torch.float32}


def test_a_sum_of_small_squares_does_not_underflow() -> None:
    weight = torch.zeros(3, dtype=torch.bfloat16, requires_grad=True)
    sums, _ = fisher.sum_of_squares(lambda size: (weight.float() * size).sum(), [1e-6] * 1000, {"w": weight})
    torch.testing.assert_close(sums["w"], torch.full((3,), 1e-9), rtol=0.01, atol=0)


def test_normalised_its_mean_is_one() -> None:
    found, factor = fisher.normalise({"a": torch.tensor([[1e-9, 3e-9]]), "b": torch.tensor([8e-9])})
    assert factor == pytest.approx(4e-9)
    torch.testing.assert_close(found["a"], torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(found["b"], torch.tensor([2.0]))


@pytest.fixture
def reset() -> Iterator[None]:
    """Forget accelerate's state, which is kept in a class, after a test that chose a precision of its own."""
    from accelerate.state import AcceleratorState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_a_quantised_backbone_is_measured(
    quantisation: str, precision: str, tiny: Any, make_rows: Rows, reset: None
) -> None:
    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if precision == "bf16" else "no")
    options = compute.Options.model_validate({"precision": precision, "quantisation": quantisation})
    target = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.0, targets=["q_proj", "v_proj", "down_proj"])
    found = {}
    for kind, chosen in (("quantised", options), ("plain", compute.Options(precision="fp32", quantisation="none"))):
        model = trained(adapt.create(compute.load(tiny.folder, chosen), target, 0).train())
        weights = adapt.trainable(model)
        diagonal = fisher.diagonal(model, make_rows(3), weights, pad=PAD, accelerator=accelerator).diagonal
        assert all(bool(each.isfinite().all()) and bool(each.any()) for each in diagonal.values())
        assert {each.dtype for each in diagonal.values()} == {torch.float32}
        found[kind] = torch.cat([each.flatten() for each in diagonal.values()])
    assert float(torch.corrcoef(torch.stack(list(found.values())))[0, 1]) > 0.9
