"""Numbers that are not finite in a phase: a few are counted and left out, too many stop it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from breviary.errors import TrainingError
from breviary.learn import fit, objective
from breviary.learn.forward import Step
from breviary.learn.objective import Objective
from tests.learn.fitted import Options, Run


def with_bad(built: Objective, bad: objective.Term) -> Objective:
    return Objective({**built.terms, "bad": (1.0, bad)}, built.wholes)


@pytest.fixture
def sometimes_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second term that is NaN in every third optimiser step of two micro-batches."""
    build, calls = objective.build, iter(range(10**6))

    def bad(step: Step) -> torch.Tensor:
        return step.logits.sum() * 0 + (float("nan") if next(calls) % 6 == 5 else 1.0)

    monkeypatch.setattr(objective, "build", lambda specs, given: with_bad(build(specs, given), bad))


@pytest.mark.usefixtures("sometimes_nan")
def test_too_many_steps_that_are_not_finite_stop_the_run(run_fit: Run, tiny: Any, make_options: Options) -> None:
    with pytest.raises(TrainingError) as refused:
        run_fit(tiny.adapted(), make_options(epochs=4, max_nonfinite_share=0.1))
    said = str(refused.value)
    assert said.startswith("'bad' was not finite in 2 of ") and "(max_nonfinite_share=0.1)" in said
    assert "the last time with examples e1-" in said


@pytest.mark.usefixtures("sometimes_nan")
def test_a_few_steps_that_are_not_finite_are_counted(run_fit: Run, tiny: Any, make_options: Options) -> None:
    log: list[tuple[int, Any]] = []
    progress = run_fit(tiny.adapted(), make_options(max_nonfinite_share=0.5), log=log)
    assert progress.dropped == {"bad": 1}
    assert [values for _, values in log if "nonfinite/bad" in values] == [{"nonfinite/bad": 1}]


def test_a_step_with_a_nan_gradient_survives_its_checkpoint(
    run_fit: Run,
    tiny: Any,
    make_options: Options,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """JSON has no NaN: the gap in the curve must reach the disk."""

    def bad(step: Step) -> torch.Tensor:
        return torch.sqrt((step.logits - step.logits.detach()).sum()) * 0

    build = objective.build
    monkeypatch.setattr(objective, "build", lambda specs, given: with_bad(build(specs, given), bad))
    progress = run_fit(tiny.adapted(), make_options(max_nonfinite_share=1.0, checkpoint_every=1))
    assert progress.dropped == {"gradient": 6}
    assert all("grad_norm" not in row for row in progress.curve)
    assert (tmp_path / "scratch" / "step-6" / "numbers.json").is_file()


def test_a_validation_loss_that_is_not_finite_stops_the_run(
    run_fit: Run, tiny: Any, make_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 1.0, 1.0, float("nan")])
    monkeypatch.setattr(fit, "loss", lambda *_: next(losses))
    with pytest.raises(TrainingError, match="validation loss of talk is not finite after 2 steps"):
        run_fit(tiny.adapted(), make_options())
