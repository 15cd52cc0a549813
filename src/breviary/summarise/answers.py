"""What belongs to the prompt stays in the prompt: its cues are no part of an answer, and those of a document are none.

A small model may go on after its summary with the next "Text:", or begin by repeating "Summary:". What is summarised
again must not hold such words: the next answer would begin where the template ends. A cue counts where it opens the
text, a line, or a sentence; a cue without punctuation, such as the names of roles in chat templates, only where it is a
line of its own. A document may hold "Summary:" as well, by chance or to be summarised as its author would like: a small
model goes on after the last of them that it reads.
"""

import re

from breviary.data.prompts import Prompter
from breviary.errors import BudgetError
from breviary.summarise import ending

PUNCTUATED = re.compile(r"[^\w\s]$")


def cues(prompter: Prompter) -> re.Pattern[str]:
    """What finds a cue of the prompter's template; the end of the text where the template has none."""
    tokenizer = prompter.tokenizer
    template = f"{tokenizer.decode(prompter.prefix)}\n{tokenizer.decode(prompter.suffix)}"
    lines = sorted({line.strip() for line in template.split("\n")} - {""}, key=lambda line: (-len(line), line))
    spelt = sorted(token for token in set(tokenizer.specials.values()) if len(token) > 1)
    begun = r"(?:\A|\n|(?<=[.!?…]\s))[^\S\n]*"
    shapes = [begun + _words(line) + ("" if PUNCTUATED.search(line) else r"[^\S\n]*(?=\n|\Z)") for line in lines]
    return re.compile("|".join([*shapes, *map(re.escape, spelt)]) or r"\Z", re.IGNORECASE)


def defused(text: str, cues: re.Pattern[str]) -> str:
    """`text`, a document, with a comma for the colon of each cue in it, so that it is none: of the same length.

    Not with a full stop, after which the next word might be a cue.
    """
    return cues.sub(lambda found: re.sub(r":\Z", ",", found[0]), text)


def _words(line: str) -> str:
    return r"\s+".join(map(re.escape, line.split()))


def unframed(text: str, cues: re.Pattern[str]) -> str:
    """`text` from after the cues that open it to before the next one."""
    text = text.strip()
    while (found := cues.match(text)) and found.end():
        text = text[found.end() :].strip()
    found = cues.search(text)
    return text[: found.start()].strip() if found else text


def read(text: str, cues: re.Pattern[str], *, finished: bool) -> str:
    """The usable part of an answer; `finished` if the model ended it, else it is cut back to its last whole sentence.

    An answer of less than a word comes to nothing.
    """
    kept = unframed(text, cues)
    ended = finished or not text.strip().endswith(kept)  # a cue ends a text as well as the model does
    try:
        return ending.fit(kept, len(kept) + 1, len, finished=ended).text
    except BudgetError:
        return ""
