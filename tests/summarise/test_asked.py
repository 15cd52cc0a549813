"""A request from the first passage to the last full stop: length, budget, provenance, what is told on the way."""

from dataclasses import replace
from typing import Any

import pytest

from breviary.data import prompts
from breviary.data.prompts import Prompter
from breviary.errors import BudgetError, DataError, ModelError
from breviary.model import limit
from breviary.model.cost import Cost, Pace
from breviary.summarise import budget, hierarchy, retrieval
from breviary.summarise.asked import Answer, Answerer, Progress, Request, Telling
from breviary.summarise.budgeted import Writer

OPTIONS = hierarchy.Options.model_validate(
    {
        "mode": "truncate",
        "overlap_tokens": 0,
        "keep": 0.5,
        "max_depth": 16,
        "similarity": "tfidf",
        "duplicate": 0.95,
        "parts": 4,
        "diversity": 0.3,
    }
)
BUDGET = budget.Options.model_validate(
    {
        "profiles": {"two": {"beams": 2}, "one": {"beams": 1}},
        "profile": "one",
        "max_tokens": 40,
        "max_ms": None,
        "min_tokens": 2,
        "reserve": 0.0,
        "batch_size": 3,
    }
)
COST = Cost({10: 1.0, 200: 20.0}, 0.0, {"two": Pace(2, {1: 1.0, 3: 1.0}), "one": Pace(1, {1: 1.0, 3: 1.0})})
TEXT = " ".join(f"Sentence {number} tells of bee {number} and of its garden." for number in range(40))


class Says:
    """The first words of whatever it is asked to summarise, as the model's own tokens, token by token."""

    def __init__(self, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from breviary.model import generate, stream

        self.tokenizer, self.calls, self.settings = tiny.tokenizer, list[int](), list[dict[str, Any]]()
        monkeypatch.setattr(generate, "generate", self.generate)
        monkeypatch.setattr(stream, "stream", self.stream)

    def said(self, prompt: prompts.Prompt, most: int) -> prompts.Generated:
        text = self.tokenizer.decode(prompt.ids).partition("Text:")[2].partition("\n\nSummary:")[0]
        ids = self.tokenizer.encode(text.strip())[:most]
        return prompts.Generated(self.tokenizer.decode(ids), len(ids), finished=False)

    def generate(self, model, tokenizer, asked_for, settings, seed, watch):
        self.calls.append(len(asked_for))
        self.settings.append(settings)
        return [self.said(each, settings["max_new_tokens"]) for each in asked_for]

    def stream(self, model, tokenizer, prompt, settings, inside, seed):
        self.calls.append(1)
        self.settings.append(settings)
        made = self.said(prompt, settings["max_new_tokens"])
        yield made.text
        return made


@pytest.fixture
def prompter(tiny: Any) -> Prompter:
    options = prompts.Options.model_validate({"style": "plain", "max_tokens": 400, "max_summary_tokens": 100})
    return prompts.build(options, tiny.tokenizer, 4096, lambda *_: ("", ""))


@pytest.fixture
def says(tiny, monkeypatch):
    return Says(tiny, monkeypatch)


@pytest.fixture
def answerer(tiny, prompter, says) -> Answerer:
    writer = Writer(None, tiny.tokenizer, BUDGET, lambda: COST, 0)
    return Answerer(writer, prompter, OPTIONS, retrieval.tfidf)


def told(answerer: Answerer, text: str, request: Request, ms: int | None = None) -> tuple[list[Any], Answer]:
    going, events = (
        answerer.answer(text, request, limit.start(ms, clock=lambda: 0.0)),
        [],
    )  # a busy machine is no matter
    while True:
        try:
            events.append(next(going))
        except StopIteration as done:
            return events, done.value


def test_a_short_text_is_one_call_streamed_and_ends_in_a_whole_sentence(answerer, says):
    events, answer = told(answerer, TEXT[:130], Request(max_tokens=60))
    assert says.calls == [1]
    assert events == [TEXT[:60]]
    assert answer.text == "Sentence 0 tells of bee 0 and of its garden."
    assert (answer.tokens, answer.calls, answer.truncated, answer.cut) == (44, 1, False, False)
    assert [TEXT[slice(*span)] for span in answer.sentences[0].spans] == [answer.text]


def said(monkeypatch: pytest.MonkeyPatch, says: Says, text: str, *, finished: bool) -> None:
    """Let the model say `text`, whatever it is asked."""
    made = prompts.Generated(text, 20, finished=finished)
    monkeypatch.setattr(says, "said", lambda *_: made)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "We study transformers. The method was introduced in 2020. It was then",
            "We study transformers. The method was introduced in 2020.",
        ),
        ("We study bees. Our model beats GPT-4.\n\nText: more", "We study bees. Our model beats GPT-4."),
        ("The company is Foo Inc. It was founded", "The company is Foo Inc."),
    ],
)
def test_a_text_that_was_broken_off_is_cut_back_once(answerer, says, monkeypatch, text, kept):
    """What proved that the last stop ends a sentence is gone after that."""
    said(monkeypatch, says, text, finished=False)
    _, answer = told(answerer, TEXT[:130], Request(max_tokens=90))
    assert (answer.text, answer.cut) == (kept, False)


