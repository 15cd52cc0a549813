"""Pairs in token ids."""

from typing import Any

import pytest

from breviary.data import prompts, views
from breviary.data.views import View
from breviary.errors import DataError
from breviary.records import PAIR, Example


def example(text: str, partner: str, number: int = 0) -> Example:
    return Example(f"l{number}", "paper", PAIR, "T", text, "S.", partner, f"r{number}" if partner else "")


@pytest.fixture
def prompter(tiny: Any) -> prompts.Prompter:
    """Its room for a document is 16 tokens, which are bytes."""
    before, after = "Say: ", "\n\nIn short:"
    room = len(before) - 1 + len(after) + 16 + 8
    options = prompts.Options(
        style="custom", template=f"{before}{{text}}{after}", max_tokens=max(64, room), max_summary_tokens=8
    )
    return prompts.build(options, tiny.tokenizer, 4096, lambda *_: ("", ""))


def test_a_view_is_the_beginning_of_the_prompt_without_its_end(prompter: prompts.Prompter) -> None:
    (made,) = views.twins([example("  A long text about nets. ", "Short.")], prompter, 12)
    first = len(prompter.prefix)
    assert (made.left.document, made.right.document) == ("l0", "r0")
    assert made.left.first == made.right.first == first
    whole = prompter.prompt("A long text about nets.").ids
    assert made.left.ids == whole[: first + 12]
    assert prompter.tokenizer.decode(made.left.ids[first:]) == " A long text"  # the template's space opens the document
    assert made.right == View("r0", prompter.prompt("Short.").ids[: -len(prompter.suffix)], first)


def test_no_view_is_longer_than_what_a_prompt_has_of_a_document(prompter: prompts.Prompter) -> None:
    (made,) = views.twins([example("x" * 5000, "y" * 5000)], prompter, 4000)
    assert len(made.left.ids) == len(made.right.ids) == len(prompter.prefix) + prompter.room


def test_all_documents_without_a_token_are_named_at_once(prompter: prompts.Prompter) -> None:
    broken = [example(" \n", "R.", 1), example("L.", "R.", 2), example("L.", "\t", 3), example("L.", "", 4)]
    with pytest.raises(DataError) as raised:
        views.twins(broken, prompter, 8)
    lines = str(raised.value).splitlines()
    assert [line.split(": ")[1] for line in lines[:3]] == ["document l1", "document r3", "document (no partner)"]
    assert lines[3] == "leave such documents out of data.sources, or run `dvc repro mix`"


def test_no_pairs_are_no_twins(prompter: prompts.Prompter) -> None:
    assert views.twins([], prompter, 8) == []
