"""Pieces are the text, come while it is written, and stop with whoever reads them."""

import copy
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from breviary.data.prompts import Generated, Prompt
from breviary.data.tokens import Tokenizer
from breviary.errors import BudgetError
from breviary.model import limit
from breviary.model.generate import generate
from breviary.model.stream import stream
from tests.weights import restless

GREEDY = {"max_new_tokens": 30, "do_sample": False}
PROMPT = Prompt(list(b"a text about bees, a text about"), False)


@pytest.fixture(scope="module")
def model(tiny: Any) -> Any:
    """Larger random weights: text of many bytes, few of which are whole characters."""
    return restless(tiny.model())


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "stream"]


def read(pieces: Any) -> tuple[list[str], Generated]:
    """All pieces, and what the generator returned."""
    found = []
    while True:
        try:
            found.append(next(pieces))
        except StopIteration as stop:
            return found, stop.value


@pytest.mark.parametrize("more", [{}, {"num_beams": 2}, {"no_repeat_ngram": 2}, {"prompt_lookup": 4}])
@pytest.mark.parametrize("prompt", [PROMPT, Prompt([195], False), Prompt(list(range(256)), False)])
def test_the_pieces_are_the_text(model: Any, tiny: Any, prompt: Prompt, more: dict[str, Any]) -> None:
    (whole,) = generate(model, tiny.tokenizer, [prompt], GREEDY | more)
    pieces, returned = read(stream(model, tiny.tokenizer, prompt, GREEDY | more, limit.start()))
    assert returned == whole
    assert "".join(pieces) == whole.text
    assert len(pieces) == 1 if "num_beams" in more else len(pieces) > 3


class Halves(Tokenizer):
    """Some of its tokens are half a character, some white space."""

    def decode(self, ids: list[int]) -> str:
        return "".join({1: "\ufffd", 2: "é", 3: " ", 4: "x"}[each] for each in ids).replace("\ufffdé", "é")


def test_half_a_character_and_white_space_at_the_end_wait(tiny: Any) -> None:
    from queue import SimpleQueue

    from breviary.model.stream import _Pieces

    tokenizer: Any = Halves(**vars(tiny.tokenizer) | {"end": 99})
    queue: SimpleQueue[Any] = SimpleQueue()
    pieces = _Pieces(tokenizer, queue)
    pieces.put(torch.tensor([[4, 4, 4]]))  # the prompt
    sent = []
    for token in (3, 4, 1, 2, 3, 3, 4, 99):
        pieces.put(torch.tensor([token]))
        sent.append("" if queue.empty() else queue.get())
    assert sent == ["", "x", "", "é", "", "", "  x", ""]


def test_whoever_stops_reading_stops_the_model(model: Any, tiny: Any) -> None:
    steps = []
    watched = copy.deepcopy(model)
    plain = watched.forward
    watched.forward = lambda *args, **more: steps.append(1) or plain(*args, **more)
    pieces = stream(watched, tiny.tokenizer, PROMPT, GREEDY | {"max_new_tokens": 4000}, limit.start())
    next(pieces)
    pieces.close()
    assert len(steps) < 2000


def test_a_cancelled_request_ends_with_what_there_is(model: Any, tiny: Any) -> None:
    flag = threading.Event()
    pieces = stream(model, tiny.tokenizer, PROMPT, GREEDY | {"max_new_tokens": 3000}, limit.start(None, flag.is_set))
    first = next(pieces)
    flag.set()
    rest, returned = read(pieces)
    assert first + "".join(rest) == returned.text
    assert returned.tokens < 3000 and not returned.finished


def test_what_goes_wrong_in_the_thread_is_raised_here(model: Any, tiny: Any) -> None:
    broken = tiny.model()

    def forward(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no such weights")

    broken.forward = forward
    with pytest.raises(RuntimeError, match="no such weights"):
        next(stream(broken, tiny.tokenizer, PROMPT, GREEDY, limit.start()))


def test_no_time_is_said_before_the_first_piece_is_asked_for(model: Any, tiny: Any) -> None:
    with pytest.raises(BudgetError, match="the time was over"):
        stream(model, tiny.tokenizer, PROMPT, GREEDY, limit.start(0))
