"""The contrastive term on a real small model: where its gradient goes, what it keeps, and what it refuses."""

import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from breviary.data.views import Twin, View
from breviary.errors import ConfigError, DataError, TrainingError
from breviary.learn import crossclr
from breviary.learn.crossclr import Side
from breviary.learn.embedding import embed
from breviary.learn.objective import Whole
from breviary.learn.terms import contrastive
from breviary.learn.terms.contrastive import Options
from breviary.model import adapt

PREFIX = [10, 11, 12]
REMEDY = r"lower pairs\.min_margin, or drop train_phaseN\.terms\.contrastive"


def twins(*ids: tuple[int, int], seed: int = 0) -> list[Twin]:
    """Pairs of random texts; the same number is the same document."""

    def view(side: str, number: int) -> View:
        draw = random.Random(f"{seed} {side} {number}")
        return View(f"{side}{number}", PREFIX + [draw.randrange(256) for _ in range(draw.randint(1, 16))], len(PREFIX))

    return [Twin(view("l", left), view("r", right)) for left, right in ids]


SIX = twins(*((number, number) for number in range(6)))


def options(**changes: Any) -> Options:
    return Options.model_validate(
        {"weight": 1.0, "dimensions": 8, "pairs": 4, "micro_batch": 3, "max_tokens": 16} | changes
    )


@pytest.fixture
def make(make_given: Callable[..., Any]) -> Callable[..., Whole]:
    """The term on the `mined` pairs; keyword arguments change its options."""

    def built(mined: list[Twin] = SIX, /, companions: Any = (), **changes: Any) -> Whole:
        asked = []
        given_ = make_given(twins=lambda most: asked.append(most) or mined, companions=dict(companions))
        made = contrastive.build(options(**changes), given_)
        assert asked == [16]
        return made

    return built


def woken(tiny: Any, **changes: Any) -> Any:
    """B is zero at first, and then no gradient reaches A."""
    model, generator = tiny.adapted(**changes), torch.Generator().manual_seed(5)
    for name, weight in adapt.trainable(model).items():
        if "lora_B" in name:
            weight.data.copy_(torch.randn(weight.shape, generator=generator) / 10)
    return model


def gradients(model: Any, term: Whole) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in (adapt.trainable(model) | dict(term.trained)).items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, expected in one.items():
        torch.testing.assert_close(other[name], expected, msg=lambda said, name=name: f"{name}: {said}", **tolerance)


def test_the_gradient_reaches_the_adapter_and_the_heads(tiny: Any, make: Callable[..., Whole]) -> None:
    model, term = tiny.adapted(), make()
    assert term.backward(0, model).isfinite()
    for name, gradient in gradients(model, term).items():
        assert gradient.isfinite().all()
        assert (float(gradient.abs().max()) > 0) is ("lora_A" not in name), name
    model, term = woken(tiny), make()
    term.backward(0, model)
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients(model, term).values())


