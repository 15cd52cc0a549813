"""The trainers that `bench.training` compares, each as a function that takes one step on the same rows.

trl           SFTTrainer of TRL, the usual choice, with what it does by itself and no gradient checkpointing
peft          PEFT and a loop by hand: transformers' own loss over all positions
unfused       breviary's loop (output head on label positions alone) on PEFT's own layers
breviary      the same on the fused layers of `model/fused.py`: what every phase runs
checkpointed  that with gradient checkpointing, for who has more time than memory
matmul        the matrix products of such a step alone, as one: what the machine could do at most
"""

import ctypes
import gc
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils import rnn

from breviary import config
from breviary.data import batches
from breviary.data.batches import IGNORED, Row
from breviary.learn import loop
from breviary.learn.start import BASE
from breviary.learn.terms import cross_entropy
from breviary.model import adapt, compute, fused, optimizer, resolve
from breviary.tracking.peaks import peak_memory

LR = 2e-4


@dataclass(frozen=True)
class Setting:
    """What is the same for all trainers."""

    precision: str
    rank: int
    dropout: float
    threads: int


@dataclass
class Took:
    """A step's loss in nats a target token, and what it took; `with` it around the step alone."""

    loss: float = float("nan")
    seconds: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> "Took":
        self.seconds, self.cpu = -time.perf_counter(), -time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter()
        self.cpu += time.process_time()


Step = Callable[[Sequence[Row]], Took]


def work(pipe: Connection, name: str, setting: Setting, rows: Sequence[Row], pad: int) -> None:
    """One trainer in a process of its own: a step each time it is asked, until it is told to stop."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    step = TRAINERS[name](setting, pad)
    while pipe.recv() == "step":
        took = step(rows)
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)  # all trainers wait beside one another: what is free goes back
        pipe.send({**vars(took), "memory_mib": peak_memory()["peak_resident_mib"]})


def _adapted(setting: Setting) -> Any:
    """The backbone with a fresh adapter, computed as PEFT does it."""
    params = config.read(Path("params.yaml"))
    options = params.section("compute", compute.Options).model_copy(update={"precision": setting.precision})
    chosen = params.section("adapter", config.Options)
    chosen = chosen.model_copy(update={"rank": setting.rank, "dropout": setting.dropout})
    return adapt.plain(compute.load(resolve.folder(BASE), options), chosen, 0).train()


def _trl(setting: Setting, pad: int) -> Step:
    import datasets
    from transformers import AutoTokenizer, TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    class Watched(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            took.__enter__()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            took.__exit__()

    model, took = _adapted(setting), Took()
    settings = {
        "output_dir": tempfile.mkdtemp(),  # it asks for one, and with nothing to save leaves it empty
        "max_steps": 1,
        "learning_rate": LR,
        "gradient_checkpointing": False,
        "bf16": setting.precision == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
    }

    def step(rows: Sequence[Row]) -> Took:
        ids = [row.prompt + row.target for row in rows]
        labels = [[IGNORED] * len(row.prompt) + row.target for row in rows]
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(per_device_train_batch_size=len(rows), **settings),
            train_dataset=datasets.Dataset.from_dict({"input_ids": ids, "labels": labels}),
            processing_class=AutoTokenizer.from_pretrained(resolve.folder(BASE)),
            callbacks=[Watched()],
        )
        took.loss = trainer.train().training_loss
        return took

    return step


def _peft(setting: Setting, pad: int) -> Step:
    model = _adapted(setting)
    weights = list(adapt.trainable(model).values())
    adam = torch.optim.AdamW(weights, lr=LR)

    def step(rows: Sequence[Row]) -> Took:
        ids = [torch.tensor(row.prompt + row.target) for row in rows]
        targets = [torch.tensor([IGNORED] * len(row.prompt) + row.target) for row in rows]
        padded = rnn.pad_sequence(ids, batch_first=True, padding_value=pad)
        labels = rnn.pad_sequence(targets, batch_first=True, padding_value=IGNORED)
        mask = rnn.pad_sequence([torch.ones_like(each) for each in ids], batch_first=True)
        given = {"input_ids": padded, "attention_mask": mask, "labels": labels}
        with Took() as took:
            loss = model(**{name: each.to(model.device) for name, each in given.items()}, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            adam.step()
            adam.zero_grad()
            took.loss = float(loss)
        return took

    return step


def _unfused(setting: Setting, pad: int) -> Step:
    return _ours(_adapted(setting), setting, pad)


def _breviary(setting: Setting, pad: int) -> Step:
    return _ours(fused.install(_adapted(setting)), setting, pad)


def _checkpointed(setting: Setting, pad: int) -> Step:
    model = fused.install(_adapted(setting))
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    return _ours(model, setting, pad)


def _ours(model: Any, setting: Setting, pad: int) -> Step:
    """One step of the training loop as a phase runs it."""
    from accelerate import Accelerator

    precision = "bf16" if setting.precision == "bf16" else "no"
    accelerator = Accelerator(mixed_precision=precision, cpu=not torch.cuda.is_available())
    weights = adapt.trainable(model)
    groups = optimizer.groups(weights, lr=LR, ratio=1.0, weight_decay=0.01)
    model, adam = accelerator.prepare(model, optimizer.create("adamw", groups, (0.9, 0.999)))

    def step(rows: Sequence[Row]) -> Took:
        micro_batches = list(batches.micro_batches(rows, len(rows), pad))
        with Took() as took:
            once = loop.train(
                model,
                {"cross_entropy": (1.0, cross_entropy.term)},
                adam,
                lambda _: 1.0,
                [micro_batches],
                accelerator=accelerator,
                max_grad_norm=1.0,
            )
            took.loss = next(iter(list(once))).terms["cross_entropy"]
        return took

    return step


def _matmul(setting: Setting, pad: int) -> Step:
    """As many operations as the products of a step with the shapes of the widest layer."""
    kind = torch.bfloat16 if setting.precision == "bf16" else torch.float32
    model = _adapted(setting)
    sizes, width = model.config, model.config.hidden_size
    frozen = sum(each.base_layer.weight.numel() for each in model.modules() if hasattr(each, "base_layer"))
    trained = sum(each.numel() for each in adapt.trainable(model).values())
    head = sizes.vocab_size * width
    del model
    weight = torch.randn(sizes.intermediate_size, width, dtype=kind)

    def step(rows: Sequence[Row]) -> Took:
        tokens, labels = sum(map(len, rows)), sum(len(row.target) for row in rows)
        operations = tokens * (4 * frozen + 6 * trained) + labels * 4 * head
        x = torch.randn(tokens, width, dtype=kind)
        with Took() as took:
            for _ in range(round(operations / (2 * tokens * weight.numel()))):
                functional.linear(x, weight)
        return took

    return step


TRAINERS: dict[str, Callable[[Setting, int], Step]] = {
    "trl": _trl,
    "peft": _peft,
    "unfused": _unfused,
    "breviary": _breviary,
    "checkpointed": _checkpointed,
    "matmul": _matmul,
}
