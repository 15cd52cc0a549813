"""Mining finds what is about the same subject, inside a split, from source text alone, and says why it refuses."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from breviary.data import pair_report, pairs
from breviary.errors import DataError
from breviary.records import Chunk, Document

SUBJECTS = ["sourdough", "glaciers", "violins", "orchids", "bridges", "comets"]


def encode(texts: Sequence[str]) -> torch.Tensor:
    """A fake encoder: one axis for each subject, and one that all texts share."""
    rows = [[text.count(subject) + 0.01 for subject in SUBJECTS] + [1.0] for text in texts]
    return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)


def document(domain: str, subject: str, n: int = 0, **more: Any) -> Document:
    body = {
        "paper": f"We study {subject} here. Our {subject} result {n}.",
        "talk": f"So today {subject}, friends. Number {n}.",
    }
    return Document(domain, f"{domain} {n}", body[domain], source=f"{domain}s/{domain}-{subject}.md", **more)


PAPERS = [document("paper", subject) for subject in SUBJECTS]
TALKS = [document("talk", subject) for subject in SUBJECTS]
TRUTH = {(paper.id, talk.id) for paper, talk in zip(PAPERS, TALKS, strict=True)}


def options(**changes: Any) -> pairs.Options:
    values = {
        "left": "paper",
        "right": "talk",
        "per_document": 1,
        "neighbours": 4,
        "min_margin": 1.05,
        "min_cosine": 0.1,
        "lexical_share": 0.5,
        "near_duplicate": 0.97,
        **changes,
    }
    return pairs.Options.model_validate(values)


def chunked(documents: Sequence[Document], splits: dict[str, str] | None = None) -> list[Chunk]:
    found = []
    for each in documents:
        middle = each.text.index(". ") + 1
        for index, (start, end) in enumerate([(0, middle), (middle + 1, len(each.text))]):
            split = (splits or {}).get(each.id, "train")
            found.append(Chunk(each.id, each.domain, split, index, start, end, 9, each.text[start:end]))
    return found


def mine(documents: Sequence[Document], splits: dict[str, str] | None = None, **changes: Any) -> pairs.Mined:
    return pairs.mine(documents, chunked(documents, splits), encode, options(**changes), TRUTH)


def test_documents_on_the_same_subject_are_paired():
    mined = mine(PAPERS + TALKS)
    assert {(each.left, each.right) for each in mined.pairs} == TRUTH
    assert all(each.margin > 1.05 and each.split == "train" for each in mined.pairs)
    ends = {each.id: each for each in chunked(PAPERS + TALKS)}
    assert all(ends[each.left_chunk].document == each.left for each in mined.pairs)
    assert all(ends[each.right_chunk].index == 0 for each in mined.pairs)  # the sentence that names the subject


def test_the_order_of_the_records_changes_nothing():
    documents = [*TALKS, *PAPERS][::-1]
    assert pairs.mine(documents, chunked(documents)[::-1], encode, options(), TRUTH) == mine(PAPERS + TALKS)


def test_a_match_between_summaries_only_has_no_effect():
    """Each paper's summary is the text of a talk on another subject; the outcome is that of no summaries at all."""
    seen: list[str] = []

    def listen(texts: list[str]) -> torch.Tensor:
        seen.extend(texts)
        return encode(texts)

    planted = [
        replace(paper, id="", summary=f"PLANTED {talk.text} {talk.text}")
        for paper, talk in zip(PAPERS, TALKS[1:] + TALKS[:1], strict=True)
    ]
    plain = mine(PAPERS + TALKS)
    mined = pairs.mine(planted + TALKS, chunked(planted + TALKS), listen, options())
    text = {each.id: each.text for each in PAPERS + planted}

    def outcome(mined: pairs.Mined) -> list[tuple[str, str, float, float]]:
        """An id depends on the summary, and the order of sums on the ids: the last digit is rounding."""
        return sorted(
            (text[each.left], each.right, round(each.cosine, 4), round(each.margin, 4)) for each in mined.pairs
        )

    assert outcome(mined) == outcome(plain)
    assert seen
    assert not any("PLANTED" in text for text in seen)


def test_nothing_is_paired_across_splits():
    splits = {each.id: "test" for each in TALKS[:2]} | {each.id: "test" for each in PAPERS[1:3]}
    mined = mine(PAPERS + TALKS, splits, min_margin=0.0, min_cosine=-1.0)
    place = {each.id: splits.get(each.id, "train") for each in PAPERS + TALKS}
    assert mined.pairs
    assert all(place[each.left] == place[each.right] == each.split for each in mined.pairs)
    assert all(place[each.left] == place[each.right] == each.split for each in mined.rejects)
    assert mined.report["truth"]["pairs_inside_a_split"] == 4  # 1 in test, 3 in train


def test_near_duplicates_are_removed_first_and_listed():
    again = replace(PAPERS[0], id="", title="paper 0 ")
    mined = mine([*PAPERS, again, *TALKS])
    doubled = [each for each in mined.rejects if each.reason == "near duplicate"]
    assert [{each.left, each.right} for each in doubled] == [{PAPERS[0].id, again.id}]
    assert len(mined.pairs) == len(SUBJECTS)
    assert not {each.left for each in mined.pairs} & {doubled[0].left}