def test_a_sentence_that_was_not_ended_is_said_to_be_cut(answerer, says, monkeypatch):
    said(monkeypatch, says, "In the gardens of the north, bees of every kind gather", finished=False)
    _, answer = told(answerer, TEXT[:130], Request(max_tokens=90))
    assert answer.text.endswith("…") and answer.cut
    said(monkeypatch, says, "And then there were bees…", finished=True)
    _, answer = told(answerer, TEXT[:130], Request(max_tokens=90))
    assert (answer.text, answer.cut) == ("And then there were bees…", False)


def test_a_long_text_is_read_whole_and_told_as_it_goes(answerer, says):
    events, answer = told(answerer, TEXT, Request(max_tokens=60))
    progress = [event for event in events if isinstance(event, Progress)]
    assert [each.done for each in progress] == sorted({each.done for each in progress})
    assert all(each.done < each.of for each in progress)
    assert sum(says.calls) == answer.calls > 8
    assert max(says.calls) == BUDGET.batch_size
    assert not answer.truncated
    assert answer.levels > 1
    assert answer.text.endswith(".") and answer.tokens <= 60
    assert all(0 <= start < end <= len(TEXT) for each in answer.sentences for start, end in each.spans)


@pytest.mark.parametrize(("mode", "calls", "truncated"), [("truncate", 1, True), ("extract", 1, True)])
def test_modes_that_read_a_part_say_so(answerer, says, mode, calls, truncated):
    _, answer = told(answerer, TEXT, Request(mode=mode))
    assert (answer.calls, answer.truncated, answer.mode) == (calls, truncated, mode)


def test_a_profile_is_used_as_it_is_described(answerer, says):
    _, answer = told(answerer, TEXT[:130], Request(profile="two"))
    assert (answer.profile, says.settings[0]["num_beams"]) == ("two", 2)


def test_time_is_shared_by_all_calls(answerer, says):
    _, unhurried = told(answerer, TEXT, Request(max_tokens=100))
    spent = len(says.calls)
    _, hurried = told(answerer, TEXT, Request(max_tokens=100), ms=900)
    lengths = [each["max_new_tokens"] for each in says.settings]
    assert set(lengths[:spent]) == {100}
    assert min(lengths[spent:]) < 100
    assert "of 100 tokens" in hurried.lowered
    assert unhurried.lowered == ""


def test_what_cannot_be_done_in_time_is_refused_before_the_model_is_asked_and_with_a_way_out(answerer, says):
    with pytest.raises(BudgetError, match=r"20 ms are too few .* or choose the mode 'extract'"):
        told(answerer, TEXT, Request(), ms=20)
    with pytest.raises(BudgetError, match=r"2 ms are too few .*give it less text$"):
        told(answerer, TEXT[:130], Request(), ms=2)
    assert says.calls == []


def test_more_tokens_than_the_prompt_leaves_room_for_are_refused(answerer):
    with pytest.raises(BudgetError, match=r"101 tokens are more than a summary may have .*is 100"):
        told(answerer, TEXT, Request(max_tokens=101))


def test_nothing_to_summarise_is_an_error(answerer):
    with pytest.raises(DataError, match="without a single token"):
        told(answerer, " \n ", Request())


def test_sentences_of_a_text_that_was_cut_are_those_that_are_left(answerer):
    _, answer = told(answerer, TEXT[:130], Request(max_tokens=30))
    assert answer.cut
    assert answer.text.endswith("…")
    assert [each.text for each in answer.sentences] == [answer.text]
    assert answer.sentences[0].spans


def test_notes_are_written_with_the_fastest_profile_and_no_longer_than_is_kept_of_them(answerer, says):
    few = replace(answerer, options=answerer.options.model_copy(update={"keep": 0.2}))
    _, answer = told(few, TEXT, Request(profile="two", max_tokens=70))
    beams = [(each["num_beams"], each["max_new_tokens"]) for each in says.settings]
    assert set(beams[:-1]) == {(1, int(0.2 * answerer.prompter.room))}
    assert beams[-1] == (2, 70)
    assert answer.profile == "two"


@pytest.mark.parametrize("text", ["Hello", "\u6f22\u5b57", "a b c d"])
def test_a_word_or_two_are_no_document(answerer, says, text):
    with pytest.raises(
        DataError, match=f"'{text}' is [567] tokens long; there is nothing to summarise in fewer than 8"
    ):
        told(answerer, text, Request())
    assert says.calls == []


@pytest.mark.parametrize("said", ["", "Summary:", "\n\nText:"])
def test_an_answer_without_a_word_is_an_error(answerer, says, monkeypatch, said):
    monkeypatch.setattr(says, "said", lambda prompt, most: prompts.Generated(said, 5, True))
    with pytest.raises(ModelError, match="the model answered without a word; try another model"):
        told(answerer, TEXT, Request())


def test_what_is_told_is_told_and_then_there_is_an_answer(answerer, says):
    telling = Telling(answerer.answer(TEXT[:130], Request(max_tokens=60), limit.start()))
    assert list(telling) == [TEXT[:60]]
    assert telling.answer.text == "Sentence 0 tells of bee 0 and of its garden."
