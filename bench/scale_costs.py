"""The formulae behind docs/SCALE.md: arithmetic, memory, traffic and bytes, from the sizes of a run.

forward        a token    2 (blocks + adapter) + 4 layers heads T      T tokens of its example: masked ones are computed
training       a token    4 blocks + 6 adapter + 3 times that attention: the backbone is frozen, so that of its two
                          products of the backward pass one is left; with checkpointing one forward pass more
head           a target   2 vocab width forward, 4 with the backward pass; nothing at other positions
decoding       a step     the larger of arithmetic and of reading all weights, and keys and values, once
eigenvectors   a matrix   2 s^2 l + 9 s^3, s its smaller side and l its larger, in fp64
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from breviary.model import memory
from breviary.model.memory import Estimate, Shape

RANK, DIRECTIONS = 32, 16
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPES = {
    "SmolLM2-135M": Shape(layers=30, width=576, mlp=1536, heads=576, kv=192, vocab=49152, tied=True),
    "Mistral-7B": Shape(layers=32, width=4096, mlp=14336, heads=4096, kv=1024, vocab=32000, tied=False),
}
TOKENS = {"SmolLM2-135M": 448, "Mistral-7B": 1280}
ENCODER_BLOCKS, ENCODER_WIDTH = 6 * (4 * 384**2 + 2 * 384 * 1536), 384  # all-MiniLM-L6-v2
PHASES, MODELS = 3, 5
HOST_UTILISATION = 0.5


@dataclass(frozen=True)
class Machine:
    """What one process computes on. Assumptions."""

    flops: float  # a second, of dense matrix products in the precision of the run
    utilisation: float  # share of it that training and reading prompts reach
    fp64: float  # a second
    host: float  # a second, in fp32, of the processor beside it: mining compares there
    memory: float  # bytes
    bandwidth: float  # bytes a second, of that memory
    link: float  # bytes a second from one process to the next


MACHINES = {
    "2 cores, fp32": Machine(170e9, 0.5, 85e9, 170e9, 23e9, 20e9, 0),
    "GPU, bf16": Machine(312e12, 0.4, 9.7e12, 2e12, 80e9, 2039e9, 300e9),  # an A100 of 80 GB, as its maker states it
}


@dataclass(frozen=True)
class Run:
    """One use of the pipeline. Assumptions."""

    backbone: str
    machine: str
    processes: int
    documents: int
    examples: int  # of all phases, an epoch counting once more
    targets: int  # tokens of a summary
    batch: int
    micro_batch: int
    tests: int  # documents that each model summarises
    measured: int  # examples of both Fishers
    checkpointing: bool

    @property
    def tokens(self) -> int:
        """Of an example, prompt and summary."""
        return TOKENS[self.backbone]

    @property
    def shape(self) -> Shape:
        return SHAPES[self.backbone]

    @property
    def rate(self) -> float:
        """FLOP a second of all processes."""
        machine = MACHINES[self.machine]
        return machine.flops * machine.utilisation * self.processes


RUNS = {
    "the default": Run("SmolLM2-135M", "2 cores, fp32", 1, 80, 112, 160, 6, 3, 20, 50, False),
    "7B, 100 k documents": Run("Mistral-7B", "GPU, bf16", 1, 100_000, 97_500, 256, 24, 3, 2000, 200, True),
    "7B, 10 M documents": Run("Mistral-7B", "GPU, bf16", 8, 10_000_000, 9_750_000, 256, 192, 3, 2000, 200, True),
}
MEASURED = {  # of the embedded default
    "bytes of a document": 504_644 / 80,  # data/documents.jsonl, its lines
    "bytes of an example": 183_451 / 30,  # data/mixtures/phase2.jsonl
    "bytes of a summary": 12_607 / 20,  # data/predictions/phase2.jsonl
    "bytes of a curve's step": (691 - 144) / 6,  # metrics/curves/train_phase3.csv without its head
    "metrics of a step": 16,  # of the run train_phase3
    "bytes of a metric in SQLite": 802_816 / 2703,  # .mlflow/mlflow.db: table metrics with its three indexes, its rows
    "tokens of a document": 504_644 / 80 / 4.5,  # at 4.5 bytes a token
    "CPU seconds of judging a summary": 43 / 160,  # docs/PERFORMANCE.md, Evaluation
    "passages of a document": 464 / 80,  # data/chunks.jsonl, its lines over documents
    "bytes of a token in a list": 36,  # Python: a pointer of 8, an integer of 28
}
GROWS = {
    "mine_pairs: embeddings": "documents",
    "mine_pairs: comparison": "documents squared, whatever the backbone",
    "subspace@base": "layers, and the cube of the width; not with documents",
    "train, three phases": "tokens trained on",
    "fisher, two phases": "its examples; not with documents",
    "predict, five models": "test documents, tokens written",
    "likelihood, five models": "test documents",
    "evaluate": "summaries; one process of the CPU",
}
KEPT = {
    "documents, and windows": "documents",
    "mixtures": "examples",
    "adapters, anchors, directions": "the adapter; not with documents",
    "DVC cache of one run": "the rows above; another experiment adds what it changes",
    "MLflow, database": "steps",
    "MLflow, artefacts": "the adapter",
    "curves in git": "steps",
    "documents in memory, in most stages": "documents",
    "passages' embeddings in memory, mine_pairs": "documents",
    "examples in memory while a phase trains": "examples of the phase",
}


def blocks(shape: Shape) -> int:
    """Weights of the linear layers of all blocks."""
    return shape.layers * sum(inner * outer for inner, outer in shape.linear().values())


def adapter(shape: Shape, rank: int = RANK) -> int:
    """Weights of a LoRA on all of them."""
    return shape.layers * rank * sum(inner + outer for inner, outer in shape.linear().values())


def attention(shape: Shape, tokens: int) -> float:
    """FLOP a token of a forward pass over `tokens`."""
    return 4 * shape.layers * shape.heads * tokens


def forward(shape: Shape, tokens: int) -> float:
    """FLOP a token."""
    return 2 * (blocks(shape) + adapter(shape)) + attention(shape, tokens)


def training(shape: Shape, tokens: int, checkpointing: bool) -> float:
    """FLOP a token of forward and backward pass through a frozen backbone with an adapter."""
    once = 4 * blocks(shape) + 6 * adapter(shape) + 3 * attention(shape, tokens)
    return once + (forward(shape, tokens) if checkpointing else 0)


def example(run: Run) -> float:
    """FLOP to train on one example, the head at its targets included."""
    head = 4 * run.shape.vocab * run.shape.width * run.targets
    return run.tokens * training(run.shape, run.tokens, run.checkpointing) + head


def steps(run: Run) -> int:
    """Optimiser steps of all phases; an epoch that is no whole number of them has one more."""
    return ceil(run.examples / run.batch)


def step_seconds(run: Run) -> float:
    """Arithmetic of one optimiser step."""
    return run.batch * example(run) / run.rate


def seconds(run: Run) -> dict[str, float]:
    """Of each stage that grows with anything."""
    machine, shape, per_document = MACHINES[run.machine], run.shape, MEASURED["tokens of a document"]
    read = run.tests * MODELS * run.tokens * forward(shape, run.tokens)
    return {
        "mine_pairs: embeddings": run.documents * per_document * 2 * ENCODER_BLOCKS / (run.rate / run.processes),
        "mine_pairs: comparison": 2 * (run.documents / 2) ** 2 * ENCODER_WIDTH / (machine.host * HOST_UTILISATION),
        "subspace@base": _eigenvectors(shape) / (machine.fp64 * machine.utilisation),
        "train, three phases": run.examples * example(run) / run.rate,
        "fisher, two phases": run.measured * example(run) / run.rate,
        "predict, five models": (read / run.rate * run.processes) + run.tests * MODELS * _writing(run),
        "likelihood, five models": read / run.rate * run.processes,
        "evaluate": run.tests * MODELS * MEASURED["CPU seconds of judging a summary"],
    }


def _eigenvectors(shape: Shape) -> float:
    found = 0
    for inner, outer in shape.linear().values():
        small, large = sorted((inner, outer))
        found += 2 * small**2 * large + 9 * small**3
    return shape.layers * found


def _writing(run: Run, together: int = 16) -> float:
    """Seconds of the tokens of one summary, `together` of them at a time, in one process."""
    machine, shape = MACHINES[run.machine], run.shape
    wide = 4 if "fp32" in run.machine else 2
    arithmetic = together * forward(shape, run.tokens) / (machine.flops * machine.utilisation)
    cache = 2 * wide * shape.kv * shape.layers * run.tokens * together
    reading = (wide * (blocks(shape) + shape.vocab * shape.width) + cache) / machine.bandwidth
    return run.targets * max(arithmetic, reading) / together


def peaks() -> dict[str, Estimate]:
    """Memory of a training phase with EWC and OPLoRA, by launch."""
    found = {}
    for name, precision, quantisation, run in (
        ("135M fp32, 2 cores", "fp32", "none", RUNS["the default"]),
        ("7B nf4, DDP", "bf16", "nf4", RUNS["7B, 10 M documents"]),
        ("7B bf16, DDP", "bf16", "none", RUNS["7B, 10 M documents"]),
    ):
        found[name] = _peak(run, precision, quantisation)
    whole = found["7B bf16, DDP"]
    shape, processes = SHAPES["Mistral-7B"], 8
    gathered = 2 * 2 * blocks(shape) // shape.layers  # two layers in bf16: the one in use, and the next
    found["7B bf16, FSDP on 8"] = replace(whole, weights=whole.weights // processes + gathered)
    return found


def _peak(run: Run, precision: str, quantisation: str) -> Estimate:
    needed = memory.training(
        run.shape,
        precision=precision,
        quantisation=quantisation,
        rank=RANK,
        targets=TARGETS,
        optimizer="adamw",
        micro_batch=run.micro_batch,
        max_tokens=run.tokens,
        max_summary_tokens=run.targets,
        gradient_checkpointing=run.checkpointing,
    )
    return replace(needed, adapter=needed.adapter + 3 * 4 * adapter(run.shape))  # EWC: two copies; a constraint: one


def traffic(run: Run) -> Mapping[str, float]:
    """Bytes that each GPU sends in an optimiser step. A ring: (N - 1) / N of what is gathered, twice that if summed."""
    others = (run.processes - 1) / run.processes
    gradient = 2 * others * 4 * adapter(run.shape)
    passes = ceil(run.batch / run.processes / run.micro_batch)
    gathered = others * 2 * blocks(run.shape) * passes * 2  # bf16; the forward pass, and the backward pass
    return {"DDP": gradient, "FSDP": gradient + gathered}


def stored(run: Run) -> dict[str, float]:
    """Bytes."""
    weights = 4 * adapter(run.shape)
    documents = 2 * run.documents * MEASURED["bytes of a document"]  # data/documents.jsonl, data/chunks.jsonl
    mixtures = run.examples * MEASURED["bytes of an example"]
    models = (
        weights * (PHASES + 1 + 2 * 2) + 3 * weights * DIRECTIONS / RANK
    )  # the student's; weights and Fisher, twice
    summaries = run.tests * MODELS * MEASURED["bytes of a summary"]
    passages, token = MEASURED["passages of a document"], MEASURED["bytes of a token in a list"]
    return {
        "documents, and windows": documents,
        "mixtures": mixtures,
        "adapters, anchors, directions": models,
        "DVC cache of one run": documents + mixtures + models + summaries,
        "MLflow, database": steps(run) * MEASURED["metrics of a step"] * MEASURED["bytes of a metric in SQLite"],
        "MLflow, artefacts": weights * (PHASES + 1 + 2 * 2),
        "curves in git": steps(run) * MEASURED["bytes of a curve's step"],
        "documents in memory, in most stages": documents / 2,
        "passages' embeddings in memory, mine_pairs": run.documents * passages * 4 * ENCODER_WIDTH,
        "examples in memory while a phase trains": run.examples / PHASES * run.tokens * token,
    }
