"""The bundled corpus is what `sample/README.md` says, and its captions are what the script writes."""

import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from ruamel.yaml import YAML

SAMPLE = Path(__file__).parents[1] / "sample"
FIELDS = {"al", "ap", "db", "ds", "ml", "ns", "os", "pl"}
TIME = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)\.(\d{3})")


def paper(path: Path) -> tuple[dict, str]:
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return YAML(typ="safe").load(front), body


PAPERS = {path.stem: paper(path) for path in sorted(SAMPLE.glob("papers/*.md"))}
TALKS = {
    path.stem: (
        json.loads(path.read_text(encoding="utf-8")),
        (SAMPLE / f"transcripts/{path.stem}.txt").read_text("utf-8"),
    )
    for path in sorted(SAMPLE.glob("talks/*.json"))
}
SOURCES = {name: text for name, (_, text) in (PAPERS | TALKS).items()}
SUMMARIES = {name: fields["abstract"] for name, (fields, _) in PAPERS.items()} | {
    name: fields["summary"] for name, (fields, _) in TALKS.items()
}


def length(text: str) -> int:
    """Words: what stands between spaces and has a letter or digit (a table's bars are none)."""
    return sum(any(letter.isalnum() for letter in word) for word in text.split())


def runs(text: str, count: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + count]) for at in range(len(words) - count + 1)}


def outside(texts: dict[str, str], low: int, high: int) -> dict[str, int]:
    return {name: length(text) for name, text in texts.items() if not low <= length(text) <= high}


def test_forty_papers_and_forty_talks_five_of_each_field():
    for documents in (PAPERS, TALKS):
        assert Counter(name.split("-")[0] for name in documents) == dict.fromkeys(FIELDS, 5)
    assert not PAPERS.keys() & TALKS.keys()


def test_every_talk_has_its_sidecar_its_captions_and_its_transcript():
    for folder, suffix in (("talks", "vtt"), ("talks", "json"), ("transcripts", "txt")):
        assert {path.stem for path in SAMPLE.glob(f"{folder}/*.{suffix}")} == TALKS.keys()
    assert {path.suffix for path in (SAMPLE / "talks").iterdir()} == {".vtt", ".json"}
    assert {path.suffix for path in (SAMPLE / "papers").iterdir()} == {".md"}


def test_the_fields_are_those_that_the_readme_names():
    for fields, _ in PAPERS.values():
        assert fields.keys() == {"title", "domain", "keywords", "abstract"}
        assert fields["domain"] == "paper" and len(fields["keywords"]) >= 3
    for fields, _ in TALKS.values():
        assert fields.keys() == {"title", "domain", "summary"} and fields["domain"] == "talk"
    titles = [fields["title"] for fields, _ in (PAPERS | TALKS).values()]
    assert all(titles) and len(set(titles)) == 80


def test_lengths():
    assert outside({name: body for name, (_, body) in PAPERS.items()}, 650, 900) == {}
    assert outside({name: text for name, (_, text) in TALKS.items()}, 700, 1000) == {}
    assert outside({name: SUMMARIES[name] for name in PAPERS}, 65, 110) == {}
    assert outside({name: SUMMARIES[name] for name in TALKS}, 40, 70) == {}


def test_24_pairs_of_papers_and_talks_that_exist_each_in_one_pair():
    pairs = json.loads((SAMPLE / "aligned.json").read_text(encoding="utf-8"))["pairs"]
    papers, talks = zip(*pairs, strict=True)
    assert len(pairs) == len(set(papers)) == len(set(talks)) == 24
    assert set(papers) <= PAPERS.keys() and set(talks) <= TALKS.keys()


def test_no_two_documents_share_a_run_of_12_words():
    owner, shared = dict[tuple[str, ...], str](), set[tuple[str, str, str]]()
    for name, text in SOURCES.items():
        for run in runs(text, 12) | runs(SUMMARIES[name], 12):
            if owner.setdefault(run, name) != name:
                shared.add((owner[run], name, " ".join(run)))
    assert shared == set()


def test_no_summary_copies_a_run_of_8_words_from_its_source():
    copied = {name: runs(SUMMARIES[name], 8) & runs(SOURCES[name], 8) for name in SOURCES}
    assert {name: found for name, found in copied.items() if found} == {}


def test_runs_are_found_across_lines_case_and_punctuation():
    assert runs("One, two\nTHREE", 3) == {("one", "two", "three")}
    assert runs("one two", 3) == set()


# Captions


def cues(vtt: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, text) in milliseconds; asserts the form of every block."""
    header, *blocks = vtt.removesuffix("\n").split("\n\n")
    assert header == "WEBVTT"
    for block in blocks:
        timing, *lines = block.split("\n")
        start, arrow, end = timing.split(" ")
        assert arrow == "-->" and 1 <= len(lines) <= 2 and all(line.strip() for line in lines)
        assert not re.search(r"<|>|&(?!amp;|lt;|gt;)", "".join(lines))
        yield milliseconds(start), milliseconds(end), " ".join(lines)


def milliseconds(stamp: str) -> int:
    found = TIME.fullmatch(stamp)
    assert found, stamp
    hours, minutes, seconds, thousandths = map(int, found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_captions", SAMPLE / "make_captions.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", TALKS)
def test_captions_are_webvtt_that_says_what_the_transcript_says(name: str):
    shown = list(cues((SAMPLE / f"talks/{name}.vtt").read_text(encoding="utf-8")))
    text = " ".join(text for _, _, text in shown).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert text.split() == TALKS[name][1].split()
    assert all(start < end for start, end, _ in shown)
    assert all(end <= start for (_, end, _), (start, _, _) in pairwise(shown))
    counts = [len(text.split()) for _, _, text in shown]
    assert all(8 <= count <= 14 for count in counts[:-1]) and 1 <= counts[-1] <= 14
    assert 2 <= 1000 * sum(counts) / shown[-1][1] <= 3  # words a second


def test_cues_are_cut_regardless_of_sentence_ends():
    ends = [text[-1] in ".?!" for path in SAMPLE.glob("talks/*.vtt") for _, _, text in cues(path.read_text("utf-8"))]
    assert sum(ends) / len(ends) < 0.25


@pytest.mark.slow
def test_the_captions_are_what_the_script_writes(script: ModuleType):
    stale = [
        name
        for name, (_, text) in TALKS.items()
        if (SAMPLE / f"talks/{name}.vtt").read_bytes() != script.captions(text, name).encode()
    ]
    assert stale == []  # else: python sample/make_captions.py


def test_the_script_escapes_what_would_end_or_mark_up_a_cue(script: ModuleType):
    (shown,) = cues(script.captions("a < b --> c & d\n\ne", "any"))
    assert shown[2] == "a &lt; b --&gt; c &amp; d e"


def test_another_name_gives_other_times_and_a_paragraph_a_longer_pause(script: ModuleType):
    text = " ".join(["word"] * 100)
    assert script.captions(text, "one") == script.captions(text, "one") != script.captions(text, "two")
    apart, together = (script.captions(text, "one") for text in ("a.\n\nb." * 50, "a. b." * 50))
    assert list(cues(apart))[-1][1] > list(cues(together))[-1][1] + 20_000


def test_the_readme_says_what_is_fiction_and_the_licence():
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert "**fiction**" in readme and "Apache-2.0" in readme
    licence = (SAMPLE.parent / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence and "END OF TERMS AND CONDITIONS" in licence
