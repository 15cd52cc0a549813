"""The records that flow from stage to stage, one JSON object a line.

A record is frozen and knows nothing of files; `artifacts.py` reads and writes them. The id of a document, chunk,
pair or example is a hash of what it says, so that the same content has the same id on every machine.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

PAIR, REPLAY = "pair", "replay"  # origins of an example that are not the name of a domain


@dataclass(frozen=True)
class Document:
    """One text to summarise, with its reference summary where there is one ("" where there is none)."""

    domain: str  # "paper", "talk", ...: what curricula and tables are keyed by
    title: str
    text: str
    summary: str = ""
    source: str = ""  # where it came from: a path inside the source folder, or an external id
    licence: str = ""
    group: str = ""  # documents of one group never part between splits; "" means it is alone
    times: tuple[tuple[int, float], ...] = ()  # (character offset in text, seconds from the start), ascending
    id: str = field(default="")

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", content_hash(self.domain, self.title, self.text, self.summary))


@dataclass(frozen=True)
class Chunk:
    """A window of one document, cut at sentence ends; `text == document.text[start:end]`."""

    document: str  # id of the document
    domain: str
    split: str  # "train", "valid" or "test"
    index: int  # position within the document, from 0
    start: int  # characters
    end: int
    tokens: int  # of the backbone's own tokenizer
    text: str
    id: str = field(default="")

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", content_hash(self.document, str(self.start), str(self.end)))


@dataclass(frozen=True)
class Pair:
    """Two documents of different domains that were mined as being about the same subject."""

    left: str  # id of the document in the first domain
    right: str  # id of the document in the second domain
    left_chunk: str  # ids of the two passages that matched best
    right_chunk: str
    split: str
    cosine: float
    margin: float  # ratio margin, see data/pairs.py
    id: str = field(default="")

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", content_hash(self.left, self.right))


@dataclass(frozen=True)
class Example:
    """One training example: `text` in, `summary` out. The id is stable between mixtures.

    A pair's example carries the other document as `partner`, for terms that compare the two.
    """

    document: str  # id of the document that is summarised
    domain: str
    origin: str  # the share it was drawn for: a domain's name, "pair" or "replay"
    title: str
    text: str
    summary: str
    partner: str = ""  # text of the other document of a pair
    partner_document: str = ""
    id: str = field(default="")

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", content_hash(self.document, self.partner_document))


@dataclass(frozen=True)
class Prediction:
    """What one model wrote for one document."""

    document: str
    domain: str
    model: str  # "base", "phase1", ...
    summary: str
    prompt_tokens: int
    summary_tokens: int
    finished: bool  # the model ended by itself, rather than by the token limit
    truncated: bool  # the document did not fit the prompt's budget


@dataclass(frozen=True)
class Likelihood:
    """How much one model is surprised by what people wrote: negative log-likelihoods, each token given those before it.

    Where something was not measured it has 0 tokens.
    """

    document: str
    domain: str
    model: str  # "base", "phase1", ...
    summary_nats: float  # of the reference summary after the prompt, summed over its tokens
    summary_tokens: int  # with the token that ends the summary
    text_nats: float  # of the beginning of the document itself, without a prompt
    text_tokens: int


def content_hash(*parts: str) -> str:
    """16 hexadecimal digits that depend on every part and on where one part ends and the next begins."""
    written = json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")  # JSON may say "\\ud800" alone
    digest = hashlib.sha256(written)
    return digest.hexdigest()[:16]


def to_dict(record: Any) -> dict[str, Any]:
    """The record as plain JSON-ready values."""
    return asdict(record)
