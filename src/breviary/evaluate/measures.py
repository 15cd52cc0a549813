"""What models are compared by, document by document, when a curriculum is judged (see `transfer.py`).

    summary  nats a token of the reference summary, low is good: a domain's loss
    text     nats a token of the document's own beginning without a prompt, low is good: the language known before any
             phase, which a phase should not cost
    rouge1   ROUGE-1 of the summary that was written, where `evaluate.metrics` has it

A document's value is its nats over its tokens, and every document weighs the same. (A validation loss weighs tokens,
and so long summaries.)
"""

from collections.abc import Mapping, Sequence

from breviary.errors import ArtifactError
from breviary.evaluate.scoring import Scored
from breviary.evaluate.transfer import Measure
from breviary.records import Document, Likelihood

REMEDY = "likelihoods of different runs are mixed; run the likelihood stages again"
NATS = {
    "summary": "nats a token of the reference summary",
    "text": "nats a token of the document's beginning, without a prompt",
}
WRITTEN = "rouge1"


def measures(
    likelihoods: Mapping[str, Sequence[Likelihood]], scored: Sequence[Scored], documents: Sequence[Document]
) -> dict[str, Measure]:
    """Each measure that there is, of the models that have likelihoods.

    Raises ArtifactError unless every model was measured on the same documents in the same way.
    """
    if problems := _problems(likelihoods, {document.id for document in documents}):
        raise ArtifactError("\n".join([*problems, REMEDY]))
    found = {}
    for what, unit in NATS.items():
        values = {model: _per_token(each, what) for model, each in likelihoods.items()}
        if any(values.values()):
            found[what] = Measure(values, higher_is_better=False, unit=unit)
    values = {model: _scores(scored, model) for model in likelihoods}
    if any(values.values()):
        found[WRITTEN] = Measure(values, higher_is_better=True, unit="ROUGE-1 of the summary that was written")
    return found


def _per_token(likelihoods: Sequence[Likelihood], what: str) -> dict[str, float]:
    counted = {each.document: (getattr(each, f"{what}_nats"), getattr(each, f"{what}_tokens")) for each in likelihoods}
    return {document: nats / tokens for document, (nats, tokens) in counted.items() if tokens}


def _scores(scored: Sequence[Scored], model: str) -> dict[str, float]:
    found = {each.document: each.scores.get(WRITTEN) for each in scored if each.model == model}
    return {document: value for document, value in found.items() if value is not None}


def _problems(likelihoods: Mapping[str, Sequence[Likelihood]], documents: set[str]) -> list[str]:
    """What speaks against comparing these models, a line each."""
    tokens = {
        model: {each.document: (each.summary_tokens, each.text_tokens) for each in found}
        for model, found in likelihoods.items()
    }
    wanted = set().union(*tokens.values())
    if not wanted:
        return ["no likelihoods at all; delete data/likelihoods"]
    problems = []
    for model, found in likelihoods.items():
        if others := sorted({each.model for each in found} - {model}):
            problems.append(f"{model}: its likelihoods say that they are of {', '.join(others)}")
        if len(found) > len(tokens[model]):
            problems.append(f"{model}: two likelihoods of one document")
        if missing := sorted(wanted - tokens[model].keys()):
            problems.append(
                f"{model}: no likelihood of {len(missing)} documents that another model has ({missing[0]}, ...)"
            )
    counts = {name: {each[name] for each in tokens.values() if name in each} for name in sorted(wanted)}
    if unlike := [name for name, each in counts.items() if len(each) > 1]:
        problems.append(f"{len(unlike)} documents have another number of tokens in another model ({unlike[0]}, ...)")
    if unknown := sorted(wanted - documents):
        problems.append(f"{len(unknown)} likelihoods are of documents that do not exist ({unknown[0]}, ...)")
    return problems
