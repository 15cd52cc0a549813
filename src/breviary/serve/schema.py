"""What is asked of the service and what it answers, as its OpenAPI page shows it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["truncate", "map_reduce", "refine", "extract"]
TOKENS = (8, 1024)  # fewest and most that a summary may be asked to have
MILLISECONDS = (100, 3_600_000)


class Asked(BaseModel):
    """A document, and how it is to be summarised. What is left out is up to the service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, description="The document, as plain text.", examples=["We measured ..."])
    model: str | None = Field(None, max_length=200, description="One of GET /models; null is the first of them.")
    profile: str | None = Field(None, max_length=200, description="The best that may be used; GET /models names them.")
    mode: Mode = Field("map_reduce", description="What is done with a document that does not fit one prompt.")
    max_tokens: int | None = Field(
        None, ge=TOKENS[0], le=TOKENS[1], strict=True, description="The summary ends in a whole sentence within them."
    )
    max_ms: int | None = Field(
        None, ge=MILLISECONDS[0], le=MILLISECONDS[1], strict=True, description="From the arrival of the request."
    )


class Span(BaseModel):
    """A passage of the document, in characters."""

    start: int
    end: int


class Sentence(BaseModel):
    """A sentence of the summary, and the passages of the document that it was made from."""

    text: str
    spans: list[Span]


class Answer(BaseModel):
    """A summary and what it cost."""

    summary: str
    sentences: list[Sentence]
    tokens: Annotated[int, Field(description="Of the summary, by the model's own tokenizer.")]
    milliseconds: Annotated[float, Field(description="From the arrival of the request to the end of the summary.")]
    profile: str
    mode: str
    model: str
    model_hash: Annotated[str, Field(description="Of backbone and adapter together.")]
    truncated: Annotated[bool, Field(description="Whether a part of the document was not read.")]
    cut: Annotated[bool, Field(description="Whether even the first sentence had to be cut to fit the budget.")]
    source: Annotated[str | None, Field(description="The document as it was read; of an uploaded file alone.")] = None


class Piece(BaseModel):
    """More of the summary as it is being written. Only the answer at the end is final."""

    event: Literal["piece"] = "piece"
    text: str


class Progress(BaseModel):
    """How much of a long document has been read."""

    event: Literal["progress"] = "progress"
    done: int
    of: int


class Finished(BaseModel):
    """The last line of a stream."""

    event: Literal["answer"] = "answer"
    answer: Answer


class Failed(BaseModel):
    """The last line of a stream that could not be finished."""

    event: Literal["error"] = "error"
    detail: str


Event = Piece | Progress | Finished | Failed


class Model(BaseModel):
    """A model that can be asked."""

    name: str
    hash: str


class Offer(BaseModel):
    """What can be asked for."""

    models: list[Model]
    profiles: list[str] = Field(description="The best first, and the slowest.")
    modes: list[str]
    formats: list[str] = Field(description="Suffixes of files that can be uploaded.")
    max_bytes: int


class Health(BaseModel):
    """Whether the service answers, and how much waits."""

    status: Literal["ok", "stopping"]
    waiting: int
    busy: bool


class Problem(BaseModel):
    """What is wrong with a request, and what would be right."""

    detail: str
