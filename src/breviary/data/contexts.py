"""A passage put to the model together with related ones, in the room that one passage alone would have.

    prefix | passage | Related passages: r1, r2, ... | suffix

Prefix and suffix stay whole, and so the prompt has never more than `Prompter.prompt` would give. Related passages may
take `share` of the room: the passage itself is shortened, from its end, only so far as they need that, and they get
whatever it leaves. They come best first, and what does not fit is cut from their end.
"""

from collections.abc import Sequence

from breviary.data.prompts import Prompt, Prompter

HEADING, BETWEEN = "\n\nRelated passages:\n\n", "\n\n"


def prompt(prompter: Prompter, text: str, related: Sequence[str], share: float) -> Prompt:
    """The prompt for `text` beside `related`; without any it is the plain one.

    `truncated` if the end of `text` is not there. Raises DataError if `text` has not one token.
    """
    plain = prompter.prompt(text)
    shown = [each.strip() for each in related if each.strip()]
    if not shown:
        return plain
    body = plain.ids[len(prompter.prefix) : len(plain.ids) - len(prompter.suffix)]
    beside = prompter.tokenizer.encode(HEADING + BETWEEN.join(shown))
    own = body[: prompter.room - min(len(beside), int(share * prompter.room))]
    rest = beside[: prompter.room - len(own)]
    return Prompt([*prompter.prefix, *own, *rest, *prompter.suffix], plain.truncated or len(own) < len(body))
