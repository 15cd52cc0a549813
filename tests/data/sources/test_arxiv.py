"""arXiv, played by a local server: answers have the shape of recorded ones, their content is the test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import arxiv as client
import pytest
from pydantic import ValidationError

from breviary.data.intake import Found, Rejected
from breviary.data.sources import arxiv
from breviary.errors import DataError

KEYS = {"kind": "arxiv", "categories": ["cs.CL", "cs.LG"], "since": "2024-01-01", "until": "2024-01-31", "limit": 10}
QUICK = {"delay_seconds": 0.0, "max_retries": 1, "timeout_seconds": 5.0}
ABSTRACT = "We ask eleven keepers of lighthouses how long they sleep and find that none of them sleeps at night."


def entry(number: int, url: str) -> str:
    return f"""<entry>
    <id>http://arxiv.org/abs/2401.0000{number}v1</id>
    <updated>2024-01-0{number}T18:00:01Z</updated><published>2024-01-0{number}T18:00:01Z</published>
    <title>Sleep at Sea,
  Part {number}</title>
    <summary>  {ABSTRACT.replace(" and ", chr(10) + "and ")}
</summary>
    <author><name>A. Keeper</name></author>
    <link href="http://arxiv.org/abs/2401.0000{number}v1" rel="alternate" type="text/html"/>
    <link title="pdf" href="{url}/pdf/2401.0000{number}v1" rel="related" type="application/pdf"/>
    <arxiv:primary_category xmlns:arxiv="http://arxiv.org/schemas/atom" term="cs.CL"/>
    <category term="cs.CL" scheme="http://arxiv.org/schemas/atom"/>
  </entry>"""


def feed(entries: list[str], total: int, start: int = 0) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title type="html">ArXiv Query</title>
  <opensearch:totalResults xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">{total}</opensearch:totalResults>
  <opensearch:startIndex xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">{start}</opensearch:startIndex>
  {"".join(entries)}
</feed>
""".encode()


