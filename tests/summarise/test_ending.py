"""A summary ends in a whole sentence within its budget, or says that it does not."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.errors import BudgetError
from breviary.summarise.ending import ELLIPSIS, Ending, fit, sentence_ends

WORDS = [
    "bees",
    "3.5",
    "Dr.",
    "the",
    "U.S.",
    '"yes."',
    "(it",
    "works.)",
    "said,",
    "grew",
    "on;",
    "—",
    "end.",
    "Why?",
    "No!",
]
WORDS += ["句子。", "これは", "文、", "\n\n", "वाक्य", "है।", "e.g.", "Node.Js", "\ufffd", "\xa0", "wait…", "a" * 40]
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
    st.text(max_size=60),
)


def words(text: str) -> int:
    return len(text.split())


def characters(text: str) -> int:
    return len(text)


def quarters(text: str) -> int:
    """Not monotone: the last word of a text may cost less than its beginning does."""
    return (len(text) + 3) // 4 + text.count(".") % 3


COUNTS = st.sampled_from([words, characters, quarters])


def ended(text: str, max_tokens: int, *, finished: bool = False, count: Callable[[str], int] = words) -> Ending:
    return fit(text, max_tokens, count, finished=finished)


@given(TEXTS, st.integers(1, 40), COUNTS, st.booleans())
def test_what_comes_back_keeps_the_promises(
    text: str, budget: int, count: Callable[[str], int], finished: bool
) -> None:
    try:
        made = fit(text, budget, count, finished=finished)
    except BudgetError:
        first = text.strip().split()[0].rstrip(",;:—-")
        assert not finished or not first or count(first + ELLIPSIS) > budget
        return
    assert made.tokens == count(made.text) <= budget
    assert fit(made.text, budget, count, finished=True).text == made.text
    kept = made.text.removesuffix(ELLIPSIS) if made.how in ("clause", "word") else made.text
    written = text.strip()
    assert written.startswith(kept)
    assert bool(kept) == (made.how != "empty") == bool(written if finished else written.rstrip("\ufffd"))
    if made.how in ("whole", "sentence"):
        assert not made.flagged
        assert kept.rstrip("'\"”’“»›)]】」』")[-1] in ".!?…。！？｡．؟۔।॥።"  # noqa: RUF001
    rest = written[len(kept) :]
    inside = bool(rest) and rest[0].isalnum() and kept[-1:].isalnum() and kept.isascii() and rest[0].isascii()
    assert not (inside and kept)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Bees dance. They find food. Then they", "Bees dance. They find food."),
        ("Bees dance. They met Dr. Smith in the", "Bees dance."),
        ("Bees dance. They met Dr.", "Bees dance."),
        ("Bees dance. They work in the U.S.", "Bees dance."),
        ("Bees dance. It grew by 3.", "Bees dance."),
        ("Bees dance. It grew by 3.5 percent. And", "Bees dance. It grew by 3.5 percent."),
        ('Bees dance. He said "yes." Then', 'Bees dance. He said "yes."'),
        ("Bees dance. Wasps, ants, etc.", "Bees dance."),
        ("Bees dance. See Fig. 3 and", "Bees dance."),
        ("这是一个句子。这是另", "这是一个句子。"),
        ("これは文です。次の", "これは文です。"),
        ("यह एक वाक्य है। यह", "यह एक वाक्य है।"),
        ("هل هذا سؤال؟ نعم", "هل هذا سؤال؟"),
        ("Bees dance.\n\nA heading\n\nThey", "Bees dance."),
        ("Bees dance. We use Node.Js for", "Bees dance."),
    ],
)
def test_words_after_the_last_whole_sentence_are_left_out(text: str, kept: str) -> None:
    made = ended(text, 100)
    assert (made.text, made.how, made.flagged) == (kept, "sentence", False)


def test_a_finished_text_is_believed_where_a_broken_one_is_not() -> None:
    text = "Bees dance. They work in the U.S."
    assert ended(text, 100, finished=True) == Ending(text, 7, "whole")
    assert ended(text, 100).text == "Bees dance."


def test_the_last_sentence_that_fits_is_kept() -> None:
    text = "One two three. Four five. Six seven eight nine."
    kept = {budget: ended(text, budget, finished=True).text for budget in (3, 4, 5, 8, 9)}
    assert kept == {3: "One two three.", 4: "One two three.", 5: text[:25], 8: text[:25], 9: text}


def test_a_first_sentence_that_is_too_long_is_cut_at_a_clause_and_flagged() -> None:
    made = ended("The bees, which dance in the dark, find their food far away", 8, finished=False)
    assert made == Ending("The bees, which dance in the dark…", 7, "clause")
    assert made.flagged


def test_without_a_clause_that_keeps_half_it_is_cut_at_a_word() -> None:
    made = ended("Bees, it was found out much later on by many people", 6)
    assert made == Ending("Bees, it was found out much…", 6, "word")
    assert ended("这是一个没有停顿的长句子还在继续", 5, count=characters) == Ending("这是一个…", 5, "word")


def test_a_finished_text_without_a_full_stop_stays_and_is_flagged() -> None:
    assert ended("A talk about bees", 10, finished=True) == Ending("A talk about bees", 4, "open")
    assert ended("Bees dance. A talk about", 10, finished=True).text == "Bees dance."


@pytest.mark.parametrize("text", ["", " \n", "\ufffd", " \ufffd\ufffd "])
def test_nothing_is_empty(text: str) -> None:
    assert ended(text, 5) == Ending("", 0, "empty")


def test_a_budget_below_one_word_is_refused() -> None:
    with pytest.raises(BudgetError, match="a budget of 3 tokens does not hold one word of the summary; raise the numb"):
        ended("Extraordinarily long words", 3, count=characters)
    with pytest.raises(BudgetError, match="does not hold one word"):
        ended("a" * 50_000, 100, count=characters)


def test_a_long_text_takes_few_counts() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    assert fit("word " * 10_000, 50, count, finished=False).text == "word " * 9 + "word…"
    assert fit("Two words. " * 2_000, 50, count, finished=False).text == ("Two words. " * 4).strip()
    assert len(counted) < 100


def test_tokens_are_those_of_the_models_own_tokenizer(tiny: Any) -> None:
    made = fit("Bees dance. Wasps — don’t. And", 26, tiny.tokenizer.count, finished=False)  # noqa: RUF001
    assert made == Ending("Bees dance.", 11, "sentence")  # 26 characters more, but 30 bytes
    assert sentence_ends("Bees dance. Wasps — don’t.", finished=True) == [11, 26]  # noqa: RUF001