@pytest.mark.parametrize("micro_batch", [1, 3, 100])
def test_value_and_gradient_are_those_of_one_graph(micro_batch: int, tiny: Any, make: Callable[..., Whole]) -> None:
    """Everything written out once more with plain autograd, in float64, over two steps with a queue."""
    pairs = twins((0, 0), (0, 1), (2, 2), (3, 3), (4, 4))
    model, plain = woken(tiny, double=True), woken(tiny, double=True)
    term = make(pairs, micro_batch=micro_batch, pairs=5, queue=5, weight=0.7)
    with torch.no_grad():
        raw = {side: [embed(plain, [getattr(twin, side)], 258)[0] for twin in pairs] for side in contrastive.SIDES}
        documents = {"left": [0, 2, 3, 4], "right": [0, 1, 2, 3, 4]}  # the left one of pairs 0 and 1 is one document
        features = {side: torch.stack([raw[side][index] for index in rows]) for side, rows in documents.items()}
        centre = {side: each.mean(0) for side, each in features.items()}
        connected = {side: crossclr.connectivity(each - centre[side]) for side, each in features.items()}
        connected["left"] = connected["left"][[0, 0, 1, 2, 3]]
    heads = {side: term.trained[f"contrastive.{side}"].detach().double().requires_grad_() for side in contrastive.SIDES}
    related = torch.eye(5, dtype=torch.bool)
    related[0, 1] = related[1, 0] = True
    past: dict[str, Tensor] = {side: torch.zeros(0, 8, dtype=torch.float64) for side in contrastive.SIDES}
    before: list[int] = []
    for number in (0, 1):
        order = contrastive.draw(number, 5, 5, 17)
        sides, now = {}, {}
        for side in contrastive.SIDES:
            states = torch.cat([embed(plain, [getattr(pairs[index], side)], 258) for index in order])
            now[side] = torch.nn.functional.normalize((states - centre[side]) @ heads[side].T, dim=1)
            greatest = connected[side].max()
            share = connected[side][order] / connected[side][order].sum()
            sides[side] = Side(
                torch.cat([now[side], past[side]]),
                (connected[side] / greatest > 0.9)[[*order, *before]],
                (share / (0.0035 * 64 / 5)).softmax(0),
            )
        value = crossclr.crossclr(sides["left"], sides["right"], related[order][:, [*order, *before]], 0.03, 0.8)
        (0.7 * value).backward()
        with torch.no_grad():
            for side in contrastive.SIDES:
                states = torch.cat([embed(plain, [getattr(pairs[index], side)], 258) for index in order])
                centre[side] = 0.9 * centre[side] + 0.1 * states.mean(0)
        past, before = {side: each.detach() for side, each in now.items()}, order
        found = term.backward(number, model)
        assert float(found) == pytest.approx(float(value.detach()), rel=1e-5)  # centre and queue are kept in fp32
    expected = {name: weight.grad for name, weight in adapt.trainable(plain).items()}
    expected |= {f"contrastive.{side}": head.grad.float() for side, head in heads.items()}
    same(expected, gradients(model, term), rtol=1e-4, atol=1e-6)


def test_pieces_change_neither_value_nor_gradient(tiny: Any, make: Callable[..., Whole]) -> None:
    results = []
    for micro_batch in (1, 2, 3, 8):
        model, term = woken(tiny, double=True), make(micro_batch=micro_batch)
        results.append((term.backward(0, model), gradients(model, term)))
    for value, found in results[1:]:
        torch.testing.assert_close(value, results[0][0])
        same(results[0][1], found, rtol=1e-5, atol=1e-8)


def test_with_dropout_a_step_is_the_same_whatever_was_drawn_before(tiny: Any, make: Callable[..., Whole]) -> None:
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model, term = woken(tiny, dropout=0.4), make()
        found.append((term.backward(2, model), gradients(model, term)))
    same(found[0][1], found[1][1], rtol=0, atol=0)
    assert torch.equal(found[0][0], found[1][0])


def test_the_weighted_gradient_is_added_to_what_is_there(tiny: Any, make: Callable[..., Whole]) -> None:
    found = []
    for weight, times in ((1.0, 1), (1.5, 2)):
        model, term = woken(tiny, double=True), make(weight=weight, pairs=6)  # all: the centre stays where it is
        values = [term.backward(0, model) for _ in range(times)]
        torch.testing.assert_close(values[0], values[-1], rtol=1e-5, atol=0)
        found.append((values[0], gradients(model, term)))
    assert torch.equal(found[0][0], found[1][0])
    same({name: 3 * each for name, each in found[0][1].items()}, found[1][1], rtol=1e-3, atol=1e-6)


