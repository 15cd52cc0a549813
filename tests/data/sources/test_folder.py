"""A folder: what each file gives, and what is refused with its name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from breviary.data.intake import Found, Rejected
from breviary.data.sources import folder
from breviary.errors import DataError
from breviary.records import Document

VTT = "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\nSalt is a rock\n\n00:00:03.000 --> 00:00:05.000\nthat people eat.\n"


def read(root: Path, **keys: Any) -> list[Found | Rejected]:
    options = folder.Options.model_validate({"kind": "folder", "path": str(root), **keys})
    return list(folder.read(options, cache=root / "cache"))


def one(root: Path, **keys: Any) -> Document:
    (item,) = read(root, **keys)
    assert isinstance(item, Found)
    return item.document


def test_front_matter_gives_title_domain_reference_and_licence(tmp_path: Path) -> None:
    fields = "title: Salt\ndomain: paper\nabstract: On salt.\nlicense: CC0-1.0\nkeywords: [salt]"
    text = f"---\n{fields}\n---\n# Other\n\nBody.\n"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_text(text)
    found = one(tmp_path)
    assert (found.title, found.domain, found.summary, found.licence) == ("Salt", "paper", "On salt.", "CC0-1.0")
    assert found.source == "sub/a.md"
    assert found.text == "# Other\n\nBody.\n"


def test_a_sidecar_gives_the_same_and_captions_keep_their_times(tmp_path: Path) -> None:
    (tmp_path / "talk.vtt").write_text(VTT)
    (tmp_path / "talk.json").write_text(json.dumps({"title": "Salt", "domain": "talk", "summary": "On salt."}))
    found = one(tmp_path, licence="Apache-2.0")
    assert (found.title, found.domain, found.summary, found.licence) == ("Salt", "talk", "On salt.", "Apache-2.0")
    assert found.text == "Salt is a rock that people eat."
    assert found.times == ((0, 1.0), (15, 3.0))


def test_field_names_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\nTitel: Salz\nKurz: Über Salz.\n---\nText.\n")
    found = one(tmp_path, domain="paper", names={"title": ["Titel"], "summary": ["Kurz"]})
    assert (found.title, found.summary) == ("Salz", "Über Salz.")


def test_the_domain_in_params_holds_for_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ndomain: essay\n---\nText.\n")
    assert one(tmp_path, domain="paper").domain == "paper"


def test_a_title_falls_back_to_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "on-salt.txt").write_text("Text.")
    assert one(tmp_path, domain="paper").title == "on-salt"


def test_every_format_is_read(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    (tmp_path / "a.pdf").write_bytes(make_pdf("A page."))
    (tmp_path / "b.htm").write_text(
        "<html><body><article><p>" + "A paragraph of some length. " * 9 + "</p></article></body></html>"
    )
    (tmp_path / "c.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nA cue.\n")
    (tmp_path / "d.markdown").write_text("Some *marks*.")
    (tmp_path / "e.TXT").write_text("Some text.")
    (tmp_path / "f.vtt").write_text(VTT)
    found = read(tmp_path, domain="x")
    assert [each.document.source for each in found if isinstance(each, Found)] == [
        *("a.pdf", "b.htm", "c.srt", "d.markdown", "e.TXT", "f.vtt")
    ]


def test_files_that_are_no_documents_are_counted_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("Text.")
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    (tmp_path / "large.txt").write_bytes(b"a" * (1 << 20) + b"b")
    items = read(tmp_path, domain="x", max_file_mb=1)
    assert {each.source: each.reason for each in items if isinstance(each, Rejected)} == {
        "photo.png": "unknown_format",
        "latin.txt": "undecodable",
        "large.txt": "over_size_limit",
    }
    assert [each.document.source for each in items if isinstance(each, Found)] == ["a.txt"]
    assert len(read(tmp_path, domain="x", patterns=["a.*"])) == 1


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    (tmp_path / "a.txt").write_bytes(make_pdf("A page."))
    (tmp_path / "b.pdf").write_bytes(b"PK\x03\x04zip")
    (tmp_path / "c.md").write_bytes(b"\x00\x01\x02binary")
    (tmp_path / "d.txt").write_text(VTT)
    with pytest.raises(DataError) as caught:
        read(tmp_path, domain="x")
    lines = str(caught.value).split("\n")
    assert [line.split(";")[0].removeprefix(f"{tmp_path}/") for line in lines] == [
        "a.txt: named .txt, but its bytes are of the format 'pdf'",
        "b.pdf: named .pdf, but its bytes are of the format 'zip'",
        "c.md: named .md, but its bytes are of the format 'binary'",
        "d.txt: named .txt, but its bytes are of the format 'vtt'",
    ]


def test_broken_cues_are_refused_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_text(VTT.replace("00:00:03.000 --> 00:00:05.000", "00:00:03.000 -> 00:00:05.000"))
    with pytest.raises(DataError, match=r"a\.vtt:6: a cue without a timing line"):
        read(tmp_path, domain="x")


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder; set data"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no file matches \*\*/\*\.md; put documents there"):
        read(tmp_path, patterns=["**/*.md"])


def test_a_document_without_a_domain_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    with pytest.raises(DataError, match=r"a\.txt: no domain; set `domain` of this source, or say it in front matter"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"title": "x",\n}', r"a\.json:2: not valid JSON"),
        ("[1]", r"a\.json: a JSON object is expected .* got list"),
        ('{"title": ["x"]}', r"a\.json: 'title' must be text, got list"),
        ('{"summary_file": "../secret.txt"}', r"a\.txt: summary_file '\.\./secret\.txt' is a path that leads out of"),
        ('{"summary_file": "/etc/hostname"}', r"summary_file '/etc/hostname' is a path that leads out of"),
        ('{"summary_file": "none.txt"}', r"summary_file 'none\.txt': no such file beside it"),
    ],
)
def test_a_bad_sidecar_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "secret.txt").write_text("not for reading")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("Text.")
    (root / "a.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read(root, domain="x")


def test_a_sidecar_may_name_a_file_with_the_reference(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    (tmp_path / "a.json").write_text('{"summary_file": "references/a.txt"}')
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "a.txt").write_text("Short.\n")
    assert one(tmp_path, domain="x", patterns=["*.txt"]).summary == "Short."


@pytest.mark.parametrize("folder_too", [False, True])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, folder_too: bool) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("not for reading")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("Text.")
    (root / "link.txt").symlink_to(outside if folder_too else outside / "secret.txt")
    with pytest.raises(DataError, match=r"link\.txt: a link that leads out of .*root; only files inside"):
        read(root, domain="x")


def test_a_link_inside_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    assert len(read(tmp_path, domain="x")) == 2


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "a/../../*", ""])
def test_a_pattern_stays_below_the_folder(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValidationError, match="must be a glob below the folder"):
        read(tmp_path, patterns=[pattern])


def test_front_matter_builds_no_objects(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ntitle: !!python/object/apply:os.system ['true']\n---\nText.\n")
    with pytest.raises(DataError, match=r"a\.md:2: front matter is not valid YAML: could not determine a constructor"):
        read(tmp_path, domain="x")
