"""Will it fit? Peak memory of a phase, estimated before any work from the backbone's config.json and the params.

    weights       a quantised layer takes 4.127 bits a weight (nf4, double quantisation: arXiv:2305.14314, section 3) or
                  8; embeddings and output head stay in the compute precision (e bytes)
    adapter       rank * (in + out) a layer, in fp32: weight 4, gradient 4, Adam state 8 (2 in 8 bits) bytes
    activations   for each token, a fused layer (`fused.py`) keeps for the backward pass, at e bytes a number
                      4 width                 the inputs of two norms, and their outputs, which the adapted layers read
                      3 heads + 2 kv          queries, keys and values; what attention gives, and its copy for o_proj
                      2 mlp                   gate and up; their product is made again
                      rank a layer            what the factors A made of its input
                  with checkpointing: width a layer, and the whole of one layer at a time
    logits        3 fp32 copies over the vocabulary (they, their gradient, and that of one more term), at labels alone
    runtime       Python, torch and their buffers, and one dequantised matrix
and a tenth on top for fragmentation. Generation keeps keys and values instead: 2 e kv a token and layer.

Against measured peaks (`python -m bench.training`): SmolLM2-135M in fp32, rank 32, 4 x 512 tokens, 128 of them labels:
4.3 GB without and 4.7 with dropout, estimated 3.8. Mistral-7B in nf4, rank 32, 3 x 1,280 tokens with checkpointing:
11.3 GB in the loop of the first source system, which does not fuse; estimated 8.2. A guide to a fifth, not a bound:
dropout and what the allocator holds back are not in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

GB = 10**9
WEIGHT_BYTES = {"nf4": 4.127 / 8, "int8": 1.0}
COMPUTE_BYTES = {"bf16": 2, "fp32": 4}
STATE_BYTES = {"adamw": 8, "adamw_8bit": 2, "paged_adamw_8bit": 2}
RUNTIME = 600_000_000
SLACK = 1.1


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder that decide its memory."""

    layers: int
    width: int
    mlp: int
    heads: int  # width of the queries of all heads
    kv: int  # width of the keys of all heads
    vocab: int
    tied: bool

    def linear(self) -> dict[str, tuple[int, int]]:
        """(in, out) of the linear layers of one block."""
        return {
            "q_proj": (self.width, self.heads),
            "k_proj": (self.width, self.kv),
            "v_proj": (self.width, self.kv),
            "o_proj": (self.heads, self.width),
            "gate_proj": (self.width, self.mlp),
            "up_proj": (self.width, self.mlp),
            "down_proj": (self.mlp, self.width),
        }


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak, by what they are for."""

    weights: int
    adapter: int
    activations: int
    logits: int
    runtime: int

    @property
    def total(self) -> int:
        return int(SLACK * sum(getattr(self, part.name) for part in fields(self)))


def shape(config: Mapping[str, Any]) -> Shape:
    """The sizes that a backbone's config.json states."""
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    head = int(config.get("head_dim") or width // heads)
    return Shape(
        layers=int(config["num_hidden_layers"]),
        width=width,
        mlp=int(config["intermediate_size"]),
        heads=heads * head,
        kv=int(config.get("num_key_value_heads") or heads) * head,
        vocab=int(config["vocab_size"]),
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def weights(shape: Shape, *, precision: str, quantisation: str) -> int:
    """Bytes of the frozen backbone."""
    blocks = shape.layers * sum(inner * outer for inner, outer in shape.linear().values())
    embeddings = (1 if shape.tied else 2) * shape.vocab * shape.width
    wide = COMPUTE_BYTES[precision]
    return int(blocks * WEIGHT_BYTES.get(quantisation, wide)) + embeddings * wide


def training(
    shape: Shape,
    *,
    precision: str,
    quantisation: str,
    rank: int,
    targets: Sequence[str],
    optimizer: str,
    micro_batch: int,
    max_tokens: int,
    max_summary_tokens: int,
    gradient_checkpointing: bool,
) -> Estimate:
    """The peak of one training phase."""
    wide, linear, tokens = COMPUTE_BYTES[precision], shape.linear(), micro_batch * max_tokens
    adapted = [linear[target] for target in targets if target in linear]
    trained = shape.layers * rank * sum(inner + outer for inner, outer in adapted)
    layer = wide * (4 * shape.width + 3 * shape.heads + 2 * shape.kv + 2 * shape.mlp + rank * len(adapted))
    kept = wide * shape.width * shape.layers + layer if gradient_checkpointing else layer * shape.layers
    return Estimate(
        weights=weights(shape, precision=precision, quantisation=quantisation),
        adapter=trained * (4 + 4 + STATE_BYTES[optimizer]),
        activations=tokens * kept,
        logits=micro_batch * max_summary_tokens * shape.vocab * 4 * 3,
        runtime=_runtime(shape, precision, quantisation),
    )


def generation(
    shape: Shape, *, precision: str, quantisation: str, batch: int, max_tokens: int, max_new_tokens: int, beams: int
) -> Estimate:
    """The peak of batched generation."""
    wide, rows = COMPUTE_BYTES[precision], batch * beams
    cache = 2 * wide * shape.kv * shape.layers * (max_tokens + max_new_tokens)
    passing = max_tokens * (8 * shape.width + 3 * wide * shape.mlp)  # one layer of the prompt at a time
    return Estimate(
        weights=weights(shape, precision=precision, quantisation=quantisation),
        adapter=0,
        activations=rows * (cache + passing),
        logits=rows * shape.vocab * 4 * 2,
        runtime=_runtime(shape, precision, quantisation),
    )


def scoring(
    shape: Shape, *, precision: str, quantisation: str, batch: int, max_tokens: int, positions: int
) -> Estimate:
    """The peak of forward passes that keep nothing but the logits of `positions` tokens."""
    wide = COMPUTE_BYTES[precision]
    return Estimate(
        weights=weights(shape, precision=precision, quantisation=quantisation),
        adapter=0,
        activations=batch * max_tokens * (8 * shape.width + 3 * wide * shape.mlp),  # one layer at a time
        logits=positions * shape.vocab * 4 * 2,
        runtime=_runtime(shape, precision, quantisation),
    )


def _runtime(shape: Shape, precision: str, quantisation: str) -> int:
    matrix = 0 if quantisation == "none" else shape.width * shape.mlp * COMPUTE_BYTES[precision]
    return RUNTIME + matrix


def for_phase(config: Mapping[str, Any], compute: Any, adapter: Any, prompt: Any, phase: Any) -> Estimate:
    """The same from a backbone's config.json and the sections of params.yaml.

    EWC holds two more copies of the adapter, and a constraint on the step one; texts that are read for a contrast are
    in memory when the examples are not.
    """
    contrast = phase.terms.get("contrastive", {})
    texts = int(contrast.get("micro_batch", 0)) * int(contrast.get("max_tokens", 0))
    longest = max(prompt.max_tokens, -(-texts // phase.micro_batch))
    needed = training(
        shape(config),
        precision=compute.precision,
        quantisation=compute.quantisation,
        rank=adapter.rank,
        targets=adapter.targets,
        optimizer=phase.optimizer.kind,
        micro_batch=phase.micro_batch,
        max_tokens=longest,
        max_summary_tokens=prompt.max_summary_tokens,
        gradient_checkpointing=phase.gradient_checkpointing,
    )
    copies = 2 * ("ewc" in phase.terms) + ("orthogonal" in phase.constraints)
    return replace(
        needed, adapter=needed.adapter + copies * needed.adapter * 4 // (8 + STATE_BYTES[phase.optimizer.kind])
    )


def for_prediction(config: Mapping[str, Any], compute: Any, prompt: Any, predict: Any) -> Estimate:
    """The same for generation."""
    return generation(
        shape(config),
        precision=compute.precision,
        quantisation=compute.quantisation,
        batch=predict.batch_size,
        max_tokens=prompt.max_tokens,
        max_new_tokens=predict.max_new_tokens,
        beams=predict.decoding.beams,
    )


def for_requests(
    config: Mapping[str, Any], compute: Any, prompt: Any, budget: Any, profiles: Sequence[str]
) -> Estimate:
    """The same for requests of `profiles`: passages in batches, by the last profile of all, and one text by any."""
    last = list(budget.profiles.values())[-1]
    cases = [(budget.batch_size, last.beams), *((1, budget.profiles[name].beams) for name in profiles)]
    made = [
        generation(
            shape(config),
            precision=compute.precision,
            quantisation=compute.quantisation,
            batch=batch,
            max_tokens=prompt.max_tokens,
            max_new_tokens=prompt.max_summary_tokens,
            beams=beams,
        )
        for batch, beams in cases
    ]
    return max(made, key=lambda each: each.total)


def for_likelihood(config: Mapping[str, Any], compute: Any, prompt: Any, likelihood: Any, positions: int) -> Estimate:
    """The same for likelihoods, `positions` targets at a time; one long target may be more than that."""
    return scoring(
        shape(config),
        precision=compute.precision,
        quantisation=compute.quantisation,
        batch=likelihood.batch_size,
        max_tokens=max(prompt.max_tokens, likelihood.text_tokens),
        positions=max(positions, prompt.max_summary_tokens, likelihood.text_tokens),
    )
