"""The cost model: its arithmetic is what torch counts, its sizes are what PEFT makes, its tables are the document's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import scale, scale_costs
from breviary.data.batches import Row, collate
from breviary.learn.forward import forward
from breviary.model import adapt, memory
from breviary.model.adapters import lora

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/SCALE.md"


def test_the_document_has_the_tables_that_follow_from_the_formulae() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert scale.renewed(text) == text, "python -m bench.scale --write"
    assert {found["name"] for found in scale.TABLE.finditer(text)} == set(scale.tables())


@pytest.fixture
def adapted(tiny: Any) -> Any:
    options = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.0, targets=scale_costs.TARGETS)
    return adapt.create(tiny.model(), options, 0).train()


def test_the_adapter_has_the_weights_that_peft_makes(adapted: Any) -> None:
    shape = memory.shape(adapted.config.to_dict())
    made = sum(weight.numel() for weight in adapt.trainable(adapted).values())
    assert scale_costs.adapter(shape, rank=4) == made


def test_training_takes_the_arithmetic_that_torch_counts(adapted: Any) -> None:
    """To a tenth or so, on two layers: nobody asks for the gradient of the first one's input."""
    adapted.set_attn_implementation("eager")  # torch does not count the arithmetic of the CPU's fused attention
    shape = memory.shape(adapted.config.to_dict())
    row = Row("one", list(range(200)), list(range(50)))
    with FlopCounterMode(display=False) as counter:
        step = forward(adapted, collate([row], 258))
        torch.nn.functional.cross_entropy(step.logits, step.targets).backward()
    tokens = 250
    blocks, lora_weights = scale_costs.blocks(shape), scale_costs.adapter(shape, rank=4)
    a_token = 4 * blocks + 6 * lora_weights + 3 * scale_costs.attention(shape, tokens)
    expected = tokens * a_token + 4 * shape.vocab * shape.width * 50
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.12)


def test_checkpointing_costs_a_forward_pass() -> None:
    shape = scale_costs.SHAPES["Mistral-7B"]
    more = scale_costs.training(shape, 1280, True) - scale_costs.training(shape, 1280, False)
    assert more == scale_costs.forward(shape, 1280)


def test_what_grows_with_documents_does_and_the_rest_does_not() -> None:
    """A hundred times the documents and examples, on eight times the GPUs."""
    small, large = (scale_costs.RUNS[name] for name in ("7B, 100 k documents", "7B, 10 M documents"))
    before, after = scale_costs.seconds(small), scale_costs.seconds(large)
    assert after["mine_pairs: comparison"] == pytest.approx(10_000 * before["mine_pairs: comparison"])
    assert after["train, three phases"] == pytest.approx(100 / 8 * before["train, three phases"])
    assert after["subspace@base"] == before["subspace@base"]
    kept = [scale_costs.stored(run)["adapters, anchors, directions"] for run in (small, large)]
    assert kept[0] == kept[1]


def test_the_backbone_is_shared_out_and_the_adapter_is_not() -> None:
    peaks = scale_costs.peaks()
    whole, shared = peaks["7B bf16, DDP"], peaks["7B bf16, FSDP on 8"]
    assert whole.weights / 8 < shared.weights < whole.weights / 4
    assert shared.adapter == whole.adapter
    sent = scale_costs.traffic(scale_costs.RUNS["7B, 10 M documents"])
    assert sent["DDP"] < 8 * scale_costs.adapter(scale_costs.SHAPES["Mistral-7B"]) < sent["FSDP"]
