"""Text from prompts: batched, padded on the left, ended by the model or by the token limit.

Whatever discourages repetition starts after the prompt. The library's own `no_repeat_ngram_size` counts the prompt's
n-grams too, which in a decoder forbids a summary to name anything in the words of its source.

Prompt lookup (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding) guesses the next tokens: those that followed
where the prompt, or the summary so far, held the latest two tokens, or the latest one. One forward pass checks them all
and keeps those that greedy decoding writes anyway, so that the text is the same, but for ties within rounding.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
)

from breviary.data.prompts import Generated, Prompt
from breviary.data.tokens import Tokenizer


class NoRepeatedNgrams(LogitsProcessor):
    """Forbid a generated n-gram to occur twice, counting from `start` on."""

    def __init__(self, size: int, start: int) -> None:
        self.size, self.start = size, start

    def __call__(
        self, input_ids: Int[Tensor, "batch time"], scores: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        """Scores with -inf where the next token would complete an n-gram that is there already.

        A copy: prompt lookup puts the same scores before several tokens.
        """
        scores = scores.clone()
        for row, ids in enumerate(input_ids[:, self.start :].tolist()):
            last = ids[len(ids) - self.size + 1 :]
            seen = range(len(ids) - self.size + 1)
            banned = [ids[at + self.size - 1] for at in seen if ids[at : at + self.size - 1] == last]
            scores[row, banned] = float("-inf")
        return scores


@torch.inference_mode()
def generate(
    model: Any,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    settings: dict[str, Any],
    seed: int = 0,
    watch: StoppingCriteria | None = None,
    streamer: Any = None,
) -> list[Generated]:
    """What `model` writes after each prompt.

    `settings` are transformers' generation arguments, and our `no_repeat_ngram` and `prompt_lookup`: how many tokens
    are guessed at a time, for a single prompt decoded greedily; a larger batch is decoded without, to the same text.
    `watch` is asked after each step whether to stop. `streamer`, for a single prompt without beams, gets each token.

    The rows of one batch influence each other's last bits (padding changes the order of sums), so that the same
    batches must be formed to get the same text again. Tokens are drawn from `seed` and the batch alone.
    """
    settings = dict(settings)
    blocked, penalty = settings.pop("no_repeat_ngram", 0), settings.pop("repetition_penalty", 1.0)
    lookup = settings.pop("prompt_lookup", 0)
    if lookup and len(prompts) == 1:
        settings["prompt_lookup_num_tokens"] = lookup
    if settings.get("do_sample"):
        torch.manual_seed(seed + zlib.crc32(repr([prompt.ids for prompt in prompts]).encode()))
    input_ids, mask = _padded(prompts, tokenizer.pad)
    width = input_ids.shape[1]
    written = model.generate(
        input_ids=input_ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=GenerationConfig(
            **settings, eos_token_id=tokenizer.end, pad_token_id=tokenizer.pad, bos_token_id=None
        ),
        logits_processor=_processors(blocked, penalty, width),
        stopping_criteria=StoppingCriteriaList([watch] if watch else []),
        streamer=streamer,
    )
    return [_read(row, tokenizer) for row in written[:, width:].tolist()]


def _padded(prompts: Sequence[Prompt], pad: int) -> tuple[Int[Tensor, "batch time"], Bool[Tensor, "batch time"]]:
    """The prompts, each ending where the longest does, and which tokens are theirs."""
    width = max(len(prompt.ids) for prompt in prompts)
    input_ids = torch.full((len(prompts), width), pad)
    for row, prompt in enumerate(prompts):
        input_ids[row, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
    return input_ids, torch.arange(width) >= torch.tensor([[width - len(prompt.ids)] for prompt in prompts])


def _processors(blocked: int, penalty: float, prompt: int) -> LogitsProcessorList:
    """What discourages repetition, counting from the end of the prompt on."""
    chosen = LogitsProcessorList()
    if blocked:
        chosen.append(NoRepeatedNgrams(blocked, prompt))
    if penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=prompt))
    return chosen


def _read(ids: list[int], tokenizer: Tokenizer) -> Generated:
    finished = tokenizer.end in ids
    kept = ids[: ids.index(tokenizer.end)] if finished else ids
    return Generated(tokenizer.decode(kept).strip(), len(kept), finished)
