"""The page as text: its outline, what it says of absent parts, and that no text of a document becomes markup."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts
from breviary.errors import ArtifactError
from breviary.report import page

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Outline(HTMLParser):
    """Tags in order, ids, targets of links, and whether every element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [value for _, found, value in self.attributes if found == name]


def test_every_element_is_closed_and_every_reference_inside_the_page_is_answered(
    report: dict[str, Any], known: page.Around
) -> None:
    found = Outline(page.render(report, known))
    ids = found.values("id")
    assert not found.open
    assert len(ids) == len(set(ids))
    wanted = [value[1:] for value in found.values("href") if value.startswith("#")]
    assert len(wanted) > 10
    assert {*wanted, *found.values("aria-labelledby"), *found.values("aria-describedby")} <= set(ids)


def test_the_page_has_each_table_and_figure(report: dict[str, Any], known: page.Around) -> None:
    found = Outline(page.render(report, known))
    boards, matrix, training, budget = 3, 2, 1, 1
    origins = 6  # reports, consistency, arms, documents, mixtures, lineage
    assert found.tags.count("table") == 1 + boards + matrix + training + budget + origins
    losses = 3  # validation, cross_entropy, ewc
    assert found.tags.count("svg") == 1 + losses + 1 + 1
    assert found.tags.count("article") == 3


def test_a_budget_is_a_row_with_what_was_made_of_it(report: dict[str, Any], known: page.Around) -> None:
    text = page.render(report, known)
    for cells in (
        ["fast", "32 tokens", "0 %", "0.123", "29", "25 %", "3.0", "3.6"],
        ["quality", "2 s", "100 %", "", "", "", "", ""],
    ):
        rest = "".join(f"<td>{cell}</td>" for cell in cells[1:])
        assert f'<th scope="row">{cells[0]}</th>{rest}</tr>' in text


def test_text_of_documents_and_models_is_never_markup(report: dict[str, Any], known: page.Around) -> None:
    text = page.render(report, known)
    found = Outline(text)
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert text.count("&lt;script&gt;document.title") >= 3 * (1 + 2 * 3 * 2)


def test_nothing_is_fetched_from_elsewhere(report: dict[str, Any], known: page.Around) -> None:
    text = page.render(report, known)
    found = Outline(text)
    assert all(value.startswith(("#", "data:")) for value in [*found.values("href"), *found.values("src")])
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text


def test_what_is_not_there_is_said_with_the_command_that_writes_it(bare: dict[str, Any], known: page.Around) -> None:
    text = page.render(
        bare, replace(known, spent=[], unspent="MLflow did not answer (OSError).", lineage=[], commit="")
    )
    said = ("dvc repro register", "dvc repro evaluate", "dvc repro train_phase1", "make ablation", "did not answer")
    assert [words for words in (*said, "no dvc.lock", "not in a git repository") if words not in text] == []


def test_a_refusal_and_its_failed_condition_are_said_first(report: dict[str, Any], known: page.Around) -> None:
    text = page.render(report, known)
    assert "The gate has refused it." in text
    assert text.index("paper rouge1 fell") < text.index("paper rouge1 was kept")


def test_equal_content_gives_equal_bytes(report: dict[str, Any], known: page.Around) -> None:
    assert page.render(report, known) == page.render(report, known)


def test_a_report_of_another_format_is_refused(tmp_path: Path, report: dict[str, Any]) -> None:
    artifacts.write_json(tmp_path / "report.json", report | {"format": 0})
    with pytest.raises(ArtifactError, match=r"format 0, this version makes pages of 1; run `dvc repro report`"):
        page.write(tmp_path / "report.json", tmp_path / "index.html")


def test_the_page_is_made_from_the_file_alone(
    tmp_path: Path, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    artifacts.write_json(Path("reports/report.json"), report)
    text = page.write().read_text()
    assert "There are no receipts in runs/" in text
    assert "There is no dvc.lock here." in text
