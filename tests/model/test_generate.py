"""Batches write what single prompts write, stop at the end of the text, and repeat nothing of their own."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from breviary.data.prompts import Generated, Prompt
from breviary.data.tokens import Tokenizer
from breviary.model.generate import NoRepeatedNgrams, generate
from tests.weights import restless

LENGTHS = (3, 17, 9, 30, 1)
GREEDY = {"max_new_tokens": 12, "do_sample": False}
VOCAB = 5
TOKENS = st.lists(st.integers(0, VOCAB - 1), max_size=30)


@pytest.fixture(scope="module")
def model(tiny: Any) -> Any:
    """Larger random weights, so that greedy decoding is not one token for ever."""
    return restless(tiny.model())


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    draw = torch.Generator().manual_seed(0)
    return [Prompt(torch.randint(0, 256, (length,), generator=draw).tolist(), False) for length in LENGTHS]


def alone(model: Any, prompt: Prompt, **settings: Any) -> list[int]:
    """What transformers itself writes for one prompt without padding."""
    config = GenerationConfig(**GREEDY | settings, eos_token_id=257, pad_token_id=258)
    ids = torch.tensor([prompt.ids])
    written = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return written[0, len(prompt.ids) :].tolist()


def test_a_batch_writes_what_each_prompt_writes_alone(model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    expected = [alone(model, prompt) for prompt in prompts]
    assert len({tuple(ids) for ids in expected}) == len(prompts)  # or it would prove little
    texts = [tiny.tokenizer.decode(ids).strip() for ids in expected]
    assert [made.text for made in generate(model, tiny.tokenizer, prompts, GREEDY)] == texts


@pytest.mark.slow
def test_beams_write_what_each_prompt_writes_alone(model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    settings = GREEDY | {"num_beams": 3}
    texts = [tiny.tokenizer.decode(alone(model, prompt, **settings)).strip() for prompt in prompts]
    assert [made.text for made in generate(model, tiny.tokenizer, prompts, settings)] == texts


def test_it_stops_at_the_end_and_says_so(model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    written = alone(model, prompts[0])
    stop = next(index for index, token in enumerate(written) if index > 1 and token not in written[:index])
    ended = replace(tiny.tokenizer, end=written[stop])
    (made,) = generate(model, ended, prompts[:1], GREEDY)
    assert made == Generated(tiny.tokenizer.decode(written[:stop]).strip(), stop, True)
    made, *others = generate(model, ended, prompts, GREEDY)  # padded after its end while the others go on
    assert made == Generated(tiny.tokenizer.decode(written[:stop]).strip(), stop, True)
    assert any(other.tokens > stop for other in others)
    (cut,) = generate(model, ended, prompts[:1], GREEDY | {"max_new_tokens": stop})
    assert (cut.tokens, cut.finished) == (stop, False)


def test_the_end_may_also_be_the_padding(model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    written = alone(model, prompts[0])
    both = replace(tiny.tokenizer, end=written[2], pad=written[2])
    made = generate(model, both, prompts, GREEDY)[0]
    assert made.finished and made.tokens == written.index(written[2])


def test_the_same_seed_draws_the_same_text(model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    settings = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.0, "top_p": 0.95}
    first = generate(model, tiny.tokenizer, prompts, settings, seed=1)
    torch.rand(5)
    assert generate(model, tiny.tokenizer, prompts, settings, seed=1) == first
    assert generate(model, tiny.tokenizer, prompts, settings, seed=2) != first
    twice = generate(model, tiny.tokenizer, [prompts[0], prompts[0]], settings, seed=1)
    assert twice[0] != twice[1]


def test_settings_are_left_as_they_are(model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    settings = GREEDY | {"no_repeat_ngram": 2, "repetition_penalty": 1.2}
    generate(model, tiny.tokenizer, prompts[:1], settings)
    assert settings == GREEDY | {"no_repeat_ngram": 2, "repetition_penalty": 1.2}


def test_the_prompt_is_not_held_against_the_summary(model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    """Every token is in the prompt; transformers' own blocking would leave nothing to write."""
    everything = Prompt([*range(256), *prompts[3].ids], False)
    written = alone(model, everything, max_new_tokens=2)
    assert written[0] != written[1] and set(written) < set(everything.ids)
    settings = GREEDY | {"max_new_tokens": 2, "no_repeat_ngram": 1}
    (made,) = generate(model, tiny.tokenizer, [everything], settings)
    assert made.text == tiny.tokenizer.decode(written).strip()
    assert not set(alone(model, everything, max_new_tokens=2, no_repeat_ngram_size=1)) & set(everything.ids)


