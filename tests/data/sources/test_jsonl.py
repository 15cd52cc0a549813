"""JSON lines: field map, choice of rows, and refusals with a line number."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from breviary.data.documents import repair
from breviary.data.intake import Found, Rejected
from breviary.data.sources import jsonl
from breviary.errors import DataError
from breviary.records import Document

REAL = Path(os.environ.get("BREVIARY_REAL_DATA", ""))


def row(number: int, **more: Any) -> dict[str, Any]:
    made = {
        "id": f"r{number}",
        "title": f"T{number}",
        "source_text": f"Text {number}.",
        "summary": "S.",
        "license": "L",
    }
    return {**made, "group": f"g{number}", "split": "dev" if number % 2 else "test", **more}


def write(path: Path, *rows: Any) -> Path:
    raw = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in rows).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def read(path: Path, **keys: Any) -> list[Found | Rejected]:
    options = jsonl.Options.model_validate({"kind": "jsonl", "path": str(path), "domain": "paper", **keys})
    return list(jsonl.read(options, cache=path.parent))


def documents(path: Path, **keys: Any) -> list[Document]:
    return [each.document for each in read(path, **keys) if isinstance(each, Found)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_record_becomes_a_document(tmp_path: Path, name: str) -> None:
    (found,) = documents(write(tmp_path / name, row(1)))
    assert found == Document(
        domain="paper", title="T1", text="Text 1.", summary="S.", source="r1", licence="L", group="g1"
    )


def test_the_field_map_names_what_is_what(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"key": 7, "body": "Text.", "short": "S.", "area": "news"})
    fields = {
        "id": "key",
        "text": "body",
        "summary": "short",
        "domain": "area",
        "title": "",
        "licence": "",
        "group": "",
    }
    (found,) = documents(path, domain="", licence="CC0-1.0", fields=fields)
    assert (found.source, found.text, found.summary, found.domain) == ("7", "Text.", "S.", "news")
    assert found.licence == "CC0-1.0"


def test_where_keeps_only_records_with_that_value(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *map(row, range(6)))
    assert [each.source for each in documents(path, where={"split": "dev"})] == ["r1", "r3", "r5"]
    with pytest.raises(DataError, match=r"no record matches where: .*train.*; there is split: \"dev\", \"test\""):
        read(path, where={"split": "train"})


def test_a_limit_is_stable_and_grows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *map(row, range(50)))
    backwards = write(tmp_path / "b.jsonl", *map(row, reversed(range(50))))
    ten, twenty = (documents(path, limit=limit) for limit in (10, 20))
    assert len(ten) == 10
    assert ten == documents(backwards, limit=10)
    assert {each.source for each in ten} < {each.source for each in twenty}
    assert [each.source for each in ten] != [f"r{number}" for number in range(10)]


def test_every_bad_line_is_told_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", row(1), "{not json", "", "[1]", row(2, source_text=["x"]), '{"id": "r9"}')
    with pytest.raises(DataError) as caught:
        read(path)
    assert [line.split(":")[1] for line in str(caught.value).split("\n")] == ["2", "4", "5", "6"]
    for message in ("not valid JSON", "one JSON object a line", "'source_text' must be text, got list", "no field"):
        assert message in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_what_is_not_json_is_refused(tmp_path: Path, number: str) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps(row(1)).replace('"S."', number))
    with pytest.raises(DataError, match=rf"a\.jsonl:1: not valid JSON: {number} is not JSON"):
        read(path)


def test_half_of_a_surrogate_pair_is_mended(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", row(1, id="\ud800", source_text="salt \udfff"))
    (found,) = read(path, limit=1)
    assert isinstance(found, Found)
    mended = repair(found)
    assert (mended.document.source, mended.document.text) == ("\ufffd", "salt \ufffd")
    assert mended.repairs == ("lone_surrogates",)


def test_a_line_that_is_not_utf_8_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", row(1))
    path.write_bytes(path.read_bytes() + '{"id": "r2", "source_text": "Grüße"}'.encode("latin-1"))
    found, rejected = read(path)
    assert isinstance(found, Found)
    assert isinstance(rejected, Rejected)
    assert (rejected.source, rejected.reason) == ("a.jsonl:2", "undecodable")


def test_ids_must_differ(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", row(1), row(2), row(1, title="Other"))
    with pytest.raises(
        DataError, match=r"a\.jsonl:3: id 'r1' is already on line 1; ids must differ, or set repeated_ids: first"
    ):
        read(path)
    assert [each.title for each in documents(path, repeated_ids="first")] == ["T1", "T2"]


def test_an_empty_id_is_refused_but_no_id_is_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", row(1, id=""))
    with pytest.raises(DataError, match=r"a\.jsonl:1: field 'id' is empty"):
        read(path)
    assert documents(path, fields={"id": ""})[0].source == "a.jsonl:1"


def test_a_misspelt_field_map_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", row(1))
    with pytest.raises(DataError, match=r"fields\.title: no row has a field 'titel'; there are: group, id"):
        read(path, fields={"title": "titel"})
    with pytest.raises(DataError, match=r"a\.jsonl:1: no field 'txt'; there are: .*; set fields\.text"):
        read(path, fields={"text": "txt"})


def test_a_bad_line_is_told_with_its_column_and_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row(1)) + '\n{"id": "x", "title":\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: not valid JSON: Expecting value at column 21; mend or delete"):
        read(path)


def test_gzip_cut_short_before_the_end_of_its_first_line_has_an_address(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", row(1, noise=os.urandom(400).hex()))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz:1: the gzip data is cut short"):
        read(path)


def test_gzip_cut_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", *(row(number, noise=os.urandom(40).hex()) for number in range(400)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz:\d+: the gzip data is cut short or damaged in this line"):
        read(path)


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", *map(row, range(50)))
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(DataError, match="the gzip data is cut short or damaged"):
        read(path)


def test_the_name_must_say_whether_it_is_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(b"{}"))
    with pytest.raises(DataError, match=r"a\.jsonl: is gzip, but its name does not end in \.gz"):
        read(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl.gz").write_bytes(b"{}")
    with pytest.raises(DataError, match=r"b\.jsonl\.gz: is named \.gz, but its bytes are not gzip"):
        read(tmp_path / "b.jsonl.gz")


def test_a_file_that_unpacks_without_end_is_stopped(tmp_path: Path) -> None:
    path = write(tmp_path / "line.jsonl.gz", row(1), row(2, source_text="a" * (1 << 21)))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"line\.jsonl\.gz:2: a line longer than max_line_mb, 1 MB"):
        read(path, max_line_mb=1)
    path = write(tmp_path / "all.jsonl.gz", *(row(number, source_text="a" * 900_000) for number in range(3)))
    with pytest.raises(DataError, match=r"all\.jsonl\.gz:2: more than max_total_mb, 1 MB unpacked"):
        read(path, max_total_mb=1)


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl: no record in the whole file"):
        read(write(tmp_path / "a.jsonl", ""))
    with pytest.raises(DataError, match=r"b\.jsonl: no such file; set data\.sources\[\]\.path"):
        read(tmp_path / "b.jsonl")


@pytest.mark.skipif(not REAL.is_dir() or not REAL.name, reason="set BREVIARY_REAL_DATA to a folder of corpora")
@pytest.mark.parametrize("name", ["lectures", "long", "meeting_segments", "news", "papers", "papers_tldr", "threads"])
def test_real_corpora_load_as_they_are(name: str) -> None:
    found = documents(REAL / f"{name}.jsonl.gz", where={"split": "dev"}, limit=20)
    assert len(found) == 20
    assert all(each.text and each.summary and each.source for each in found)
