"""One step is the same however it is cut up, and is the step that plain torch takes."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch

from breviary.data import batches
from breviary.data.batches import IGNORED, Batch, Row
from breviary.errors import TrainingError
from breviary.learn import loop
from breviary.learn.constrained import Constraint
from breviary.learn.forward import Step, forward
from breviary.learn.terms import cross_entropy
from breviary.model import adapt, optimizer

PAD = 258
CE = {"cross_entropy": (1.0, cross_entropy.term)}
Rows = Callable[..., list[Row]]


def flat(step: int) -> float:
    return 1.0


def adam(model: Any, lr: float = 1e-2, ratio: float = 4.0) -> torch.optim.Optimizer:
    groups = optimizer.groups(adapt.trainable(model), lr=lr, ratio=ratio, weight_decay=0.01)
    return optimizer.create("adamw", groups, (0.9, 0.999))


def train(model: Any, steps: Sequence[Sequence[Batch]], accelerator: Any, **more: Any) -> list[loop.Measured]:
    known = {"terms": CE, "schedule": flat, "max_grad_norm": 1.0, "optimizer": adam(model)} | more
    return list(loop.train(model, steps=steps, accelerator=accelerator, **known))


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in adapt.trainable(model).items()}


def constraint(**changes: Any) -> Constraint:
    """One that does nothing but what `changes` say."""
    idle = {"start": lambda: False, "gradient": lambda: None, "retract": lambda: None, "project": dict, "report": dict}
    return Constraint(**idle | changes)


def distance(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    return max(float((left[name] - right[name]).abs().max()) for name in left)


def reference(model: Any, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of rows padded on the right over all their targets: transformers' own, in fp32, and written out."""
    width = max(len(row.prompt) + len(row.target) for row in rows)
    ids, labels = torch.full((len(rows), width), PAD), torch.full((len(rows), width), IGNORED)
    for index, row in enumerate(rows):
        text = torch.tensor(row.prompt + row.target)
        ids[index, : len(text)] = text
        labels[index, len(row.prompt) : len(text)] = torch.tensor(row.target)
    mask = (torch.arange(width) < torch.tensor([[len(row.prompt) + len(row.target)] for row in rows])).long()
    output = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False)
    return output.loss, torch.nn.functional.cross_entropy(output.logits[:, :-1].transpose(1, 2), labels[:, 1:])


def test_the_loss_of_each_row_is_that_of_transformers(tiny: Any, make_rows: Rows) -> None:
    """An unshifted or misaligned logit fails here."""
    model, rows = tiny.model().double().requires_grad_(False), make_rows(7)
    for chosen in [*([row] for row in rows), rows]:
        step = forward(model, batches.collate(chosen, PAD))
        theirs, plain = reference(model, chosen)
        ours = torch.nn.functional.cross_entropy(step.logits, step.targets)
        torch.testing.assert_close(ours, plain, rtol=1e-12, atol=0)
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=1e-6, atol=0)
    unshifted = forward(model, batches.collate([Row("x", rows[0].prompt[:-1], rows[0].target)], PAD))
    wrong = torch.nn.functional.cross_entropy(unshifted.logits, unshifted.targets)
    assert abs(float(wrong) - float(reference(model, rows[:1])[1])) > 1e-3  # so that the tolerance means something


def test_padding_changes_no_logit(tiny: Any, make_rows: Rows) -> None:
    model, rows = tiny.model().double(), make_rows(6, seed=1)
    together = forward(model, batches.collate(rows, PAD)).logits
    alone = torch.cat([forward(model, batches.collate([row], PAD)).logits for row in rows])
    assert together.dtype == torch.float64
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_logits_are_fp32_at_least(tiny: Any, make_rows: Rows) -> None:
    model = tiny.model().to(torch.bfloat16)
    assert forward(model, batches.collate(make_rows(2), PAD)).logits.dtype == torch.float32


