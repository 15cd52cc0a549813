"""A phase watched from outside: it resumes to the bit, keeps what it is told to keep, and says what it validates on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from breviary.data.batches import Row
from breviary.errors import ArtifactError, TrainingError
from breviary.learn import fit
from breviary.learn.objective import Objective
from breviary.model import adapt
from tests.learn.fitted import PAD, Killed, Options, Run, same, weights

Rows = Callable[..., list[Row]]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "until", "rank"), [("adamw", 2, 4), ("adamw", 4, 4), ("adamw_8bit", 5, 64)])
def test_a_killed_run_ends_as_an_uninterrupted_one(
    kind: str, until: int, rank: int, run_fit: Run, tiny: Any, make_options: Options
) -> None:
    options = make_options(optimizer={"kind": kind}, checkpoint_every=3)
    whole = tiny.adapted(rank=rank, dropout=0.3)
    straight = run_fit(whole, options, scratch="straight")
    with pytest.raises(Killed):
        run_fit(tiny.adapted(rank=rank, dropout=0.3), options, until=until)
    log: list[tuple[int, Any]] = []
    resumed = tiny.adapted(rank=rank, dropout=0.3)
    progress = run_fit(resumed, options, log=log)
    assert (
        log[0][0] == (1 if until > 3 else 0) * 4
    )  # from the checkpoint of step 3, or from the validation before step 1
    assert same(weights(whole), weights(resumed))
    assert {**vars(progress), "best": 0} == {**vars(straight), "best": 0}
    assert same(progress.best, straight.best)
    assert [row["step"] for row in progress.curve] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_dropout_is_drawn_anew_at_every_step(run_fit: Run, tiny: Any, make_options: Options) -> None:
    """Or the comparison above would show nothing."""
    with_, without = tiny.adapted(dropout=0.3), tiny.adapted()
    run_fit(with_, make_options(), scratch="a")
    run_fit(without, make_options(), scratch="b")
    assert not same(weights(with_), weights(without))


def test_validating_more_often_changes_nothing(run_fit: Run, tiny: Any, make_options: Options) -> None:
    often, seldom = tiny.adapted(dropout=0.3), tiny.adapted(dropout=0.3)
    run_fit(often, make_options(validate_every=1), scratch="a")
    run_fit(seldom, make_options(validate_every=5), scratch="b")
    assert same(weights(often), weights(seldom)) and often.training


def test_the_best_or_the_last_is_kept(
    run_fit: Run, tiny: Any, make_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([5.0, 5.0, 3.0, 2.0, 4.0, 4.0, 4.0, 4.0] * 2)  # of two domains, at steps 0, 2, 4 and 6
    monkeypatch.setattr(fit, "loss", lambda *_: next(losses))
    best, last = tiny.adapted(), tiny.adapted()
    progress = run_fit(best, make_options(keep="best"), scratch="a")
    run_fit(last, make_options(keep="last"), scratch="b")
    assert (progress.best_loss, progress.best_step, progress.step) == (2.5, 2, 6)
    assert same(weights(best), progress.best) and not same(weights(best), weights(last))
    shown = {row["step"]: row["valid/mean"] for row in progress.curve if "valid/mean" in row}
    assert shown == {0: 5.0, 2: 2.5, 4: 4.0, 6: 4.0}


def test_an_adapter_that_got_worse_is_put_back(
    run_fit: Run, tiny: Any, make_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter(range(100))
    monkeypatch.setattr(fit, "loss", lambda *_: float(next(losses)))
    model = tiny.adapted()
    before = weights(model)
    assert run_fit(model, make_options(keep="best")).best_step == 0
    assert same(weights(model), before)


def test_it_learns_and_says_so(run_fit: Run, tiny: Any, make_options: Options) -> None:
    log: list[tuple[int, Any]] = []
    progress = run_fit(tiny.adapted(), make_options(epochs=4), log=log)
    losses = [values["loss/cross_entropy"] for step, values in log if "loss/cross_entropy" in values]
    assert len(losses) == progress.step == 12
    assert sum(losses[-3:]) < sum(losses[:3])  # the last epoch against the first
    assert {"grad_norm", "lr/A", "lr/B", "tokens", "target_tokens", "loss/cross_entropy"} <= log[1][1].keys()
    assert progress.dropped == {}


def test_the_validation_loss_is_over_tokens(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    rows, model = make_rows(5), tiny.adapted(dropout=0.5)
    with torch.no_grad():
        for weight in adapt.trainable(model).values():
            weight.fill_(0.1)  # with B at zero, dropout would not show
    found = [fit.loss(model, rows, size, PAD, accelerator) for size in (1, 2, 5)]
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)
    summed = sum(len(row.target) * fit.loss(model, [row], 1, PAD, accelerator) for row in rows)
    assert found[0] == pytest.approx(summed / sum(len(row.target) for row in rows), rel=1e-5)
    assert model.training


def test_nothing_to_validate_on_is_an_error(
    tiny: Any, make_options: Options, make_rows: Rows, accelerator: Any, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"not one example to validate on; see chunk\.split\.valid"):
        fit.fit(
            tiny.adapted(),
            make_options(),
            make_rows(3),
            {},
            objective=Objective({}, {}),
            constraints={},
            accelerator=accelerator,
            pad=PAD,
            seed=0,
            scratch=tmp_path,
            log=lambda values, step: None,
        )


def test_a_checkpoint_of_another_adapter_is_refused(run_fit: Run, tiny: Any, make_options: Options) -> None:
    with pytest.raises(Killed):
        run_fit(tiny.adapted(rank=4), make_options(), until=5)
    with pytest.raises(ArtifactError, match="step-3: holds other weights than this adapter"):
        run_fit(tiny.adapted(rank=8), make_options())


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_step(run_fit: Run, tiny: Any, make_options: Options) -> None:
    plain, saving = tiny.adapted(dropout=0.3), tiny.adapted(dropout=0.3)
    saving.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    saving.enable_input_require_grads()
    run_fit(plain, make_options(), scratch="a")
    run_fit(saving, make_options(), scratch="b")
    left, right = weights(plain), weights(saving)
    assert max(float((left[name] - right[name]).abs().max()) for name in left) < 1e-6
