"""Whatever a model answers: all of the source is read, no call is too long, levels shrink, and origins are known."""

import re
from collections.abc import Callable, Generator
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from breviary.errors import DataError, ModelError
from breviary.summarise import hierarchy, retrieval
from breviary.summarise.levels import Asked, Asking

WORD = re.compile(r"\w{1,6}|[^\w\s]")
ROOM = 24
SUBJECTS = [
    "tides",
    "bread",
    "trains",
    "bees",
    "glass",
    "rivers",
    "clocks",
    "snow",
    "copper",
    "chess",
    "wool",
    "ink",
    "salt",
]
SENTENCES = [f"Of {a} and {b} we spoke at length." for a, b in combinations(SUBJECTS, 2)]


def offsets(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in WORD.finditer(text)]


def first(text: str) -> str:
    """A summary: the first sentence."""
    return re.split(r"(?<=[.!?])\s", text)[0]


MODELS: dict[str, Callable[[str], str]] = {
    "first": first,
    "last": lambda text: re.split(r"(?<=[.!?])\s", text)[-1],
    "same": lambda text: text,
    "double": lambda text: f"{text} {text}",
    "nothing": lambda text: "",
    "run on": lambda text: "and so it goes on " * 40,
    "rubbish": lambda text: "?!\n\n\u2028…",
    "other words": lambda text: "Quite unlike anything.",
}
models = st.sampled_from(sorted(MODELS))
texts = st.lists(
    st.one_of(st.sampled_from(SENTENCES), st.text(max_size=30), st.just("so we had this idea " * 9)), max_size=40
).map(" ".join)


def options(**changes: object) -> hierarchy.Options:
    chosen = {"mode": "map_reduce", "overlap_tokens": 0, "keep": 0.5, "max_depth": 12, "similarity": "tfidf"}
    return hierarchy.Options.model_validate({**chosen, "duplicate": 0.9, "parts": 3, "diversity": 0.3, **changes})