def test_the_head_runs_on_labels_alone(tiny: Any, make_rows: Rows) -> None:
    model, seen = tiny.model(), []
    model.lm_head.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    batch = batches.collate(make_rows(5), PAD)
    assert batch.target_tokens < batch.targets.numel()  # rows have labels of unlike number
    forward(model, batch)
    assert seen == [(batch.target_tokens, model.config.vocab_size)]


def test_accumulation_does_not_change_the_step(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    rows = make_rows(8, seed=2)
    assert len({len(row.target) for row in rows}) > 3  # uneven, or a mean of means would pass
    taken, norms, losses = [], [], []
    for size in (8, 4, 2, 3):
        model = tiny.adapted(double=True)
        (done,) = train(model, [list(batches.micro_batches(rows, size, PAD))], accelerator)
        taken.append(weights(model))
        norms.append(done.grad_norm)
        losses.append(done.terms["cross_entropy"])
    assert distance(weights(tiny.adapted(double=True)), taken[0]) > 1e-4
    assert all(distance(taken[0], other) < 1e-10 for other in taken[1:])
    assert norms == pytest.approx([norms[0]] * 4, rel=1e-10)
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-6)


def test_the_steps_are_those_of_plain_torch(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    plan = batches.steps(make_rows(9, seed=3), epochs=1, batch=4, seed=0)
    share = optimizer.schedule("cosine", len(plan), 0.3)
    ours, theirs = tiny.adapted(double=True), tiny.adapted(double=True)
    steps = [list(batches.micro_batches(rows, 2, PAD)) for rows in plan]
    done = train(ours, steps, accelerator, schedule=share, max_grad_norm=0.05)

    named = adapt.trainable(theirs)
    b = [weight for name, weight in named.items() if "lora_B" in name]
    a = [weight for name, weight in named.items() if "lora_A" in name]
    plain = torch.optim.AdamW([{"params": a, "lr": 1e-2}, {"params": b, "lr": 4e-2}], weight_decay=0.01)
    peaks = [group["lr"] for group in plain.param_groups]
    for number, rows in enumerate(plan):
        for group, peak in zip(plain.param_groups, peaks, strict=True):
            group["lr"] = peak * share(number)
        _, loss = reference(theirs, rows)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(named.values()), 0.05)
        plain.step()
        plain.zero_grad()
        assert done[number].terms["cross_entropy"] == pytest.approx(float(loss.detach()), rel=1e-6)
        assert done[number].grad_norm == pytest.approx(float(norm), rel=1e-9) and float(norm) > 0.05
    assert distance(weights(ours), weights(theirs)) < 1e-10


