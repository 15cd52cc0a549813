"""A phase watched from outside: it resumes to the bit, keeps what it is told to keep, and stops when numbers break."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from breviary.data.batches import Row
from breviary.errors import ArtifactError, TrainingError
from breviary.learn import fit, objective
from breviary.learn.checkpoint import Progress
from breviary.learn.constrained import Constraint
from breviary.learn.forward import Step
from breviary.learn.objective import Objective
from breviary.learn.terms import cross_entropy
from breviary.model import adapt

PAD = 258
Options = Callable[..., Any]
Rows = Callable[..., list[Row]]


class Killed(Exception):
    pass


@pytest.fixture
def run(make_rows: Rows, accelerator: Any, make_given: Any, tmp_path: Path) -> Callable[..., Progress]:
    """`fit` on nine rows, with a validation set of two domains; `until` kills it when that step is logged."""

    def made(
        model: Any,
        options: Any,
        *,
        until: int = 10**9,
        log: Any = None,
        scratch: str = "scratch",
        constraints: Any = None,
    ) -> Progress:
        def watch(values: dict[str, float], step: int) -> None:
            if log is not None:
                log.append((step, values))
            if step == until:
                raise Killed

        return fit.fit(
            model,
            options,
            make_rows(9, seed=1),
            {"paper": make_rows(3, seed=2), "talk": make_rows(2, seed=3)},
            objective=objective.build(options.terms, make_given(weights=adapt.trainable(model))),
            constraints=constraints or {},
            accelerator=accelerator,
            pad=PAD,
            seed=17,
            scratch=tmp_path / scratch,
            log=watch,
        )

    return made


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in adapt.trainable(model).items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "until", "rank"), [("adamw", 2, 4), ("adamw", 4, 4), ("adamw_8bit", 5, 64)])
def test_a_killed_run_ends_as_an_uninterrupted_one(
    kind: str, until: int, rank: int, run: Callable[..., Progress], tiny: Any, make_options: Options
) -> None:
    options = make_options(optimizer={"kind": kind}, checkpoint_every=3)
    whole = tiny.adapted(rank=rank, dropout=0.3)
    straight = run(whole, options, scratch="straight")
    with pytest.raises(Killed):
        run(tiny.adapted(rank=rank, dropout=0.3), options, until=until)
    log: list[tuple[int, Any]] = []
    resumed = tiny.adapted(rank=rank, dropout=0.3)
    progress = run(resumed, options, log=log)
    assert (
        log[0][0] == (1 if until > 3 else 0) * 4
    )  # from the checkpoint of step 3, or from the validation before step 1
    assert same(weights(whole), weights(resumed))
    assert {**vars(progress), "best": 0} == {**vars(straight), "best": 0}
    assert same(progress.best, straight.best)
    assert [row["step"] for row in progress.curve] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_dropout_is_drawn_anew_at_every_step(run: Callable[..., Progress], tiny: Any, make_options: Options) -> None:
    """Or the comparison above would show nothing."""
    with_, without = tiny.adapted(dropout=0.3), tiny.adapted()
    run(with_, make_options(), scratch="a")
    run(without, make_options(), scratch="b")
    assert not same(weights(with_), weights(without))


def test_validating_more_often_changes_nothing(run: Callable[..., Progress], tiny: Any, make_options: Options) -> None:
    often, seldom = tiny.adapted(dropout=0.3), tiny.adapted(dropout=0.3)
    run(often, make_options(validate_every=1), scratch="a")
    run(seldom, make_options(validate_every=5), scratch="b")
    assert same(weights(often), weights(seldom)) and often.training


def test_the_best_or_the_last_is_kept(
    run: Callable[..., Progress], tiny: Any, make_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([5.0, 5.0, 3.0, 2.0, 4.0, 4.0, 4.0, 4.0] * 2)  # of two domains, at steps 0, 2, 4 and 6
    monkeypatch.setattr(fit, "loss", lambda *_: next(losses))
    best, last = tiny.adapted(), tiny.adapted()
    progress = run(best, make_options(keep="best"), scratch="a")
    run(last, make_options(keep="last"), scratch="b")
    assert (progress.best_loss, progress.best_step, progress.step) == (2.5, 2, 6)
    assert same(weights(best), progress.best) and not same(weights(best), weights(last))
    shown = {row["step"]: row["valid/mean"] for row in progress.curve if "valid/mean" in row}
    assert shown == {0: 5.0, 2: 2.5, 4: 4.0, 6: 4.0}


def test_an_adapter_that_got_worse_is_put_back(
    run: Callable[..., Progress], tiny: Any, make_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter(range(100))
    monkeypatch.setattr(fit, "loss", lambda *_: float(next(losses)))
    model = tiny.adapted()
    before = weights(model)
    assert run(model, make_options(keep="best")).best_step == 0
    assert same(weights(model), before)


def test_it_learns_and_says_so(run: Callable[..., Progress], tiny: Any, make_options: Options) -> None:
    log: list[tuple[int, Any]] = []
    progress = run(tiny.adapted(), make_options(epochs=4), log=log)
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
def test_too_many_steps_that_are_not_finite_stop_the_run(
    run: Callable[..., Progress], tiny: Any, make_options: Options
) -> None:
    with pytest.raises(TrainingError) as refused:
        run(tiny.adapted(), make_options(epochs=4, max_nonfinite_share=0.1))
    said = str(refused.value)
    assert said.startswith("'bad' was not finite in 2 of ") and "(max_nonfinite_share=0.1)" in said
    assert "the last time with examples e1-" in said


@pytest.mark.usefixtures("sometimes_nan")
def test_a_few_steps_that_are_not_finite_are_counted(
    run: Callable[..., Progress], tiny: Any, make_options: Options
) -> None:
    log: list[tuple[int, Any]] = []
    progress = run(tiny.adapted(), make_options(max_nonfinite_share=0.5), log=log)
    assert progress.dropped == {"bad": 1}
    assert [values for _, values in log if "nonfinite/bad" in values] == [{"nonfinite/bad": 1}]


def test_a_step_with_a_nan_gradient_survives_its_checkpoint(
    run: Callable[..., Progress],
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
    progress = run(tiny.adapted(), make_options(max_nonfinite_share=1.0, checkpoint_every=1))
    assert progress.dropped == {"gradient": 6}
    assert all("grad_norm" not in row for row in progress.curve)
    assert (tmp_path / "scratch" / "step-6" / "numbers.json").is_file()


def test_a_validation_loss_that_is_not_finite_stops_the_run(
    run: Callable[..., Progress], tiny: Any, make_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 1.0, 1.0, float("nan")])
    monkeypatch.setattr(fit, "loss", lambda *_: next(losses))
    with pytest.raises(TrainingError, match="validation loss of talk is not finite after 2 steps"):
        run(tiny.adapted(), make_options())


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


def test_a_checkpoint_of_another_adapter_is_refused(
    run: Callable[..., Progress], tiny: Any, make_options: Options
) -> None:
    with pytest.raises(Killed):
        run(tiny.adapted(rank=4), make_options(), until=5)
    with pytest.raises(ArtifactError, match="step-3: holds other weights than this adapter"):
        run(tiny.adapted(rank=8), make_options())


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_step(run: Callable[..., Progress], tiny: Any, make_options: Options) -> None:
    plain, saving = tiny.adapted(dropout=0.3), tiny.adapted(dropout=0.3)
    saving.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    saving.enable_input_require_grads()
    run(plain, make_options(), scratch="a")
    run(saving, make_options(), scratch="b")
    left, right = weights(plain), weights(saving)
    assert max(float((left[name] - right[name]).abs().max()) for name in left) < 1e-6


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
    run: Callable[..., Progress], with_everything: Any, make_options: Options
) -> None:
    calls: list[str] = []
    log: list[tuple[int, Any]] = []
    model, given = with_everything(calls)
    progress = run(model, make_options(), log=log, **given)
    assert calls == ["start", *["gradient", "retract"] * 6]
    assert set(progress.reports) == {"loss before projection", "before", "after"}
    before = progress.reports["loss before projection"]
    assert log[0] == (0, {f"unprojected/{domain}": value for domain, value in before.items()})
    assert log[1][1]["valid/paper"] != before["paper"]  # what comes next is measured from where the constraint put it
    assert progress.reports["before"] == {"drift/seen": 0.0, "halved/leak": 0.5}
    assert progress.reports["after"] == {"drift/seen": 6.0, "halved/leak": 0.5}


def test_a_term_of_the_whole_step_is_logged_raw_and_as_a_share(
    run: Callable[..., Progress], with_everything: Any, make_options: Options
) -> None:
    model, given = with_everything([])
    progress = run(model, make_options(), **given)
    for row in progress.curve[1:]:
        assert row["share/drift"] == pytest.approx(0.5 * row["loss/drift"] / row["loss/cross_entropy"])


def test_weights_and_buffers_of_terms_resume_too(
    run: Callable[..., Progress], with_everything: Any, make_options: Options
) -> None:
    ends = []
    for scratch, until in (("straight", None), ("killed", 5)):
        if until:
            with pytest.raises(Killed):
                model, given = with_everything([])
                run(model, make_options(), until=until, scratch=scratch, **given)
        calls: list[str] = []
        model, given = with_everything(calls)
        progress = run(model, make_options(), scratch=scratch, **given)
        assert ("start" in calls) is (until is None)  # a resumed phase was brought there before
        ends.append((weights(model), progress.reports, progress.curve))
    assert same(ends[0][0], ends[1][0]) and ends[0][1:] == ends[1][1:]
