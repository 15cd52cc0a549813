"""Collecting: order, repairs, reasons, and the share that may be dropped."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from breviary import artifacts
from breviary.data import documents
from breviary.data.intake import REASONS, REPAIRS, Found, Rejected
from breviary.errors import DataError
from breviary.records import Document

WORDS = "one two three four five six seven eight nine ten"


def options(tmp_path: Path, **more: Any) -> documents.Options:
    source = {"kind": "folder", "path": str(tmp_path), "domain": "paper"}
    limits = {
        "min_words": 3,
        "max_characters": 1000,
        "require_summary": False,
        "max_summary_words": 8,
        "max_dropped_share": 1.0,
    }
    return documents.Options.model_validate({"root": str(tmp_path), "sources": [source], **limits, **more})


def collect(tmp_path: Path, **more: Any) -> documents.Collection:
    return documents.collect(options(tmp_path, **more), cache=tmp_path / ".cache")


def write(tmp_path: Path, **texts: str) -> None:
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text, newline="")


def test_documents_are_sorted_by_id_and_reach_the_disk(tmp_path: Path) -> None:
    write(tmp_path, **{f"n{number}": f"{WORDS} {number}" for number in range(9)})
    found = collect(tmp_path).documents
    assert [each.id for each in found] == sorted(each.id for each in found)
    artifacts.write_records(tmp_path / "out" / "documents.jsonl", found)
    assert artifacts.read_records(tmp_path / "out" / "documents.jsonl", Document) == found


def test_every_reason_is_counted(tmp_path: Path) -> None:
    write(tmp_path, good=f"---\nsummary: S.\n---\n{WORDS}", same=f"---\nsummary: T.\n---\n{WORDS.upper()}!")
    write(tmp_path, empty=" \n", short="two words", bare=f"{WORDS} eleven", long=f"{WORDS} " * 100)
    write(tmp_path, wordy=f"---\nsummary: {'so ' * 9}\n---\n{WORDS} twelve")
    (tmp_path / "latin.txt").write_bytes("Grüße aus Köln heute".encode("latin-1"))
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    found = collect(tmp_path, require_summary=True)
    assert len(found.documents) == 1
    assert found.report["dropped"] == {
        "empty": 1,
        "too_short": 1,
        "no_reference": 1,
        "duplicate": 1,
        "undecodable": 1,
        "over_size_limit": 1,
        "long_reference": 1,
        "unknown_format": 1,
        "unavailable": 0,
    }
    assert found.report["dropped_share"] == 0.888889
    assert {each.source for each in found.dropped} == {
        *("empty.txt", "short.txt", "bare.txt", "long.txt", "wordy.txt", "latin.txt", "photo.png"),
        *({"good.txt", "same.txt"} - {found.documents[0].source}),
    }


def test_every_repair_is_counted_once_for_a_document(tmp_path: Path) -> None:
    write(tmp_path, a=f"{WORDS}\r\ncafe\u0301 bell\x07 bell\x07", b=WORDS)
    found = collect(tmp_path)
    assert {name: count for name, count in found.report["repaired"].items() if count} == {
        "control_characters": 1,
        "line_ends": 1,
        "unicode_nfc": 1,
    }
    repaired = next(each for each in found.documents if each.source == "a.txt")
    assert repaired.text == f"{WORDS}\ncaf\u00e9 bell  bell"
    assert repaired.id == Document("paper", "a", repaired.text).id


def test_the_report_has_the_same_keys_for_every_input(tmp_path: Path) -> None:
    write(tmp_path, a=f"---\nsummary: two three\n---\n{WORDS}")
    report = collect(tmp_path).report
    assert list(report["dropped"]) == list(REASONS)
    assert list(report["repaired"]) == list(REPAIRS)
    assert report["domains"]["paper"] == {
        "documents": 1,
        "with_reference": 1,
        "reference_copied_in_text": 1,
        "mean_words": 10.0,
        "mean_reference_words": 2.0,
    }
    assert report["sources"] == {"1_folder": {"kept": 1, "dropped": 0}}
    json.dumps(report, allow_nan=False)


def test_too_many_dropped_are_an_error_that_names_ten(tmp_path: Path) -> None:
    write(tmp_path, good=WORDS, **{f"bad{number:02}": "short" for number in range(12)})
    with pytest.raises(DataError) as caught:
        collect(tmp_path, max_dropped_share=0.5)
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("12 of 13 documents (92.3%) were dropped; data.max_dropped_share is 0.5.")
    assert lines[1] == "  bad00.txt: too_short: 1 words; data.min_words is 3"
    assert len(lines) == 12
    assert lines[-1] == "  ... and 2 more"


def test_the_share_itself_is_allowed(tmp_path: Path) -> None:
    write(tmp_path, good=WORDS, bad="short")
    assert len(collect(tmp_path, max_dropped_share=0.5).documents) == 1
    with pytest.raises(DataError, match=r"1 of 2 documents \(50\.0%\) were dropped"):
        collect(tmp_path, max_dropped_share=0.49)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, bad="short")
    with pytest.raises(
        DataError, match=r"none of 1 documents is left; mend them or relax data\.\*:\n  bad\.txt: too_short"
    ):
        collect(tmp_path)


def test_a_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    gone = str(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"nowhere: no such folder; set data\.root"):
        collect(tmp_path, root=gone, sources=[{"kind": "folder", "path": gone, "domain": "x"}])


def test_sources_are_read_together_and_duplicates_found_between_them(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    write(tmp_path / "one", a=WORDS)
    write(tmp_path / "two", b=f"---\nsummary: S.\n---\n{WORDS}")
    sources = [{"kind": "folder", "path": str(tmp_path / each), "domain": each} for each in ("one", "two")]
    found = collect(tmp_path, sources=sources)
    assert [each.domain for each in found.documents] == ["two"], "the one with a reference stays"
    assert found.dropped == [Rejected("a.txt", "duplicate", "the same text as b.txt")]


def test_times_still_point_at_their_words_after_repairs() -> None:
    text = "cafe\u0301 one\r\n two"
    timed = Document("talk", "t", text, times=((0, 0.0), (6, 1.5), (text.index("two"), 2.5)))
    repaired = documents.repair(Found(timed)).document
    assert [(repaired.text[offset:].split()[0], seconds) for offset, seconds in repaired.times] == [
        ("caf\u00e9", 0.0),
        ("one", 1.5),
        ("two", 2.5),
    ]


@given(texts=st.lists(st.sampled_from(["a b", "A  b.", "b a", "c", "«c»"]), max_size=8), seed=st.integers())
def test_duplicates_do_not_depend_on_the_order_of_sources(texts: list[str], seed: int) -> None:
    made = [Document("x", f"t{number}", text, source=str(number)) for number, text in enumerate(texts)]
    shuffled = list(made)
    random.Random(seed).shuffle(shuffled)
    kept, duplicates = documents.distinct(made)
    assert (kept, duplicates) == documents.distinct(shuffled)
    assert len(kept) + len(duplicates) == len(texts)
    assert len(kept) == len({tuple(text.lower().replace(".", "").strip("«»").split()) for text in texts})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sources": []}, "at least 1 item"),
        ({"sources": [{"kind": "folders", "path": "x"}]}, "no kind 'folders' in sources, did you mean 'folder'"),
        ({"sources": [{"kind": "folder", "pth": "x"}]}, "unknown key, did you mean 'path'"),
        ({"sources": [{"path": "x"}]}, "a mapping with a 'kind' is expected here"),
        ({"max_dropped_share": 1.5}, "less than or equal to 1"),
        (
            {"sources": [{"kind": "folder", "path": "elsewhere"}]},
            r"sources\.0\.path: 'elsewhere' lies outside data\.root",
        ),
        ({"sources": [{"kind": "jsonl", "path": "/a/../b.jsonl"}]}, r"'/a/\.\./b\.jsonl' lies outside data\.root"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options(tmp_path, **keys)
