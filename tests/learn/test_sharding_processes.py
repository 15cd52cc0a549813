"""Two processes that share the backbone out (FSDP 2) leave the adapter that one leaves, with EWC."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

TRAIN = """
import random, sys
from pathlib import Path
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from breviary.data.batches import Row
from breviary.learn import fit
from breviary.learn.curriculum import Options
from breviary.learn.objective import Objective, Whole
from breviary.learn.terms import cross_entropy, ewc
from breviary.model import adapt, compute
from breviary.model.adapters import lora

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
draw = random.Random(0)
token = lambda most: [draw.randrange(256) for _ in range(draw.randint(1, most))]
rows = [Row(f"e{index}", token(24), [*token(9), 257]) for index in range(12)]
options = Options.model_validate(dict(
    epochs=1, batch=5, micro_batch=2, optimizer=dict(kind="adamw", lr=5e-3, loraplus_ratio=4.0, weight_decay=0.01),
    schedule=dict(kind="cosine", warmup_share=0.1), max_grad_norm=1.0, gradient_checkpointing=False,
    terms=dict(cross_entropy=dict(weight=1.0)), validate_every=2, keep="best", checkpoint_every=2,
    max_nonfinite_share=0.0))
accelerator = Accelerator(cpu=True)
if accelerator.num_processes > 1:  # accelerate turns FSDP on where there are GPUs alone; all that follows is its own
    for state in (AcceleratorState, PartialState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    AcceleratorState._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin()
model = compute.load(folder, compute.Options(precision="fp32", quantisation="none"))
target = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.0, targets=["q_proj", "down_proj"])
model = adapt.create(model, target, 0).train()
held = [ewc.Held(w, torch.zeros_like(w), torch.ones_like(w)) for w in adapt.trainable(model).values()]
hold = Whole(0.01, backward=lambda number, model: ewc.pull(held, 0.01))
objective = Objective({"cross_entropy": (1.0, cross_entropy.term)}, {"ewc": hold})
fit.fit(model, options, rows[:-2], {"x": rows[-2:]}, accelerator=accelerator, pad=258, seed=1, objective=objective,
        constraints={}, scratch=out / "scratch", log=lambda values, step: None)
if accelerator.is_main_process:
    adapt.save(model, out / "adapter", "weights")
    print(accelerator.num_processes, sum(type(weight).__name__ == "DTensor" for weight in model.parameters()))
accelerator.end_training()
"""
FSDP = {  # what `accelerate launch` makes of configs/accelerate/fsdp.yaml
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_IGNORED_MODULES": r".*\.lora_[AB]",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}


@pytest.mark.slow
def test_a_sharded_backbone_trains_the_same_adapter(tiny: Any, tmp_path: Path, launch: Callable[..., str]) -> None:
    assert launch(TRAIN, 1, str(tiny.folder), str(tmp_path / "1")) == "1 0"
    count, sharded = launch(TRAIN, 2, str(tiny.folder), str(tmp_path / "2"), **FSDP).split()
    assert count == "2" and int(sharded) > 9, "the backbone is not in shards"
    one, two = (load_file(tmp_path / number / "adapter/adapter_model.safetensors") for number in "12")
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-6
    assert max(float(one[name].abs().max()) for name in one if "lora_B" in name) > 1e-3
