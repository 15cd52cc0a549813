"""What each method against forgetting costs beside a plain step, on the backbone and prompt of params.yaml.

    python -m bench.overhead [--rounds 5]

Every round takes one step of each arm on the same rows, one after the other, so that a slow moment of the machine hits
all of them. Printed are medians over rounds: CPU seconds of a step (all threads), and the median of the ratio to plain
cross-entropy within a round. The anchor, its Fisher and the directions are made up: what they hold does not matter to
the time they take. `contrastive` reads its own texts; all other lines read what cross-entropy reads.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import torch
from accelerate import Accelerator
from torch import Tensor

from breviary import config
from breviary.data import batches
from breviary.data.batches import Row
from breviary.data.views import Twin, View
from breviary.learn import constrained, loop, objective, subspace
from breviary.learn.anchors import Anchor
from breviary.learn.curriculum import Options
from breviary.learn.objective import Given
from breviary.learn.start import BASE
from breviary.model import adapt, adapted, compute, optimizer, resolve

EWC = {"ewc": {"weight": 0.02}}
CONTRASTIVE = {"contrastive": {"weight": 0.02, "pairs": 4, "micro_batch": 8, "max_tokens": 96, "queue": 32}}
ARMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # terms beside cross-entropy, constraints
    "cross_entropy": ({}, {}),
    "ewc": (EWC, {}),
    "orthogonal of base": ({}, {"orthogonal": {"k": 16, "of": "base"}}),
    "orthogonal of update": ({}, {"orthogonal": {"k": 16, "of": "update"}}),
    "ewc, orthogonal of update": (EWC, {"orthogonal": {"k": 16, "of": "update"}}),
    "contrastive": (CONTRASTIVE, {}),
}


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True)
def main(rounds: int) -> None:
    params = config.read(Path("params.yaml"))
    torch.set_num_threads(params.section("runtime", config.Runtime).threads)
    options = params.section("train_phase3", Options)
    model = compute.load(resolve.folder(BASE), params.section("compute", compute.Options))
    model = adapt.create(model, params.section("adapter", config.Options), 0).train()
    prompt: Any = params.section("prompt", config.Options)
    draw = random.Random(0)
    tokens = lambda count: [draw.randrange(1000, 30000) for _ in range(count)]  # noqa: E731
    summary = prompt.max_summary_tokens // 2
    rows = [Row(f"r{n}", tokens(prompt.max_tokens - prompt.max_summary_tokens), tokens(summary)) for n in range(6)]
    step = list(batches.micro_batches(rows[: options.batch], options.micro_batch, 0))
    twins = [Twin(*(View(f"{side}{n}", tokens(106), 10) for side in "lr")) for n in range(12)]
    arms = {name: _arm(model, twins, options, *chosen) for name, chosen in ARMS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, take in arms.items():
            began = time.process_time()
            take(step, number)
            seconds[name] += [time.process_time() - began] if number else []  # the first round warms up
    _print(seconds, sum(int(batch.mask.sum()) for batch in step))


def _arm(
    model: Any, twins: list[Twin], options: Options, terms: dict[str, Any], constraints: dict[str, Any]
) -> Callable[[list[batches.Batch], int], None]:
    """A function that takes one training step with these terms and constraints."""
    weights, accelerator = adapt.trainable(model), Accelerator(cpu=True)
    given = Given(
        weights=weights,
        width=model.config.hidden_size,
        pad=0,
        accelerator=accelerator,
        seed=0,
        anchor=lambda: Anchor(dict(weights), {name: torch.rand_like(weight) for name, weight in weights.items()}),
        twins=lambda most: twins,
    )
    built = objective.build({"cross_entropy": {}} | terms, given)
    held = constrained.build(constraints, weights, lambda of: _directions(model, weights))
    chosen = options.optimizer
    trained = weights | built.trained
    groups = optimizer.groups(trained, lr=chosen.lr, ratio=chosen.loraplus_ratio, weight_decay=chosen.weight_decay)
    adam = optimizer.create("adamw", groups, (chosen.beta1, chosen.beta2))

    def take(step: list[batches.Batch], number: int) -> None:
        once: Iterator[loop.Measured] = loop.train(
            model,
            built.terms,
            adam,
            lambda _: 1e-3,
            [step],
            accelerator=accelerator,
            max_grad_norm=options.max_grad_norm,
            first_step=number,
            wholes=built.wholes,
            constraints=list(held.values()),
        )
        list(once)

    return take


def _directions(model: Any, weights: dict[str, Tensor]) -> dict[str, subspace.Directions]:
    """Random orthonormal directions of every adapted layer."""
    found = {}
    for module, layer in adapted.layers(model).items():
        out, into, _ = layer.update.size
        left, right = (torch.linalg.qr(torch.randn(size, 16))[0] for size in (out, into))
        found[module] = subspace.Directions(left, torch.ones(16), right, 1.0)
    return found


def _print(seconds: dict[str, list[float]], tokens: int) -> None:
    plain = seconds["cross_entropy"]
    print(f"one step of {tokens} tokens, median of {len(plain)} rounds\n")
    print("| step | CPU seconds | beside cross-entropy alone |\n| --- | --- | --- |")
    for name, taken in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(taken, plain, strict=True)]
        print(f"| {name} | {statistics.median(taken):.2f} | {statistics.median(ratios) - 1:+.1%} |")


if __name__ == "__main__":
    main()
