"""The divergence between teacher and student: against its definition, against torch, and against what it saves."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from breviary.data.batches import Taught
from breviary.errors import ConfigError
from breviary.learn.forward import Step
from breviary.learn.terms import distillation
from breviary.learn.terms.distillation import divergence


def asked(teacher: Tensor, k: int, temperature: float) -> Taught:
    """The k likeliest tokens of a teacher with these logits, and the rest in one."""
    log_p, ids = (teacher / temperature).log_softmax(-1).topk(k)
    return Taught(ids, torch.cat([log_p, (1 - log_p.exp().sum(-1, keepdim=True)).clamp(min=0).log()], -1))


def logits(rows: int, words: int, seed: int) -> Tensor:
    return 3 * torch.randn(rows, words, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def step(student: Tensor, taught: Taught | None, weights: Tensor | None = None) -> Step:
    targets = torch.zeros(len(student), dtype=torch.int64)
    return Step(student, targets, targets, taught=taught, weights=weights)


@pytest.mark.parametrize("k", [1, 5, 11])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_it_is_zero_where_student_and_teacher_are_equal(k: int, temperature: float) -> None:
    same = logits(6, 11, 1).requires_grad_()
    each = divergence(same, *vars(asked(same.detach(), k, temperature)).values(), temperature)
    assert each.abs().max() < 1e-12
    each.sum().backward()
    assert same.grad is not None and same.grad.abs().max() < 1e-12


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_with_all_words_it_is_the_whole_divergence_and_so_is_its_gradient(temperature: float) -> None:
    teacher, student = logits(6, 11, 1), logits(6, 11, 2).requires_grad_()
    distributions = [Categorical(logits=each / temperature) for each in (teacher, student)]
    whole = kl_divergence(*distributions)
    expected = torch.autograd.grad(whole.sum(), student)[0]
    each = divergence(student, *vars(asked(teacher, 11, temperature)).values(), temperature)
    torch.testing.assert_close(each, whole)
    torch.testing.assert_close(torch.autograd.grad(each.sum(), student)[0], expected)


def test_its_gradient_is_right_where_words_are_grouped() -> None:
    student = logits(4, 7, 3).requires_grad_()
    taught = asked(logits(4, 7, 4), 3, 2.0)
    assert torch.autograd.gradcheck(lambda each: divergence(each, taught.ids, taught.log_p, 2.0), student)


@given(st.integers(1, 12), st.integers(0, 10_000), st.sampled_from([1.0, 2.0, 4.0]))
def test_grouping_words_never_raises_it_and_it_is_never_negative(k: int, seed: int, temperature: float) -> None:
    teacher, student = logits(5, 12, seed), logits(5, 12, seed + 1)
    less, more = (
        divergence(student, *vars(asked(teacher, size, temperature)).values(), temperature)
        for size in (k, min(k + 1, 12))
    )
    assert (less >= -1e-12).all() and (less <= more + 1e-12).all()


def test_a_teacher_that_is_certain_leaves_a_finite_number() -> None:
    teacher = torch.tensor([[1000.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    student = torch.tensor([[0.0, 1000.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    each = divergence(student, *vars(asked(teacher, 2, 1.0)).values(), 1.0)
    each.sum().backward()
    assert float(each.detach()) == pytest.approx(1000) and student.grad is not None and student.grad.isfinite().all()


def test_the_size_of_a_chunk_changes_nothing() -> None:
    teacher, student = logits(10, 9, 5), logits(10, 9, 6)
    taught = asked(teacher, 4, 2.0)
    whole = divergence(student, taught.ids, taught.log_p, 2.0, chunk=100)
    for chunk in (1, 3, 10):
        torch.testing.assert_close(divergence(student, taught.ids, taught.log_p, 2.0, chunk=chunk), whole)


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_vocabulary() -> None:
    words = 4096
    student = logits(64, words, 7).float().requires_grad_()
    taught = asked(logits(64, words, 8).float(), 4, 2.0)
    own = student.untyped_storage().data_ptr()
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() != own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        divergence(student, taught.ids, taught.log_p, 2.0, chunk=8).sum().backward()
    assert sum(kept.values()) < 64 * words * 4 / 8


def test_the_term_has_the_temperature_squared_and_the_weights_of_the_examples() -> None:
    teacher, student = logits(3, 9, 5), logits(3, 9, 6)
    taught, weights = asked(teacher, 4, 3.0), torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    each = divergence(student, taught.ids, taught.log_p, 3.0)
    assert float(distillation.term(step(student, taught), 3.0)) == pytest.approx(9 * float(each.mean()))
    expected = 9 * float((2 * each[0] + each[2]) / 3)
    assert float(distillation.term(step(student, taught, weights), 3.0)) == pytest.approx(expected)


def test_a_phase_without_a_teacher_is_refused(make_given: Any) -> None:
    term = distillation.build(distillation.Options(), make_given())
    with pytest.raises(ConfigError, match="carry no teacher's expectations; stage distill gives them"):
        term(step(logits(2, 5, 0), None))
