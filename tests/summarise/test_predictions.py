"""Batches, resumption after a kill, and which documents are summarised."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from breviary import artifacts
from breviary.data.prompts import Generated, Prompt
from breviary.errors import DataError, ModelError
from breviary.records import Document, Prediction
from breviary.summarise.predictions import Decoding, Options, batches, generation, predict, records, select

LENGTHS = {"a": 3, "b": 9, "c": 5, "d": 9, "e": 1, "f": 2, "g": 7}
PROMPTS = {name: Prompt([ord(name)] * length, truncated=length > 8) for name, length in LENGTHS.items()}
PLAN = [["b", "d", "g"], ["c", "a", "f"], ["e"]]


class Model:
    """Answers with the first token and the length of each prompt; dies before batch `dies_at`."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.seen: list[list[str]] = []
        self.dies_at = dies_at

    def __call__(self, prompts: list[Prompt]) -> list[Generated]:
        if len(self.seen) == self.dies_at:
            raise KeyboardInterrupt
        self.seen.append([chr(prompt.ids[0]) for prompt in prompts])
        return [Generated(f"\u2028 «{chr(p.ids[0])}»\n{len(p.ids)}", len(p.ids), len(p.ids) > 2) for p in prompts]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "predict" / "base.jsonl"


@pytest.fixture
def whole(tmp_path: Path) -> tuple[dict[str, Generated], bytes]:
    """Result and scratch file of a run that nobody disturbed."""
    file = tmp_path / "whole.jsonl"
    return predict(PROMPTS, Model(), file, batch_size=3), file.read_bytes()


def test_batches_go_from_the_longest_prompt_to_the_shortest_with_ties_by_id():
    assert batches(PROMPTS, 3) == PLAN
    assert batches(dict(reversed(PROMPTS.items())), 3) == PLAN


@given(st.dictionaries(st.text(max_size=4), st.integers(1, 20), max_size=30), st.integers(1, 7))
def test_every_prompt_is_in_one_batch(lengths, size):
    plan = batches({name: Prompt([0] * length, False) for name, length in lengths.items()}, size)
    assert sorted(name for batch in plan for name in batch) == sorted(lengths)
    assert all(len(batch) == size for batch in plan[:-1])
    sizes = [lengths[name] for batch in plan for name in batch]
    assert sizes == sorted(sizes, reverse=True)


def test_answers_come_back_under_their_own_ids_in_the_order_of_the_ids(whole):
    result, _ = whole
    assert list(result) == sorted(PROMPTS)
    assert all(result[name].text.split("»\n") == [f"\u2028 «{name}", str(LENGTHS[name])] for name in PROMPTS)


@pytest.mark.parametrize("dies_at", [0, 1, 2])
def test_a_killed_run_that_is_resumed_equals_an_uninterrupted_one(scratch, whole, dies_at):
    with pytest.raises(KeyboardInterrupt):
        predict(PROMPTS, Model(dies_at), scratch, batch_size=3)
    second = Model()
    assert predict(PROMPTS, second, scratch, batch_size=3) == whole[0]
    assert second.seen == PLAN[dies_at:]
    assert scratch.read_bytes() == whole[1]


def test_a_finished_run_asks_the_model_nothing(scratch, whole):
    predict(PROMPTS, Model(), scratch, batch_size=3)
    assert predict(PROMPTS, Model(dies_at=0), scratch, batch_size=3) == whole[0]


def test_a_file_torn_anywhere_is_resumed_from_its_last_whole_line(scratch, whole):
    result, content = whole
    ends = [at for at, byte in enumerate(content) if byte == ord("\n")]
    assert len(ends) == 3
    scratch.parent.mkdir()
    for length in [0, 1, *(end + by for end in ends for by in (-40, -1, 0, 1))]:
        scratch.write_bytes(content[:length])
        model = Model()
        assert predict(PROMPTS, model, scratch, batch_size=3) == result
        assert model.seen == PLAN[content[:length].count(b"\n") :]
        assert scratch.read_bytes() == content


def test_a_damaged_line_and_what_follows_it_are_done_again(scratch, whole):
    result, content = whole
    lines = content.splitlines(keepends=True)
    scratch.parent.mkdir()
    for damaged in (b"\0" * 40 + b"\n", b"[]\n", lines[2]):
        scratch.write_bytes(lines[0] + damaged + lines[2])
        model = Model()
        assert predict(PROMPTS, model, scratch, batch_size=3) == result
        assert model.seen == PLAN[1:]