def test_every_candidate_is_a_pair_or_has_a_reason():
    mined = mine(PAPERS + TALKS)
    assert len(mined.pairs) + len(mined.rejects) == len(PAPERS) * 4
    assert mined.report["rejected"] == {"not mutual": len(mined.rejects)}
    vague = Document("talk", "vague", "So today comets, friends. And violins, glaciers, orchids, bridges.")
    documents = [*PAPERS, *TALKS[:-1], vague]
    lowest, second = sorted(each.margin for each in mine(documents).pairs)[:2]
    strict = mine(documents, min_margin=(lowest + second) / 2)
    assert [each.right for each in strict.rejects if each.reason == "below min_margin"] == [vague.id]
    assert sum(strict.report["margin_histogram"].values()) == len(PAPERS) * 4
    low, next_ = sorted(each.cosine for each in mine(documents).pairs)[:2]
    shy = mine(documents, min_cosine=(low + next_) / 2)
    assert shy.report["rejected"]["below min_cosine"] == 1


def test_a_document_is_in_at_most_per_document_pairs():
    talks = [*TALKS, *(document("talk", "comets", n) for n in range(1, 4))]
    for most in (1, 2):
        mined = mine(PAPERS + talks, per_document=most, min_margin=0.0, min_cosine=-1.0, near_duplicate=1.0)
        for names in ([each.left for each in mined.pairs], [each.right for each in mined.pairs]):
            assert max(names.count(name) for name in names) <= most


def test_of_many_documents_the_same_pairs_are_found_through_a_shortlist():
    again = replace(PAPERS[0], id="", title="paper 0 ")
    documents = [*PAPERS, again, *TALKS]
    plain = mine(documents)
    short = mine(documents, shortlist={"above": 3, "candidates": 4, "index": "torch"})
    assert [replace(each, cosine=0.0, margin=0.0) for each in short.pairs] == [
        replace(each, cosine=0.0, margin=0.0) for each in plain.pairs
    ]
    assert short.report["rejected"]["near duplicate"] == plain.report["rejected"]["near duplicate"] == 1


def test_the_report_measures_against_the_truth():
    assert mine(PAPERS + TALKS).report["truth"] == {
        "pairs": 6,
        "pairs_inside_a_split": 6,
        "precision": 1.0,
        "recall": 1.0,
        "recall_at_1_left": 1.0,
        "recall_at_1_right": 1.0,
    }
    wrong = pairs.mine(PAPERS + TALKS, chunked(PAPERS + TALKS), encode, options(), {(PAPERS[0].id, TALKS[1].id)})
    assert wrong.report["truth"]["precision"] == 0.0
    assert wrong.report["truth"]["recall_at_1_right"] == 0.0


def test_truth_is_read_from_source_names_or_from_groups(tmp_path: Path):
    file = tmp_path / "aligned.json"
    file.write_text(json.dumps({"pairs": [[f"paper-{name}", f"talk-{name}"] for name in [*SUBJECTS, "elsewhere"]]}))
    assert pair_report.read_truth(str(file), PAPERS + TALKS, "paper", "talk") == TRUTH
    grouped = [replace(each, group=each.text.split()[2]) for each in PAPERS] + TALKS
    with pytest.raises(DataError, match="names a paper and a talk document"):
        pair_report.read_truth("group", grouped, "paper", "talk")
    both = [replace(each, group=str(n)) for group in (PAPERS, TALKS) for n, each in enumerate(group)]
    assert pair_report.read_truth("group", both, "paper", "talk") == TRUTH


def test_zero_pairs_is_an_error_that_says_what_came_nearest():
    with pytest.raises(
        DataError, match=r"none found between paper and talk \(12 .* margin >= 9; the nearest had cosine"
    ):
        mine(PAPERS + TALKS, min_margin=9.0)
    with pytest.raises(DataError, match="no split has documents of both domains"):
        mine(PAPERS + TALKS, {each.id: "test" for each in TALKS})


def test_a_missing_domain_is_named():
    with pytest.raises(DataError, match="no chunk of domain talk; the documents have: paper"):
        mine(PAPERS)


def test_where_there_are_none_to_look_for_none_are_found():
    found = mine(PAPERS, left=None, right=None)
    assert (found.pairs, found.rejects, found.report["pairs"]) == ([], [], 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"right": "paper"}, "pairs join two domains"),
        ({"right": None}, "two domains, or both null"),
        ({"per_document": 5}, r"per_document \(5\) cannot exceed neighbours \(4\)"),
        ({"shortlist": {"candidates": 3}}, r"neighbours \(4\) cannot exceed shortlist.candidates \(3\)"),
        ({"lexical_share": 1.5}, "less than or equal to 1, got 1.5"),
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any], says: str):
    with pytest.raises(ValidationError, match=says):
        options(**changes)


def test_options_are_light_to_import():
    import subprocess
    import sys

    code = "import sys, breviary.data.pairs; sys.exit(bool({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