def test_an_empty_queue_is_none_and_a_filled_one_is_not(tiny: Any, make: Callable[..., Whole]) -> None:
    model = woken(tiny).eval()
    plain, remembering = make(pairs=3), make(pairs=3, queue=2)
    assert torch.equal(plain.backward(0, model), remembering.backward(0, model))
    assert float(plain.backward(1, model)) < float(remembering.backward(1, model))
    assert remembering.buffers["contrastive.queue.count"].tolist() == [6]


def test_the_queue_is_no_longer_than_there_are_pairs(make: Callable[..., Whole]) -> None:
    buffers = make(queue=3000).buffers
    assert buffers["contrastive.queue.left"].shape == buffers["contrastive.queue.right"].shape == (6, 8)


def test_what_is_remembered_is_what_was_projected(tiny: Any, make: Callable[..., Whole]) -> None:
    model, term = woken(tiny).eval(), make(queue=6, pairs=3)
    term.report(model)
    centre = term.buffers["contrastive.left.centre"].clone()
    term.backward(0, model)
    drawn = contrastive.draw(0, 6, 3, 17)
    assert term.buffers["contrastive.queue.pairs"].tolist() == [*drawn, 0, 0, 0]
    head = term.trained["contrastive.left"]
    with torch.no_grad():
        states = torch.cat([embed(model, [SIX[index].left], 258) for index in drawn])
        torch.testing.assert_close(
            term.buffers["contrastive.queue.left"][:3], crossclr.project(states, centre, head), rtol=1e-4, atol=1e-5
        )