def test_scratch_of_other_prompts_or_batches_is_not_taken_over(scratch):
    predict(PROMPTS, Model(), scratch, batch_size=3)
    changed = {**PROMPTS, "b": Prompt([ord("b")] * 8 + [0], truncated=True)}
    model = Model()
    predict(changed, model, scratch, batch_size=3)
    assert model.seen == PLAN
    model = Model()
    predict(PROMPTS, model, scratch, batch_size=4)
    assert [len(batch) for batch in model.seen] == [4, 3]
    assert len(scratch.read_text().split("\n")) == 3


def test_every_batch_is_on_disk_before_the_next_one_begins(scratch):
    sizes = []

    def generate(prompts: list[Prompt]) -> list[Generated]:
        sizes.append(scratch.read_bytes().count(b"\n"))
        return Model()(prompts)

    predict(PROMPTS, generate, scratch, batch_size=3)
    assert sizes == [0, 1, 2]
    assert all(json.loads(line)["generated"] for line in scratch.read_text(encoding="utf-8").splitlines())


def test_a_model_that_drops_an_answer_is_an_error(scratch):
    with pytest.raises(ModelError, match="3 prompts went in and 2 texts came out"):
        predict(PROMPTS, lambda prompts: Model()(prompts)[1:], scratch, batch_size=3)


def documents() -> list[Document]:
    return [
        Document(domain, f"{domain} {number}", "Some text.", "A summary." if number else "", id=f"{number}{domain}")
        for domain in ("talk", "paper")
        for number in range(5)
    ]


def test_only_documents_of_the_split_with_a_reference_are_chosen_and_at_most_so_many_of_a_domain():
    split_of = {document.id: "train" if document.title.endswith("1") else "test" for document in documents()}
    chosen = select(documents(), split_of, "test", None)
    assert [document.id for document in chosen] == ["2paper", "2talk", "3paper", "3talk", "4paper", "4talk"]
    assert [document.id for document in select(documents()[::-1], split_of, "test", 1)] == ["2paper", "2talk"]


def test_an_empty_split_is_an_error():
    split_of = {document.id: "train" for document in documents()}
    with pytest.raises(DataError, match=r"split 'test' has no document with a reference summary; see chunk\.split"):
        select(documents(), split_of, "test", None)


def test_records_carry_the_counts_and_survive_the_disk(tmp_path):
    chosen = [Document("talk", "t", "text", "summary", id=name) for name in sorted(PROMPTS, reverse=True)]
    generated = predict(PROMPTS, Model(), tmp_path / "scratch.jsonl", batch_size=2)
    made = records("phase2", chosen, PROMPTS, generated)
    assert [each.document for each in made] == sorted(PROMPTS)
    assert made[1] == Prediction("b", "talk", "phase2", generated["b"].text, 9, 9, finished=True, truncated=True)
    artifacts.write_records(tmp_path / "base.jsonl", made)
    assert artifacts.read_records(tmp_path / "base.jsonl", Prediction) == made


DECODING = {
    "beams": 1,
    "sample": False,
    "temperature": 1.0,
    "top_p": 1.0,
    "length_penalty": 1.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram": 0,
}
OPTIONS = {"split": "test", "limit": None, "batch_size": 8, "max_new_tokens": 96, "decoding": DECODING}


def test_options_are_read_from_plain_values():
    options = Options.model_validate({**OPTIONS, "limit": 5, "decoding": {**DECODING, "temperature": 1}})
    assert (options.limit, options.decoding) == (5, Decoding(**DECODING))


def test_settings_that_a_strategy_ignores_are_not_handed_to_it():
    def settings(**decoding):
        return generation(Options.model_validate({**OPTIONS, "decoding": {**DECODING, **decoding}}))

    greedy = {"max_new_tokens": 96, "num_beams": 1, "do_sample": False, "repetition_penalty": 1.0, "no_repeat_ngram": 0}
    assert settings() == settings(temperature=0.7, top_p=0.9, length_penalty=2.0) == greedy
    assert settings(beams=4, length_penalty=1.1) == greedy | {"num_beams": 4, "length_penalty": 1.1}
    assert settings(sample=True, top_p=0.9) == greedy | {
        "do_sample": True,
        "temperature": 1.0,
        "top_p": 0.9,
        "top_k": 0,
    }
    assert settings(no_repeat_ngram=3)["no_repeat_ngram"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": 0}, "greater than or equal to 1"),
        ({"batch_size": 0}, "greater than or equal to 1"),
        ({"split": "tset"}, "'train', 'valid' or 'test'"),
        ({"decoding": {**DECODING, "temperature": 0.0}}, "greater than 0"),
        ({"decoding": {**DECODING, "beam": 2}}, "unknown key, did you mean 'beams'"),
        ({"decoding": {**DECODING, "sample": 1}}, "valid boolean"),
    ],
)
def test_options_out_of_range_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Options.model_validate({**OPTIONS, **change})