@pytest.fixture
def papers(player: Any, make_pdf: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server with three papers, two on a page."""
    monkeypatch.setattr(client.Client, "query_url_format", player.url + "/api/query?{}")
    monkeypatch.setattr(arxiv, "PAGE", 2)

    def play(method: str, path: str, body: bytes) -> Any:
        if path.startswith("/api/query"):
            start = int(parse_qs(urlsplit(path).query)["start"][0])
            return feed([entry(number, player.url) for number in (1, 2, 3)[start : start + 2]], 3, start)
        return make_pdf(f"Sleep at Sea\n{ABSTRACT}", f"1 Introduction\nPart {path[-3]} has words.")

    player.play = play
    return player


def read(cache: Path, **more: Any) -> list[Found | Rejected]:
    return list(arxiv.read(arxiv.Options.model_validate({**KEYS, **QUICK, **more}), cache=cache))


def test_a_paper_is_text_from_the_pdf_and_the_abstract_is_its_reference(papers: Any, tmp_path: Path) -> None:
    items = read(tmp_path, licence="CC-BY-4.0")
    found = [each for each in items if isinstance(each, Found)]
    assert [each.document.source for each in found] == ["2401.00001v1", "2401.00002v1", "2401.00003v1"]
    first = found[0].document
    assert (first.domain, first.title, first.licence) == ("paper", "Sleep at Sea, Part 1", "CC-BY-4.0")
    assert first.summary == ABSTRACT
    assert " ".join(first.text.split()) == "Sleep at Sea 1 Introduction Part 1 has words."
    assert first.group == "arxiv:2401.00001"
    assert found[0].repairs == ("abstract_in_text",)


def test_the_query_names_categories_and_days(papers: Any, tmp_path: Path) -> None:
    read(tmp_path)
    asked = parse_qs(urlsplit(papers.asked[0].split()[1]).query)
    assert asked["search_query"] == ["(cat:cs.CL OR cat:cs.LG) AND submittedDate:[202401010000 TO 202401312359]"]
    assert (asked["sortBy"], asked["sortOrder"]) == (["submittedDate"], ["ascending"])
    assert papers.agents == {"breviary/0.1 (collects documents for summarisation)"}


def test_nothing_is_asked_for_twice(papers: Any, tmp_path: Path) -> None:
    first = read(tmp_path)
    assert len(papers.asked) == 5  # two pages, three papers
    assert read(tmp_path) == first
    assert len(papers.asked) == 5


def test_a_limit_stops_before_the_rest(papers: Any, tmp_path: Path) -> None:
    assert len(read(tmp_path, limit=1)) == 1
    assert len(papers.asked) == 2


def test_a_server_that_dies_midway_leaves_finished_work(papers: Any, tmp_path: Path) -> None:
    alive = papers.play
    papers.play = lambda method, path, body: (
        alive(method, path, body) if "00001" in path or "start=0" in path else (503, b"")
    )
    with pytest.raises(DataError, match=r"pdf/2401\.00002v1: no answer after 2 tries \(HTTP status 503\); what was"):
        read(tmp_path)
    papers.play, papers.asked[:] = alive, []
    assert len(read(tmp_path)) == 3
    assert [each.split("/")[-1].split("?")[0] for each in papers.asked] == ["2401.00002v1", "query", "2401.00003v1"]


def test_an_answer_that_breaks_off_is_asked_for_again(papers: Any, tmp_path: Path) -> None:
    whole, broken = papers.play, []

    def play(method: str, path: str, body: bytes) -> Any:
        if path.endswith("00002v1") and not broken:
            broken.append(path)
            return whole(method, path, body)[:300] + b"<cut here>"
        return whole(method, path, body)

    papers.play = play
    assert all(isinstance(each, Found) for each in read(tmp_path))
    assert sum("00002v1" in each for each in papers.asked) == 2


def test_an_empty_page_is_asked_for_again_and_never_kept(papers: Any, tmp_path: Path) -> None:
    whole, empty = papers.play, []

    def play(method: str, path: str, body: bytes) -> Any:
        if "start=2" in path and not empty:
            empty.append(path)
            return feed([], 3, 2)
        return whole(method, path, body)

    papers.play = play
    assert len(read(tmp_path)) == 3


def test_a_paper_without_a_readable_pdf_is_counted(papers: Any, make_pdf: Callable[..., bytes], tmp_path: Path) -> None:
    whole = papers.play
    answers = {"00001v1": (404, b""), "00002v1": b"<html>reCAPTCHA</html>", "00003v1": make_pdf("")}
    papers.play = lambda method, path, body: answers.get(path[-7:]) or whole(method, path, body)
    items = read(tmp_path)
    details = [(each.reason, each.detail) for each in items if isinstance(each, Rejected)]
    assert [reason for reason, _ in details] == ["unavailable"] * 3
    for (_, detail), words in zip(
        details, ("HTTP status 404", "does not begin as a PDF", "only pictures"), strict=True
    ):
        assert words in detail


def test_being_refused_stops_the_download(papers: Any, tmp_path: Path) -> None:
    whole = papers.play
    papers.play = lambda method, path, body: (403, b"") if "pdf" in path else whole(method, path, body)
    with pytest.raises(DataError, match=r"arXiv refuses \(403\); wait a day"):
        read(tmp_path)


def test_no_paper_at_all_is_refused(player: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client.Client, "query_url_format", player.url + "/api/query?{}")
    player.play = lambda method, path, body: feed([], 0)
    with pytest.raises(DataError, match=r"arXiv has no paper in cs\.CL, cs\.LG from 2024-01-01 to 2024-01-31"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"since": "2024-02-01"}, r"since \(2024-02-01\) is after until"),
        ({"since": "1 Feb"}, "a day is written"),
        ({"since": "2024-02-31"}, "day is out of range"),
        ({"categories": ["cs.CL OR all:x"]}, "is not an arXiv category"),
        ({"categories": []}, "at least 1 item"),
    ],
)
def test_bad_options_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        arxiv.Options.model_validate({**KEYS, **keys})


@pytest.mark.parametrize(
    "printed", [ABSTRACT, ABSTRACT.upper(), ABSTRACT.replace(" ", "\n"), ABSTRACT.replace("how", "just how")]
)
def test_the_abstract_is_taken_out_of_the_text(printed: str) -> None:
    assert arxiv.without(f"Title. Abstract {printed} Body.", ABSTRACT) == "Title. Abstract Body."


def test_a_text_without_the_abstract_stays_as_it_is() -> None:
    assert arxiv.without("Quite another text.", ABSTRACT) == "Quite another text."
    assert arxiv.without("Short. Short.", "Short.") == "Short. Short."