def test_what_is_measured_is_what_was_done(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    rows = make_rows(5)
    steps = [list(batches.micro_batches(rows, 2, PAD))] * 2
    first, second = train(tiny.adapted(), steps, accelerator, schedule=lambda step: 1 / (1 + step), first_step=4)
    assert (first.step, second.step) == (4, 5)
    assert first.lrs == {"A": 1e-2 / 5, "B": 4e-2 / 5} and second.lrs["A"] == pytest.approx(1e-2 / 6)
    assert first.target_tokens == sum(len(row.target) for row in rows)
    assert first.tokens == sum(len(row) for row in rows)
    assert sorted(first.examples) == sorted(row.example for row in rows)
    assert second.terms["cross_entropy"] < first.terms["cross_entropy"]
    assert not first.dropped


def test_a_run_repeats_bit_for_bit(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(11)
        model = tiny.adapted(dropout=0.3)
        plan = batches.steps(make_rows(8), epochs=2, batch=4, seed=1)
        done = train(model, [list(batches.micro_batches(rows, 2, PAD)) for rows in plan], accelerator)
        runs.append((weights(model), done))
    assert all(torch.equal(runs[0][0][name], runs[1][0][name]) for name in runs[0][0])
    assert runs[0][1] == runs[1][1]


def test_a_constraint_acts_on_the_step_just_taken(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    model = tiny.adapted()
    before, undone = weights(model), []

    def undo() -> None:
        undone.append(distance(before, weights(model)))
        with torch.no_grad():
            for name, weight in adapt.trainable(model).items():
                weight.copy_(before[name])

    train(
        model, [list(batches.micro_batches(make_rows(4), 2, PAD))], accelerator, constraints=[constraint(retract=undo)]
    )
    assert undone[0] > 0 and distance(before, weights(model)) == 0


def test_a_gradient_of_zero_is_an_error(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    model = tiny.adapted()
    with torch.no_grad():
        for weight in adapt.trainable(model).values():
            weight.zero_()  # A and B both zero: neither has a gradient
    with pytest.raises(TrainingError, match=r"gradient is zero for examples e0-\d+.*: nothing is trained"):
        train(model, [[batches.collate(make_rows(2), PAD)]], accelerator)


def test_a_step_without_a_target_is_an_error(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    batch = batches.collate(make_rows(2), PAD)
    batch.targets.fill_(IGNORED)
    with pytest.raises(TrainingError, match="not one target token in a step of examples e0-0, e0-1"):
        train(tiny.adapted(), [[batch]], accelerator)


def broken(when: Callable[[Step], bool]) -> Callable[[Step], torch.Tensor]:
    """A term that is NaN for some micro-batches, and has a gradient for the others."""
    return lambda step: step.logits.square().mean() * (float("nan") if when(step) else 1.0)


def test_a_term_that_is_nan_is_dropped_alone(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    steps = [list(batches.micro_batches(make_rows(6), 2, PAD))]
    both, alone = tiny.adapted(), tiny.adapted()
    (done,) = train(both, steps, accelerator, terms={**CE, "bad": (1.0, broken(lambda _: True))})
    train(alone, steps, accelerator)
    assert distance(weights(both), weights(alone)) == 0
    assert done.dropped == {"bad": 3}
    assert math.isnan(done.terms["bad"]) and math.isfinite(done.terms["cross_entropy"])


def test_a_term_is_measured_where_it_is_finite(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    steps = [list(batches.micro_batches(make_rows(6, seed=5), 2, PAD))]
    most = max(batch.target_tokens for batch in steps[0])
    one = (1.0, lambda step: step.logits.sum() * 0 + (float("nan") if len(step.targets) == most else 2.0))
    (done,) = train(tiny.adapted(), steps, accelerator, terms={**CE, "two": one})
    assert done.terms["two"] == pytest.approx(2.0) and done.dropped == {"two": 1}


def test_a_gradient_that_is_nan_takes_no_step(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    def finite_with_nan_gradient(step: Step) -> torch.Tensor:
        zero = (step.logits - step.logits.detach()).sum()
        return torch.sqrt(zero) * 0  # 0, with the gradient inf * 0

    model = tiny.adapted()
    before, touched = weights(model), []
    bad, good = (list(batches.micro_batches(make_rows(4, seed=seed), 2, PAD)) for seed in (0, 1))
    bad_names = {name for batch in bad for name in batch.examples}
    terms = {**CE, "bad": (1.0, finite_with_nan_gradient)}
    (done,) = train(model, [bad], accelerator, terms=terms, constraints=[constraint(retract=lambda: touched.append(1))])
    assert distance(before, weights(model)) == 0 and touched == []
    assert done.dropped == {"gradient": 1} and math.isnan(done.grad_norm) and set(done.examples) == bad_names
    (done,) = train(model, [good], accelerator)  # and nothing of it is left for the next step
    assert distance(before, weights(model)) > 0 and not done.dropped


def test_a_step_that_lost_every_term_is_counted(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    model = tiny.adapted()
    before = weights(model)
    terms = {"bad": (1.0, broken(lambda _: True))}
    (done,) = train(model, [[batches.collate(make_rows(2), PAD)]], accelerator, terms=terms)
    assert done.dropped == {"bad": 1, "gradient": 1} and distance(before, weights(model)) == 0


def test_shares_are_of_target_tokens(make_rows: Rows) -> None:
    made = list(batches.micro_batches(make_rows(7), 3, PAD))
    shares = loop.token_shares(made)
    assert sum(shares) == pytest.approx(1.0)
    for (left, one), (right, other) in pairwise(zip(made, shares, strict=True)):
        assert one / other == pytest.approx(left.target_tokens / right.target_tokens)
