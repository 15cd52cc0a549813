"""A phase with a constraint and a term of the whole step: when each is called, what is logged, and how it resumes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from breviary.learn import objective
from breviary.learn.constrained import Constraint
from breviary.learn.objective import Objective
from breviary.learn.terms import cross_entropy
from breviary.model import adapt
from tests.learn.fitted import Killed, Options, Run, same, weights


def halving(model: Any, calls: list[str]) -> Constraint:
    """A constraint that halves every B at the start, and says what it was asked for."""
    weights = adapt.trainable(model)

    def start() -> bool:
        calls.append("start")
        with torch.no_grad():
            for name, weight in weights.items():
                if "lora_B" in name:
                    weight /= 2
        return True

    return Constraint(
        start, lambda: calls.append("gradient"), lambda: calls.append("retract"), dict, lambda: {"leak": 0.5}
    )


def drifting(model: Any) -> objective.Whole:
    """A term with a weight and a buffer of its own: what it adds depends on how many steps there were."""
    own, seen = torch.nn.Parameter(torch.ones(3)), torch.zeros(1)

    def backward(number: int, _: Any) -> torch.Tensor:
        own.grad = own.detach() * (1 + seen)
        seen.add_(1)
        return own.detach().sum()

    return objective.Whole(0.5, backward, {"drift.own": own}, {"drift.seen": seen}, lambda _: {"seen": float(seen)})


@pytest.fixture
def with_everything(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> Callable[[list[str]], tuple[Any, dict[str, Any]]]:
    """A model whose phase has a term of the whole step and a constraint; the calls of the latter go to a list."""

    def made(calls: list[str]) -> tuple[Any, dict[str, Any]]:
        model = tiny.adapted(dropout=0.2)
        with torch.no_grad():
            for weight in adapt.trainable(model).values():
                weight.add_(0.05)
        drift = drifting(model)
        built = Objective({"cross_entropy": (1.0, cross_entropy.term)}, {"drift": drift})
        monkeypatch.setattr(objective, "build", lambda specs, given: built)
        return model, {"constraints": {"halved": halving(model, calls)}}

    return made


def test_a_constraint_begins_the_phase_and_acts_on_each_step(
    run_fit: Run, with_everything: Any, make_options: Options
) -> None:
    calls: list[str] = []
    log: list[tuple[int, Any]] = []
    model, given = with_everything(calls)
    progress = run_fit(model, make_options(), log=log, **given)
    assert calls == ["start", *["gradient", "retract"] * 6]
    assert set(progress.reports) == {"loss before projection", "before", "after"}
    before = progress.reports["loss before projection"]
    assert log[0] == (0, {f"unprojected/{domain}": value for domain, value in before.items()})
    assert log[1][1]["valid/paper"] != before["paper"]  # what comes next is measured from where the constraint put it
    assert progress.reports["before"] == {"drift/seen": 0.0, "halved/leak": 0.5}
    assert progress.reports["after"] == {"drift/seen": 6.0, "halved/leak": 0.5}


def test_a_term_of_the_whole_step_is_logged_raw_and_as_a_share(
    run_fit: Run, with_everything: Any, make_options: Options
) -> None:
    model, given = with_everything([])
    progress = run_fit(model, make_options(), **given)
    for row in progress.curve[1:]:
        assert row["share/drift"] == pytest.approx(0.5 * row["loss/drift"] / row["loss/cross_entropy"])


def test_weights_and_buffers_of_terms_resume_too(run_fit: Run, with_everything: Any, make_options: Options) -> None:
    ends = []
    for scratch, until in (("straight", None), ("killed", 5)):
        if until:
            with pytest.raises(Killed):
                model, given = with_everything([])
                run_fit(model, make_options(), until=until, scratch=scratch, **given)
        calls: list[str] = []
        model, given = with_everything(calls)
        progress = run_fit(model, make_options(), scratch=scratch, **given)
        assert ("start" in calls) is (until is None)  # a resumed phase was brought there before
        ends.append((weights(model), progress.reports, progress.curve))
    assert same(ends[0][0], ends[1][0]) and ends[0][1:] == ends[1][1:]