class Numbers(Tokenizer):
    """Says ids instead of text."""

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_summary_repeats_an_ngram(size: int, model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    numbers = Numbers(**vars(tiny.tokenizer))
    longer = {"max_new_tokens": 60, "do_sample": False}

    def repeated(**more: Any) -> int:
        written = [made.text.split() for made in generate(model, numbers, prompts, longer | more)]
        grams = [list(zip(*(ids[at:] for at in range(size)), strict=False)) for ids in written]
        return sum(len(each) - len(set(each)) for each in grams)

    assert repeated() > 0
    assert repeated(no_repeat_ngram=size) == 0


@given(TOKENS, TOKENS, st.integers(1, 4))
def test_exactly_the_tokens_that_would_repeat_are_forbidden(prompt: list[int], written: list[int], size: int) -> None:
    ids = torch.tensor([prompt + written], dtype=torch.long)
    scores = NoRepeatedNgrams(size, len(prompt))(ids, torch.zeros(1, VOCAB))
    grams = {tuple(written[at : at + size]) for at in range(len(written) - size + 1)}
    for token in range(VOCAB):
        last = (*written[len(written) - size + 1 :], token) if len(written) >= size - 1 else ()
        assert (scores[0, token] == float("-inf")) == (last in grams)


@pytest.mark.slow
@given(TOKENS, st.integers(1, 3), st.integers(0, 2**31))
def test_what_it_lets_pass_never_holds_an_ngram_twice(prompt: list[int], size: int, seed: int) -> None:
    draw, ids = torch.Generator().manual_seed(seed), list(prompt)
    block = NoRepeatedNgrams(size, len(prompt))
    for _ in range(25):
        scores = block(torch.tensor([ids], dtype=torch.long), torch.rand(1, VOCAB, generator=draw))
        if bool(torch.isinf(scores).all()):
            break
        ids.append(int(scores.argmax()))
    written = ids[len(prompt) :]
    grams = [tuple(written[at : at + size]) for at in range(len(written) - size + 1)]
    assert written and len(set(grams)) == len(grams)


def counted(model: Any) -> list[int]:
    """Grows by one with each forward pass of `model`."""
    passes: list[int] = []
    plain = model.forward

    def forward(*args: Any, **more: Any) -> Any:
        passes.append(1)
        return plain(*args, **more)

    model.forward = forward
    return passes


@pytest.mark.parametrize("more", [{}, {"no_repeat_ngram": 3}, {"no_repeat_ngram": 1}, {"repetition_penalty": 1.3}])
@pytest.mark.parametrize("row", range(len(LENGTHS)))
def test_prompt_lookup_writes_the_same_text(
    row: int, more: dict[str, Any], model: Any, tiny: Any, prompts: list[Prompt]
) -> None:
    settings = GREEDY | {"max_new_tokens": 40} | more
    longer = Prompt(prompts[row].ids * 4, False)
    (plain,) = generate(model, tiny.tokenizer, [longer], settings)
    assert generate(model, tiny.tokenizer, [longer], settings | {"prompt_lookup": 5}) == [plain]
    shown = Prompt([*longer.ids, *tiny.tokenizer.encode(plain.text), *longer.ids], False)  # what it may well guess
    (plain,) = generate(model, tiny.tokenizer, [shown], settings)
    assert generate(model, tiny.tokenizer, [shown], settings | {"prompt_lookup": 5}) == [plain]


def test_prompt_lookup_takes_fewer_passes_and_only_for_a_single_prompt(tiny: Any, prompts: list[Prompt]) -> None:
    """The random model writes one token for ever: every guess is right."""
    model, settings = tiny.model(), GREEDY | {"max_new_tokens": 40, "prompt_lookup": 9}
    passes = counted(model)
    (alone,) = generate(model, tiny.tokenizer, prompts[:1], settings)
    assert alone.tokens == 40 and len(passes) < 12
    passes.clear()
    both = generate(model, tiny.tokenizer, [prompts[0], prompts[0]], settings)
    assert both == [alone, alone] and len(passes) == 40


def test_no_ngram_comes_twice_with_prompt_lookup_either(model: Any, tiny: Any, prompts: list[Prompt]) -> None:
    numbers = Numbers(**vars(tiny.tokenizer))
    settings = {"max_new_tokens": 60, "do_sample": False, "prompt_lookup": 6, "no_repeat_ngram": 2}
    for prompt in prompts:
        (made,) = generate(model, numbers, [prompt], settings)
        grams = list(pairwise(made.text.split()))
        assert len(set(grams)) == len(grams) > 10
