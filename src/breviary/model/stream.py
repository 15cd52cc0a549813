"""Text while it is being written: an iterator of pieces, which together are the text that `generate` gives.

The model writes in a thread of its own. A piece is passed on when later tokens cannot change it any more: white space
at the end waits, since the text ends without, and so do bytes that are not a whole character yet. Whoever stops
iterating stops the model within one token. Beam search knows its text only at the end, which is then one piece.
"""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from breviary.data.prompts import Generated, Prompt
from breviary.data.tokens import Tokenizer
from breviary.model.generate import generate
from breviary.model.guard import Guard
from breviary.model.limit import Limit

END = None  # the model's own end; an exception in the queue is raised where the pieces are read


class _Pieces:
    """What `generate` calls a streamer: given the prompt first, then each token, or several at once."""

    def __init__(self, tokenizer: Tokenizer, queue: "SimpleQueue[Any]") -> None:
        self.tokenizer, self.queue = tokenizer, queue
        self.ids: list[int] = []
        self.prompted = False
        self.sent = ""

    def put(self, ids: Any) -> None:
        """Pass on what these tokens settle."""
        if not self.prompted:
            self.prompted = True
            return
        self.ids += ids.flatten().tolist()
        if self.tokenizer.end not in self.ids:
            self.send(self.tokenizer.decode(self.ids).strip().rstrip("\ufffd").rstrip())

    def send(self, text: str) -> None:
        """Pass on what `text` has more than was sent, if it goes on from there."""
        if len(text) > len(self.sent) and text.startswith(self.sent):
            self.queue.put(text[len(self.sent) :])
            self.sent = text

    def end(self) -> None:
        """`generate` says this too early: the text is not decoded yet."""


def stream(
    model: Any, tokenizer: Tokenizer, prompt: Prompt, settings: dict[str, Any], limit: Limit, seed: int = 0
) -> Generator[str, None, Generated]:
    """Pieces of what `model` writes after `prompt` until `limit`; returns what `generate` returns.

    Raises BudgetError at once if the time is already over. Closing the generator ends the model's thread.
    """
    closed = threading.Event()
    guard = Guard(Limit(limit.due, limit.clock, limit.began, lambda: closed.is_set() or limit.cancelled()))
    return _pieces(model, tokenizer, prompt, settings, guard, seed, closed)


def _pieces(
    model: Any,
    tokenizer: Tokenizer,
    prompt: Prompt,
    settings: dict[str, Any],
    guard: Guard,
    seed: int,
    closed: threading.Event,
) -> Generator[str, None, Generated]:
    queue: SimpleQueue[Any] = SimpleQueue()
    pieces = _Pieces(tokenizer, queue)
    written: list[Generated] = []

    def write() -> None:
        try:
            streamer = pieces if settings.get("num_beams", 1) == 1 else None
            written.extend(generate(model, tokenizer, [prompt], settings, seed, guard, streamer))
            pieces.send(written[0].text)
            queue.put(END)
        except BaseException as error:
            queue.put(error)

    with _running(write, closed):
        for piece in iter(queue.get, END):
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    return written[0]


@contextmanager
def _running(work: Any, closed: threading.Event) -> Iterator[None]:
    """A thread that does `work` beside the block; the block's end, however it comes, tells it to stop and waits."""
    thread = threading.Thread(target=work, name="stream", daemon=True)
    thread.start()
    try:
        yield
    finally:
        closed.set()
        thread.join()