def test_pairs_that_share_a_document_are_not_contrasted(tiny: Any, make: Callable[..., Whole]) -> None:
    """Pairs 0 and 1 share both documents with a third, so that nothing but the fourth is a negative of any."""
    pairs = twins((0, 0), (0, 1), (1, 1), (2, 2))
    expected = [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    assert contrastive.relations(pairs).int().tolist() == expected
    assert contrastive.relations(SIX).int().tolist() == torch.eye(6).int().tolist()
    model = woken(tiny).eval()
    all_of_one = [pairs[0], pairs[1], pairs[3]]
    term = make(all_of_one, pairs=3, intra_weight=0.0, prune_above=1.0, weighting="off", queue=3)
    value = float(term.backward(0, model))
    with torch.no_grad():
        sides = []
        for side in contrastive.SIDES:
            states = torch.cat([embed(model, [getattr(twin, side)], 258) for twin in all_of_one])
            centre, head = term.buffers[f"contrastive.{side}.centre"], term.trained[f"contrastive.{side}"]
            sides.append(crossclr.project(states, centre, head) / math.sqrt(0.03))
    logits = sides[0] @ sides[1].T
    logits[0, 1] = logits[1, 0] = -math.inf
    truth = torch.arange(3)
    direct = [torch.nn.functional.cross_entropy(each, truth) for each in (logits, logits.T)]
    assert value == pytest.approx(float(sum(direct)) / 2, rel=1e-4)


STAYS = ("contrastive.known", "contrastive.left.connectivity", "contrastive.right.connectivity")


def test_the_centre_follows_the_steps(tiny: Any, make: Callable[..., Whole]) -> None:
    """What training adds to all states alike must not fill the projections."""
    model, term = tiny.adapted(), make(pairs=6, micro_batch=12)
    term.report(model)
    name = "contrastive.right.centre"
    first = term.buffers[name].clone()
    with torch.no_grad():
        torch.testing.assert_close(first, torch.cat([embed(model, [twin.right], 258) for twin in SIX]).mean(0))
    model.base_model.model.model.norm.weight.data.mul_(3)
    term.backward(0, model)
    torch.testing.assert_close(term.buffers[name], 1.2 * first)


def test_the_start_is_measured_once_and_without_dropout(tiny: Any, make: Callable[..., Whole]) -> None:
    model, term = woken(tiny, dropout=0.5), make()
    term.backward(0, model)
    taken = {name: term.buffers[name].clone() for name in STAYS}
    quiet = make()
    quiet.report(woken(tiny).eval())
    same(taken, {name: quiet.buffers[name] for name in taken}, rtol=0, atol=0)
    for weight in adapt.trainable(model).values():
        weight.data.add_(1.0)
    term.backward(1, model)
    same(taken, {name: term.buffers[name] for name in taken}, rtol=0, atol=0)
    assert term.buffers["contrastive.known"].tolist() == [1]
    assert float(taken["contrastive.left.connectivity"].max()) > 0


@pytest.mark.parametrize("queue", [0, 5])
def test_resuming_from_buffers_equals_going_on(
    queue: int, tiny: Any, make: Callable[..., Whole], tmp_path: Path
) -> None:
    def train(model: Any, term: Whole, numbers: range) -> list[float]:
        values = []
        for number in numbers:
            values.append(float(term.backward(number, model)))
            for weight in (adapt.trainable(model) | dict(term.trained)).values():
                weight.data.sub_(0.1 * weight.grad)
                weight.grad = None
        return values

    model, term = woken(tiny, dropout=0.2), make(queue=queue)
    expected = train(model, term, range(2))
    kept = {name: tensor.detach() for name, tensor in (adapt.trainable(model) | term.trained | term.buffers).items()}
    save_file({name: tensor.contiguous().clone() for name, tensor in kept.items()}, tmp_path / "kept")
    expected += train(model, term, range(2, 5))

    again, resumed = tiny.adapted(dropout=0.2), make(queue=queue)
    with torch.no_grad():
        for name, tensor in load_file(tmp_path / "kept").items():
            (adapt.trainable(again) | resumed.trained | resumed.buffers)[name].copy_(tensor)
    assert train(again, resumed, range(2, 5)) == expected[2:]
    same(dict(term.buffers), dict(resumed.buffers), rtol=0, atol=0)
    same(adapt.trainable(model) | term.trained, adapt.trainable(again) | resumed.trained, rtol=0, atol=0)


def broken(model: Any) -> Any:
    model.get_input_embeddings().weight.data[:] = math.nan
    return model


def test_what_is_not_finite_leaves_no_trace(tiny: Any, make: Callable[..., Whole]) -> None:
    model, term = tiny.adapted(), make(queue=6)
    term.backward(0, model)
    before, queued = gradients(model, term), term.buffers["contrastive.queue.left"].clone()
    assert math.isnan(float(term.backward(1, broken(model))))
    same(before, gradients(model, term), rtol=0, atol=0)
    assert torch.equal(term.buffers["contrastive.queue.left"], queued)
    assert term.buffers["contrastive.queue.count"].tolist() == [3]


def test_a_gradient_that_is_not_finite_is_left_out_too(
    tiny: Any, make: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rooted(left: Side, right: Side, *_: Any) -> Tensor:
        """The square root of zero: 0, with an infinite slope."""
        return (left.candidates - left.candidates.clone() + 0 * right.candidates).pow(0.5).sum()

    model, term = tiny.adapted(), make()
    monkeypatch.setattr(crossclr, "crossclr", rooted)
    assert math.isnan(float(term.backward(0, model)))
    assert all(weight.grad is None for weight in (adapt.trainable(model) | dict(term.trained)).values())


def test_a_start_that_is_not_finite_names_the_documents(tiny: Any, make: Callable[..., Whole]) -> None:
    with pytest.raises(TrainingError, match=r"document l0: its hidden states are not finite\n(.*\n)*.*precision: fp32"):
        make().backward(0, broken(tiny.adapted()))


@given(st.integers(1, 40), st.integers(2, 9), st.integers(0, 99))
def test_no_pair_comes_again_before_all_were_drawn(count: int, pairs: int, seed: int) -> None:
    steps = math.ceil(count / pairs)
    for epoch in range(2):
        drawn = [contrastive.draw(epoch * steps + turn, count, pairs, seed) for turn in range(steps)]
        assert sorted(number for step in drawn for number in step) == list(range(count))
        sizes = {len(step) for step in drawn}
        assert max(sizes) <= pairs and max(sizes) - min(sizes) <= 1


def test_every_epoch_is_another_shuffle() -> None:
    assert len({tuple(contrastive.draw(epoch, 20, 20, 3)) for epoch in range(5)}) == 5


def test_both_heads_begin_as_one_projection_that_the_seed_decides(make: Callable[..., Whole], make_given: Any) -> None:
    one, other = make(), make()
    assert sorted(one.trained) == ["contrastive.left", "contrastive.right"]
    left, right = one.trained["contrastive.left"], one.trained["contrastive.right"]
    assert torch.equal(left, right) and left.data_ptr() != right.data_ptr()
    assert torch.equal(left, other.trained["contrastive.left"])
    reseeded = contrastive.build(options(), make_given(twins=lambda _: SIX, seed=18))
    assert not torch.equal(left, reseeded.trained["contrastive.left"])
    assert all(isinstance(head, torch.nn.Parameter) and head.dtype == torch.float32 for head in one.trained.values())


def test_heads_of_the_phase_before_go_on(make: Callable[..., Whole]) -> None:
    before = {"contrastive.left": torch.randn(8, 64), "contrastive.right": torch.randn(8, 64), "other": torch.ones(1)}
    term = make(companions=before)
    for name, head in term.trained.items():
        assert torch.equal(head, before[name]) and head.data_ptr() != before[name].data_ptr()


def test_heads_of_another_size_are_refused(make: Callable[..., Whole]) -> None:
    before = {f"contrastive.{side}": torch.randn(4, 64) for side in contrastive.SIDES}
    with pytest.raises(
        ConfigError, match=r"dimensions=8 asks for heads of \(8, 64\), .* left contrastive.left: \(4, 6"
    ):
        make(companions=before)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], rf"the pairs stage found no train pairs while contrastive is on; {REMEDY}"),
        ([(0, 0)], rf"found 1 train pair, contrastive needs at least 2; {REMEDY}"),
        (
            [(0, 0), (0, 1), (0, 2)],
            rf"all 3 train pairs share their documents: contrastive finds no negative; {REMEDY}",
        ),
    ],
)
def test_pairs_without_a_contrast_are_refused(
    pairs: list[tuple[int, int]], message: str, make: Callable[..., Whole]
) -> None:
    with pytest.raises(DataError, match=message):
        make(twins(*pairs))


