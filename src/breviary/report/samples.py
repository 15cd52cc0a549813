"""Ten documents of the test split: where the target model did best, middling and worst, and what was written of them.

Documents are ranked inside their own domain, since domains differ in how high they score: a document's place is
(rank - 1/2) / documents of the domain, 0 at the best. Of equal places the target's domain comes first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from breviary.evaluate.scoring import REFERENCE, Scored
from breviary.records import Document, Prediction
from breviary.report import support

BEST, MIDDLE, WORST = 3, 4, 3  # documents
LONGEST = 600  # characters of a passage that are shown


def samples(
    scored: Sequence[Scored],
    documents: Sequence[Document],
    predictions: Mapping[str, Sequence[Prediction]],
    target: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """The chosen documents, best first, each with its reference and what the target's two models wrote."""
    metric, model = target["metric"], target["model"]
    scores = {(each.document, each.model): each.scores.get(metric) for each in scored}
    ranked = {
        each.document: (each.domain, value)
        for each in scored
        if each.model == model and (value := each.scores.get(metric)) is not None
    }
    by_id = {document.id: document for document in documents}
    wrote = {name: {each.document: each.summary for each in found} for name, found in predictions.items()}
    shown = []
    for group, name in choose(ranked, target["domain"]):
        document = by_id[name]
        texts = {REFERENCE: document.summary, **{each: wrote[each][name] for each in (target["against"], model)}}
        shown.append(
            {
                "document": name,
                "domain": document.domain,
                "title": document.title,
                "group": group,
                "texts": [
                    {"by": by, "score": scores.get((name, by)), "sentences": _aligned(text, document.text)}
                    for by, text in texts.items()
                ],
            }
        )
    return shown


def choose(ranked: Mapping[str, tuple[str, float]], first: str) -> list[tuple[str, str]]:
    """("best", "middle" or "worst", document), from a domain and a score (higher is better) of each document."""
    places = places_of(ranked)

    def nearest(goal: float, among: Sequence[str], count: int) -> list[str]:
        order = sorted(among, key=lambda name: (abs(places[name] - goal), ranked[name][0] != first, name))
        return sorted(order[:count], key=lambda name: (places[name], name))

    best = nearest(0.0, list(places), BEST)
    worst = nearest(1.0, [name for name in places if name not in best], WORST)
    middle = nearest(0.5, [name for name in places if name not in (*best, *worst)], MIDDLE)
    groups = (("best", best), ("middle", middle), ("worst", worst))
    return [(group, name) for group, names in groups for name in names]


def places_of(ranked: Mapping[str, tuple[str, float]]) -> dict[str, float]:
    """Where each document stands in its domain: near 0 the best, near 1 the worst."""
    places = {}
    for domain in sorted({domain for domain, _ in ranked.values()}):
        own = sorted((-value, name) for name, (where, value) in ranked.items() if where == domain)
        places |= {name: round((rank + 0.5) / len(own), 6) for rank, (_, name) in enumerate(own)}
    return places


def _aligned(summary: str, source: str) -> list[dict[str, Any]]:
    found = [asdict(each) for each in support.align(summary, source)]
    return [each | {"passage": _shortened(each["passage"])} for each in found]


def _shortened(passage: str) -> str:
    return passage if len(passage) <= LONGEST else passage[:LONGEST].rsplit(" ", 1)[0] + " …"
