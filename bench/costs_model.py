"""What the stages cost that run the backbone: `subspace`, `fisher` beside a training step, `predict` beside one by one.

On the backbone of params.yaml with the adapter in models/phase3, in this process, by the functions that the stages
call. Each yields the sizes of its section of metrics/costs.json.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from bench import spent
from breviary import artifacts, config
from breviary.data import batches
from breviary.data.batches import Row
from breviary.data.prompts import Generated
from breviary.learn import fisher, loop, objective, subspace
from breviary.learn.anchors import Anchor
from breviary.learn.objective import Given
from breviary.model import adapt, compute, generate, optimizer, resolve
from breviary.records import Document
from breviary.summarise import backbone, predictions, summariser
from breviary.summarise.backbone import BASE

ADAPTER, DOCUMENTS = Path("models/phase3"), Path("data/documents.jsonl")
SIDES = (256, 512, 1024)  # of square matrices
TOKENS = (128, 256, 448)  # of an example, a quarter of them its target
PROMPTS = (4, 8, 16)
EXAMPLES, WORDS, NEW = 3, 60, 48  # of a step; of a prompt's document; tokens of a summary


def subspaces(params: config.Params, rounds: int) -> Iterator[spent.Size]:
    """Seconds of the leading 16 directions of one dense matrix, and of one update of rank 32."""
    for side in SIDES:
        weight, a, b = torch.randn(side, side), torch.randn(32, side), torch.randn(side, 32)
        arms = {
            "matrix": lambda weight=weight: subspace.top_directions(weight, 16),
            "update": lambda a=a, b=b: subspace.of_update(a, b, 2.0, 16),
        }
        taken = spent.rounds(arms, rounds)
        yield str(side), {name: spent.seconds(each) for name, each in taken.items()}


def fishers(params: config.Params, rounds: int) -> Iterator[spent.Size]:
    """Seconds of the Fisher and of a training step on the same rows; their throughputs compare as `of_a_step`."""
    model = _adapted(params, trainable=True).train()
    weights, accelerator = adapt.trainable(model), Accelerator(cpu=not torch.cuda.is_available())
    step = _stepping(model, weights, accelerator)
    for tokens in TOKENS:
        rows = _rows(tokens)
        batch = list(batches.micro_batches(rows, EXAMPLES, 0))
        arms = {
            "step": lambda batch=batch: step(batch),
            "fisher": lambda rows=rows: fisher.diagonal(model, rows, weights, pad=0, accelerator=accelerator),
        }
        taken = spent.rounds(arms, rounds)
        figures: dict[str, Any] = {name: spent.seconds(each) for name, each in taken.items()}
        yield str(tokens), figures | {"examples": EXAMPLES, "of_a_step": spent.ratio(taken["step"], taken["fisher"])}


def predicting(params: config.Params, rounds: int) -> Iterator[spent.Size]:
    """Seconds of `predict` beside PEFT's model asked for one text after another; how many greedy texts agree."""
    tokenizer = backbone.prompter(params).tokenizer
    plain, ours = _adapted(params, trainable=False).eval(), summariser.loaded(params, ADAPTER)
    options = params.section("predict", predictions.Options).model_copy(update={"max_new_tokens": NEW})
    settings = predictions.generation(options)
    for size in PROMPTS:
        prompts = _prompts(params, size)
        texts: dict[str, list[Generated]] = {}
        arms = {
            "one_by_one": lambda prompts=prompts, texts=texts: texts.update(
                alone=[generate.generate(plain, tokenizer, [each], settings)[0] for each in prompts]
            ),
            "predict": lambda prompts=prompts, texts=texts: texts.update(
                batch=generate.generate(ours, tokenizer, prompts, settings)
            ),
        }
        taken = spent.rounds(arms, rounds, warm=False)
        figures: dict[str, Any] = {name: spent.seconds(each) for name, each in taken.items()}
        yield (
            str(size),
            figures
            | {
                "prompt_tokens": sum(len(each.ids) for each in prompts),
                "faster": spent.ratio(taken["one_by_one"], taken["predict"]),
                "same_texts": sum(map(_same, texts["alone"], texts["batch"])),
            },
        )


def _same(mine: Generated, theirs: Generated) -> bool:
    return mine.text == theirs.text


def _adapted(params: config.Params, *, trainable: bool) -> Any:
    base = compute.load(resolve.folder(BASE), params.section("compute", compute.Options))
    return adapt.load(base, ADAPTER, resolve.identity(BASE), trainable=trainable)


def _rows(tokens: int) -> list[Row]:
    draw = random.Random(0)
    ids = [[draw.randrange(1000, 30000) for _ in range(tokens)] for _ in range(EXAMPLES)]
    return [Row(f"r{number}", each[tokens // 4 :], each[: tokens // 4]) for number, each in enumerate(ids)]


def _prompts(params: config.Params, size: int) -> list[Any]:
    """Of the beginnings of documents, and in the order of `predict`."""
    prompter = backbone.prompter(params)
    documents = artifacts.read_records(DOCUMENTS, Document)[:size]
    prompts = {each.id: prompter.prompt(" ".join(each.text.split()[:WORDS])) for each in documents}
    return [prompts[name] for batch in predictions.batches(prompts, size) for name in batch]


def _stepping(model: Any, weights: dict[str, Any], accelerator: Accelerator) -> Any:
    """A function that takes one training step, cross-entropy alone, so small that it changes no timing."""
    given = Given(
        weights=weights,
        width=model.config.hidden_size,
        pad=0,
        accelerator=accelerator,
        seed=0,
        anchor=lambda: Anchor(dict(weights), {}),  # cross-entropy asks for none of these
        twins=lambda most: [],
    )
    built = objective.build({"cross_entropy": {}}, given)
    groups = optimizer.groups(weights, lr=1e-9, ratio=1.0, weight_decay=0.0)
    adam, numbers = optimizer.create("adamw", groups, (0.9, 0.999)), count()

    def step(batch: Sequence[Any]) -> None:
        taken: Iterator[loop.Measured] = loop.train(
            model,
            built.terms,
            adam,
            lambda _: 1.0,
            [batch],
            accelerator=accelerator,
            max_grad_norm=1.0,
            first_step=next(numbers),
        )
        list(taken)

    return step