@pytest.mark.parametrize(
    "changes", [{"pairs": 1}, {"temperature": 0.0}, {"weighting": "on"}, {"prune_above": 1.1}, {"queue": -1}]
)
def test_options_are_checked(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        options(**changes)


def test_two_pairs_train(tiny: Any, make: Callable[..., Whole]) -> None:
    """Centred, two documents point in opposite directions: nothing is connected, nothing is pruned."""
    model, term = tiny.adapted(), make(SIX[:2], pairs=2)
    assert 0 < float(term.backward(0, model)) < math.inf
    assert term.buffers["contrastive.left.connectivity"].tolist() == [0.0, 0.0]
    assert all(gradient.isfinite().all() for gradient in gradients(model, term).values())


def test_the_report_changes_nothing_and_compares_true_pairs_with_shuffled(
    tiny: Any, make: Callable[..., Whole]
) -> None:
    same_texts = [Twin(twin.left, View(twin.right.document, twin.left.ids, twin.left.first)) for twin in SIX]
    model, term = woken(tiny, dropout=0.5), make(same_texts)
    found = term.report(model)
    assert model.training and found == term.report(model)
    assert found["cosine_true"] == pytest.approx(1, abs=1e-5) and found["pooled_cosine_true"] == pytest.approx(
        1, abs=1e-5
    )
    shuffled = -1 / 5  # roughly, of centred vectors
    assert found["pooled_cosine_shuffled"] == pytest.approx(shuffled, abs=0.1)
    for kind in ("", "pooled_"):
        assert found[f"{kind}cosine_gap"] == found[f"{kind}cosine_true"] - found[f"{kind}cosine_shuffled"]
    assert len(found) == 6


def test_the_adapter_alone_learns_which_texts_belong_together(tiny: Any, make: Callable[..., Whole]) -> None:
    """The heads stay as they are, so that the model itself must have moved."""
    torch.manual_seed(0)
    model, term = tiny.adapted(rank=8), make(pairs=6, micro_batch=12)
    before = term.report(model)
    adam = torch.optim.Adam(adapt.trainable(model).values(), lr=1e-2)
    values = []
    for number in range(25):
        values.append(float(term.backward(number, model)))
        adam.step()
        adam.zero_grad()
    after = term.report(model)
    assert values[-1] < values[0] / 3
    assert after["cosine_gap"] > before["cosine_gap"] + 0.3
    assert after["pooled_cosine_gap"] > before["pooled_cosine_gap"] + 0.3


DISTRIBUTED = """
import sys
from pathlib import Path
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from breviary.learn.objective import Given
from breviary.learn.terms import contrastive
from breviary.data.views import Twin, View
from breviary.model import adapt, compute
from breviary.model.adapters import lora

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
accelerator = Accelerator(cpu=True)
model = compute.load(folder, compute.Options(precision="fp32", quantisation="none"))
target = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.3, targets=["q_proj", "down_proj"])
model = adapt.create(model, target, 0).train()
trained = adapt.trainable(model)
for number, weight in enumerate(trained.values()):
    weight.data.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)) / 10)
words = lambda side, number: [(number * 31 + ord(side) * k) % 256 for k in range(4 + number)]
view = lambda side, number: View(f"{side}{number}", [9, 8, *words(side, number)], 2)
twins = [Twin(view("l", number), view("r", number)) for number in range(7)]
given = Given(weights=trained, width=64, pad=258, accelerator=accelerator, seed=3, anchor=None, twins=lambda _: twins)
options = contrastive.Options(weight=0.5, dimensions=8, pairs=4, micro_batch=3, max_tokens=16, queue=7)
term = contrastive.build(options, given)
adam = torch.optim.SGD([*trained.values(), *term.trained.values()], lr=0.05)
prepared, _ = accelerator.prepare(model, adam)
reports = [term.report(prepared)]
values = []
for number in range(5):
    with accelerator.no_sync(prepared):
        values.append(float(term.backward(number, prepared)))
    shared = prepared(input_ids=torch.tensor([[1, 2]])).logits.sum() * 0  # stands for the last micro-batch of a step
    accelerator.backward(shared)
    adam.step()
    adam.zero_grad()
reports.append(term.report(prepared))
if accelerator.is_main_process:
    kept = {**trained, **term.trained, **term.buffers}
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in kept.items()}, out)
    print(accelerator.num_processes, values, [each["cosine_gap"] for each in reports])
accelerator.end_training()
"""


@pytest.mark.slow
def test_two_processes_do_what_one_does(tiny: Any, tmp_path: Path) -> None:
    """Eight texts in pieces of three: three pieces, so that one process reads one in vain; dropout on."""
    script = tmp_path / "script.py"
    script.write_text(DISTRIBUTED)
    launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    said = []
    for number, command in ((1, []), (2, launch)):
        done = subprocess.run(
            [sys.executable, *command, str(script), str(tiny.folder), str(tmp_path / str(number))],
            env={**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        processes, numbers = done.stdout.splitlines()[-1].split(" ", 1)
        assert processes == str(number)
        said.append([float(value) for value in numbers.replace("[", "").replace("]", ",").split(",") if value.strip()])
    assert said[0] == pytest.approx(said[1], rel=1e-4, abs=1e-5)
    first, second = (load_file(tmp_path / number) for number in "12")
    assert max(float((first[name].float() - second[name].float()).abs().max()) for name in first) < 1e-4
