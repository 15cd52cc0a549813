"""Likelihoods of documents: the prompt of training, plain text, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from breviary import artifacts
from breviary.data import prompts
from breviary.errors import DataError, ModelError
from breviary.model import adapt, chat
from breviary.records import Document, Likelihood
from breviary.summarise import likelihoods

OPTIONS = likelihoods.Options(split="test", limit=None, batch_size=3, text_tokens=24)
DOCUMENTS = [
    Document(
        domain, f"{domain} {n}", f"{domain}s say many things, number {n} says {n * 'more and '}more.", f"Short {n}."
    )
    for domain in ("talk", "paper")
    for n in range(4)
]


@pytest.fixture
def prompter(tiny: Any) -> prompts.Prompter:
    options = prompts.Options(style="plain", max_tokens=160, max_summary_tokens=24)
    return prompts.build(options, tiny.tokenizer, 1024, chat.frame)


def measure(model: Any, prompter: prompts.Prompter, documents: Any = DOCUMENTS, **changes: Any) -> list[Likelihood]:
    return likelihoods.measure("phase1", model.eval(), documents, prompter, OPTIONS.model_copy(update=changes))


def surprise(model: Any, given: list[int], target: list[int]) -> float:
    """The definition, one token at a time."""
    summed = 0.0
    with torch.no_grad():
        for at, token in enumerate(target):
            logits = model(input_ids=torch.tensor([given + target[:at]])).logits[0, -1]
            summed -= float(logits.log_softmax(-1)[token])
    return summed


def test_summary_and_text_are_what_the_definition_says(tiny: Any, prompter: prompts.Prompter) -> None:
    model = tiny.model()
    document, found = DOCUMENTS[0], measure(model, prompter, DOCUMENTS[:1])[0]
    target = prompter.target(document.summary)
    assert (found.document, found.domain, found.model) == (document.id, "talk", "phase1")
    assert (found.summary_tokens, found.text_tokens) == (
        len("Short 0.") + 2,
        23,
    )  # a space and the end; the first given
    assert target[-1] == tiny.tokenizer.end
    assert found.summary_nats == pytest.approx(surprise(model, prompter.prompt(document.text).ids, target), abs=1e-3)
    text = tiny.tokenizer.encode(document.text)[:24]
    assert found.text_nats == pytest.approx(surprise(model, text[:1], text[1:]), abs=1e-3)


def test_a_backbone_that_begins_texts_with_a_token_is_given_it(
    tiny: Any, prompter: prompts.Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = prompter.tokenizer.end
    monkeypatch.setattr(type(prompter.tokenizer), "encode_markup", lambda self, text, add_special_tokens=False: [begin])
    found = measure(tiny.model(), prompter, DOCUMENTS[:1])[0]
    text = tiny.tokenizer.encode(DOCUMENTS[0].text)[:24]
    assert found.text_tokens == 24
    assert found.text_nats == pytest.approx(surprise(tiny.loaded, [begin], text), abs=1e-3)


def test_records_stand_by_id_and_do_not_depend_on_the_order_of_documents_or_on_batches(
    tiny: Any, prompter: prompts.Prompter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihoods, "DIGITS", 6)
    found = measure(tiny.model(), prompter)
    assert [each.document for each in found] == sorted(each.id for each in DOCUMENTS)
    assert measure(tiny.model(), prompter, DOCUMENTS[::-1]) == found
    alone = measure(tiny.model(), prompter, batch_size=1)
    for one, other in zip(found, alone, strict=True):
        assert one.summary_nats == pytest.approx(other.summary_nats, abs=1e-4)
        assert one.text_nats == pytest.approx(other.text_nats, abs=1e-4)
        assert replace(one, summary_nats=0.0, text_nats=0.0) == replace(other, summary_nats=0.0, text_nats=0.0)
    artifacts.write_records(tmp_path / "found.jsonl", found)
    assert artifacts.read_records(tmp_path / "found.jsonl", Likelihood) == found


def test_the_adapter_is_used_and_its_dropout_is_not(tiny: Any, prompter: prompts.Prompter, tmp_path: Path) -> None:
    trained = tiny.adapted(dropout=0.5)
    with torch.no_grad():
        for name, weight in adapt.trainable(trained).items():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
    adapt.save(trained, tmp_path / "phase1", tiny.identity)
    adapted = adapt.load(tiny.model(), tmp_path / "phase1", tiny.identity, trainable=False)
    base, found = measure(tiny.model(), prompter), measure(adapted, prompter)
    for one, other in zip(found, base, strict=True):
        assert abs(one.summary_nats - other.summary_nats) > 1e-3  # rounding is below 1e-4
        assert abs(one.text_nats - other.text_nats) > 1e-3
    assert measure(adapted, prompter) == measure(trained, prompter) == found


def test_without_text_tokens_text_is_not_measured(tiny: Any, prompter: prompts.Prompter) -> None:
    for limit in (0, 1):  # the first token is given, so that one alone leaves nothing to predict
        found = measure(tiny.model(), prompter, text_tokens=limit)
        assert {(each.text_nats, each.text_tokens) for each in found} == {(0.0, 0)}
        assert all(each.summary_tokens for each in found)
    assert set(likelihoods.means(found)) == {"documents", "summary_tokens", "summary_nats_per_token"}


def test_means_count_every_token_the_same() -> None:
    found = [Likelihood("a", "talk", "base", 6.0, 2, 5.0, 1), Likelihood("b", "talk", "base", 6.0, 4, 1.0, 5)]
    means = likelihoods.means(found)
    assert means["summary_nats_per_token"] == 2
    assert means["text_nats_per_token"] == 1


def test_a_reference_beyond_the_budget_is_refused(tiny: Any, prompter: prompts.Prompter) -> None:
    long = replace(DOCUMENTS[0], summary="Longer than twenty-four bytes.", id="")
    with pytest.raises(DataError, match=r"of 32 tokens exceeds prompt.max_summary_tokens=24\n.*data.max_summary_words"):
        measure(tiny.model(), prompter, [*DOCUMENTS[1:], long])


def test_a_likelihood_that_is_not_finite_names_the_model(tiny: Any, prompter: prompts.Prompter) -> None:
    broken = tiny.model()
    with torch.no_grad():
        broken.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"^phase1: the likelihood of document \w+ is not finite \(of 8 of 8\)"):
        measure(broken, prompter)


@pytest.mark.parametrize("change", [{"split": "all"}, {"limit": 0}, {"batch_size": 0}, {"text_tokens": -1}])
def test_options_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        likelihoods.Options.model_validate(OPTIONS.model_dump() | change)