class Model:
    """Answers every text, and keeps what it was asked."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer, self.asked = answer, list[str]()

    def __call__(self, texts: list[str]) -> list[str]:
        self.asked += texts
        return [self.answer(text) for text in texts]


def summarise(text: str, model: Model, room: int = ROOM, **changes: object) -> hierarchy.Summary:
    begun = hierarchy.begin(text, options(**changes), room=room, offsets=offsets, similar=retrieval.tfidf)
    return run(begun, model)


def run(begun: Asking, answer: Callable[[list[str]], list[str]]) -> hierarchy.Summary:
    """What comes of `begun` where the model has nothing to tell on the way."""

    def read(asked: Asked) -> Generator[str, None, list[str]]:
        yield "reading"
        return answer(asked.texts)

    running, told = hierarchy.run(begun, read), list[str]()
    while True:
        try:
            told.append(next(running))
        except StopIteration as done:
            assert set(told) == {"reading"}
            return done.value


def letters(text: str) -> str:
    return "".join(text.split())


@settings(deadline=None, max_examples=25)
@given(text=texts, name=models, room=st.integers(16, 60))
def test_every_token_of_the_source_is_read_once_and_no_call_is_too_long(text, name, room):
    if not offsets(text):
        return
    model = Model(MODELS[name])
    made = summarise(text, model, room)
    assert all(0 < len(offsets(asked)) <= room for asked in model.asked)
    assert made.calls == len(model.asked)
    assert made.read == sum(len(offsets(asked)) for asked in model.asked)
    covered = "".join(model.asked[: len(made.chunks)])
    tokens = WORD.findall(letters(text))
    assert WORD.findall(letters(covered)) == tokens
    assert (made.coverage, made.truncated) == (1.0, False)


@settings(deadline=None, max_examples=25)
@given(text=texts, name=models, mode=st.sampled_from(sorted(hierarchy.MODES)), room=st.integers(16, 60))
def test_every_sentence_of_a_summary_knows_where_it_comes_from(text, name, mode, room):
    if not offsets(text):
        return
    made = summarise(text, Model(MODELS[name]), room, mode=mode)
    assert letters(made.text) == "".join(letters(each.text) for each in made.sentences)
    assert made.tokens == len(offsets(made.text))
    for each in made.sentences:
        assert each.chunks == sorted(set(each.chunks))
        assert all(0 <= chunk < len(made.chunks) for chunk in each.chunks)
        assert each.spans
        assert all(after[0] > before[1] for before, after in pairwise(each.spans))
        for start, end in each.spans:
            assert text[start:end].strip()
            assert any(made.chunks[chunk][0] < end and start < made.chunks[chunk][1] for chunk in each.chunks)


@settings(deadline=None, max_examples=25)
@given(text=texts, name=models, mode=st.sampled_from(["refine", "extract"]), room=st.integers(16, 60))
def test_no_call_of_another_mode_is_too_long_either(text, name, mode, room):
    if not offsets(text):
        return
    model = Model(MODELS[name])
    made = summarise(text, model, room, mode=mode)
    assert all(0 < len(offsets(asked)) <= room for asked in model.asked)
    assert 0 < made.coverage <= 1
    if len(offsets(text)) <= room:
        assert (made.calls, made.coverage) == (1, 1.0)


def test_a_sentence_that_is_kept_as_it_is_leads_back_to_itself():
    text = " ".join(SENTENCES)
    made = summarise(text, Model(first))
    assert made.levels > 3
    assert [text[start:end] for each in made.sentences for start, end in each.spans] == [SENTENCES[0]]
    assert [each.chunks for each in made.sentences] == [[0]]


def test_a_document_that_fits_is_one_call_of_its_own_text():
    for mode in hierarchy.MODES:
        model = Model(first)
        made = summarise(f" {SENTENCES[0]}\n{SENTENCES[1]} ", model, mode=mode)
        assert (made.text, made.levels, made.calls, made.coverage) == (SENTENCES[0], 1, 1, 1.0)
        assert [asked.strip() for asked in model.asked] == [f"{SENTENCES[0]}\n{SENTENCES[1]}"]


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 90), st.floats(0.1, 0.6))
def test_every_level_is_shorter_than_the_one_below(sentences, keep):
    sizes = []

    def answer(texts: list[str]) -> list[str]:
        sizes.append(sum(len(offsets(text)) for text in texts))
        return texts

    begun = hierarchy.begin(
        " ".join(SENTENCES[:sentences]), options(keep=keep), room=ROOM, offsets=offsets, similar=retrieval.tfidf
    )
    made = run(begun, answer)
    assert made.levels == len(sizes)
    assert all(after <= keep * before + 1 for before, after in pairwise(sizes))


def test_a_level_that_does_not_shrink_is_an_error_that_says_why():
    with pytest.raises(ModelError, match=r"level 1: 39 summaries have 702 tokens and what they summarise has 702; th"):
        summarise(" ".join(SENTENCES), Model(lambda text: text), keep=1.0, duplicate=1.0)


def test_more_levels_than_allowed_are_an_error_that_says_what_to_do():
    with pytest.raises(ModelError, match=r"2 levels leave \d+ tokens, of which 24 fit a prompt; raise hierarchy.max_d"):
        summarise(" ".join(SENTENCES), Model(first), max_depth=2)


def test_what_is_said_twice_is_read_once_and_leads_back_to_both():
    text = " ".join([SENTENCES[10], SENTENCES[0], *SENTENCES[20:35], SENTENCES[0]])
    model = Model(lambda text: SENTENCES[0])
    made = summarise(text, model, room=100)
    assert model.asked[-1] == SENTENCES[0]
    assert made.sentences[0].chunks == [0, len(made.chunks) - 1]
    assert [text[start:end] for start, end in made.sentences[0].spans] == [SENTENCES[0]] * 2


def test_an_overlap_repeats_and_loses_nothing():
    model = Model(first)
    made = summarise(" ".join(SENTENCES[:20]), model, room=40, overlap_tokens=10)
    asked = model.asked[: len(made.chunks)]
    assert all(after.startswith(before.split(". ")[-1]) for before, after in pairwise(asked))
    assert all(any(sentence in text for text in asked) for sentence in SENTENCES[:20])


def test_refine_carries_its_summary_along():
    model = Model(first)
    made = summarise(" ".join(SENTENCES[:12]), model, room=40, mode="refine")
    assert made.calls == made.levels == len(made.chunks) > 2
    assert all(asked.startswith(SENTENCES[0]) for asked in model.asked)
    assert (made.text, made.sentences[0].chunks) == (SENTENCES[0], [0])


def test_an_empty_answer_takes_nothing_back_in_refine():
    answers = iter([SENTENCES[0], "", ""])
    made = summarise(" ".join(SENTENCES[:6]), Model(lambda text: next(answers)), room=40, mode="refine")
    assert (made.text, made.calls) == (SENTENCES[0], 3)


def test_extract_reads_what_is_central_in_the_order_of_the_source():
    text = " ".join(["Odd words only.", *SENTENCES[:5], "Nothing shared here.", *SENTENCES[5:10]])
    model = Model(lambda text: text)
    made = summarise(text, model, room=60, mode="extract", parts=4)
    assert made.calls == len(model.asked) == 1
    assert "Odd" not in model.asked[0]
    assert 0 < made.coverage < 1
    places = [text.index(each.text) for each in made.sentences]
    assert places == sorted(places)


def test_truncate_reads_the_beginning():
    text = " ".join(SENTENCES[:10])
    made = summarise(text, Model(first), mode="truncate")
    assert (made.text, made.calls, made.truncated) == (SENTENCES[0], 1, True)
    assert made.coverage == pytest.approx(ROOM / len(offsets(text)))


@pytest.mark.parametrize("mode", hierarchy.MODES)
@pytest.mark.parametrize("text", ["", " \n"])
def test_a_document_without_a_token_is_refused(mode, text):
    with pytest.raises(DataError, match="without a single token cannot be summarised"):
        summarise(text, Model(first), mode=mode)


def test_a_model_that_drops_an_answer_is_an_error():
    with pytest.raises(ModelError, match="2 texts went in and 1 summaries came out"):
        begun = hierarchy.begin(" ".join(SENTENCES[:4]), options(), room=ROOM, offsets=offsets, similar=retrieval.tfidf)
        run(begun, lambda texts: texts[1:])


def test_the_same_text_gives_the_same_summary():
    text = " ".join(SENTENCES)
    assert summarise(text, Model(first)) == summarise(text, Model(first))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "mapreduce"}, "'truncate', 'map_reduce', 'refine' or 'extract'"),
        ({"keep": 0.0}, "greater than 0"),
        ({"overlap": 3}, "unknown key, did you mean 'overlap_tokens'"),
        ({"duplicate": 1.1}, "less than or equal to 1"),
    ],
)
def test_options_out_of_range_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        options(**change)
