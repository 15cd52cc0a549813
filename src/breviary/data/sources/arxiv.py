"""Papers from arXiv by category and date: text from the PDF, abstract as the reference summary.

arXiv asks for at most one request in three seconds (https://info.arxiv.org/help/api/tou.html). Every page of results
and every PDF is kept, so that an interrupted download goes on where it stopped.
"""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from breviary import config
from breviary.data.intake import ABSTRACT_IN_TEXT, UNAVAILABLE, Found, Rejected
from breviary.errors import DataError
from breviary.records import Document

if TYPE_CHECKING:
    import requests

PAGE = 100  # results in one answer
ENDS = 6  # words at each end by which the abstract is found again in the PDF's text
LONGEST = 3.0  # times its own length that an abstract may take in the PDF, notes and line numbers between


class Options(config.Options):
    """Which papers, and how politely they are asked for."""

    kind: Literal["arxiv"]
    categories: list[str] = Field(min_length=1)  # such as cs.CL
    since: str  # first and last day of submission, quoted: "2024-01-01"
    until: str
    limit: int = Field(ge=1, le=30000)  # papers, the earliest first
    domain: str = "paper"
    licence: str = ""  # arXiv's answers name none: say which one applies, see docs/SOURCES.md
    delay_seconds: float = Field(default=3.0, ge=0.0, le=600.0)
    timeout_seconds: float = Field(default=60.0, gt=0.0, le=600.0)
    max_retries: int = Field(default=4, ge=0, le=20)  # with growing pauses

    @field_validator("since", "until", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        if isinstance(value, date):
            raise ValueError(f'put the day in quotes: "{value.isoformat()}"')
        if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise ValueError('a day is written "2024-01-31"')
        return date.fromisoformat(value).isoformat() if isinstance(value, str) else value

    @field_validator("categories")
    @classmethod
    def _category(cls, values: list[str]) -> list[str]:
        for value in values:
            if not re.fullmatch(r"[a-z-]+(\.[A-Za-z-]+)?", value):
                raise ValueError(f"'{value}' is not an arXiv category such as cs.CL or math.ST")
        return values

    @model_validator(mode="after")
    def _in_order(self) -> "Options":
        if self.since > self.until:
            raise ValueError(f"since ({self.since}) is after until ({self.until})")
        return self


def read(options: Options, *, cache: Path) -> Iterator[Found | Rejected]:
    """The papers in the order of submission. Raises DataError when arXiv stops answering; finished work is kept."""
    from breviary.data import http

    session = http.session(
        cache=cache / "arxiv",
        keep=_worth_keeping,
        delay=options.delay_seconds,
        timeout=options.timeout_seconds,
        retries=options.max_retries,
        backoff=options.delay_seconds,
    )
    count = 0
    for result in _results(options, session):
        count += 1
        yield _paper(result, options, session)
    if not count:
        raise DataError(
            f"arXiv has no paper in {', '.join(options.categories)} from {options.since} to {options.until}"
        )


def query(options: Options) -> str:
    """The search in arXiv's own language."""
    categories = " OR ".join(f"cat:{category}" for category in options.categories)
    since, until = (day.replace("-", "") for day in (options.since, options.until))
    return f"({categories}) AND submittedDate:[{since}0000 TO {until}2359]"


def _results(options: Options, session: "requests.Session") -> Iterator[Any]:
    import arxiv

    search = arxiv.Search(
        query=query(options),
        max_results=options.limit,
        sort_by=arxiv.SortCriterion.SubmittedDate,
        sort_order=arxiv.SortOrder.Ascending,
    )
    # the pause is the session's, which knows what came from the disk
    client = arxiv.Client(page_size=min(PAGE, options.limit), delay_seconds=0.0, num_retries=options.max_retries)
    client._session = session  # the client has no public way to set time limits or a user agent
    try:
        yield from client.results(search)
    except arxiv.ArxivError as error:
        raise DataError(f"arXiv: {error}; what was finished is kept: run the stage again to go on") from None


def _worth_keeping(body: bytes) -> bool:
    """A PDF, or a page with results: arXiv now and then answers with an empty page, which is to be asked for again."""
    return body.startswith(b"%PDF-") or (b"<entry" in body and body.rstrip().endswith(b"</feed>"))


def _paper(result: Any, options: Options, session: "requests.Session") -> Found | Rejected:
    from breviary.data.formats import pdf

    source = result.entry_id.rstrip("/").rsplit("/abs/", 1)[-1]
    if result.pdf_url is None:
        return Rejected(source, UNAVAILABLE, "arXiv lists no PDF (withdrawn?)")
    response = session.get(result.pdf_url)
    if response.status_code == 403:
        raise DataError(f"{result.pdf_url}: arXiv refuses (403); wait a day, and raise delay_seconds")
    if response.status_code != 200:
        return Rejected(source, UNAVAILABLE, f"HTTP status {response.status_code} for {result.pdf_url}")
    try:
        parsed = pdf.parse(response.content, source)
    except DataError as error:
        return Rejected(source, UNAVAILABLE, str(error))
    abstract = " ".join(result.summary.split())
    text = without(parsed.text, abstract)
    document = Document(
        domain=options.domain,
        title=" ".join(result.title.split()),
        text=text,
        summary=abstract,
        source=source,
        licence=options.licence,
        group=f"arxiv:{re.sub(r'v[0-9]+$', '', source)}",
    )
    return Found(document, (ABSTRACT_IN_TEXT,) if text != parsed.text else ())


def without(text: str, abstract: str) -> str:
    """`text` without its abstract: a model must not find the reference in the source."""
    words = re.findall(r"\w+", abstract)
    if len(words) < 2 * ENDS:
        return text
    first, last = (r"\W+".join(map(re.escape, part)) for part in (words[:ENDS], words[-ENDS:]))
    head = re.search(first, text, re.IGNORECASE)
    tail = head and re.compile(last, re.IGNORECASE).search(
        text, head.end(), head.start() + int(LONGEST * len(abstract))
    )
    if not (head and tail):
        return text
    return (text[: head.start()] + text[tail.end() :].lstrip(" .")).strip()
