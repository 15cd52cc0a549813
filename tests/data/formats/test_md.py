"""Markdown."""

import pytest

from breviary.data.formats import md
from breviary.errors import DataError


def test_the_first_heading_is_the_title() -> None:
    parsed = md.parse(b"```sh\n# a comment\n```\n\n# The Title #\n\nText.\n\n# Later\n", "a.md")
    assert parsed.title == "The Title"


def test_the_body_is_kept_as_it_is_written() -> None:
    body = "## One\n\n| a | b |\n|---|---|\n| 1 | *2* |\n"
    parsed = md.parse(f"---\nabstract: >\n  Two\n  lines.\n---\n{body}".encode(), "a.md")
    assert parsed.text == body
    assert parsed.fields["abstract"] == "Two lines.\n"


def test_comments_are_left_out() -> None:
    assert md.parse(b"One.\n<!-- not\nthis -->\nTwo.", "a.md").text == "One.\nTwo."


def test_what_begins_a_comment_and_never_ends_it_is_text() -> None:
    assert md.parse(b"One.<!-- a --><!-- b", "a.md").text == "One.<!-- b"


def test_beginnings_without_an_end_are_read_in_one_pass() -> None:
    """Looking for the end of each comment, or for the end of the title, would take hours."""
    assert md.parse(b"<!--" * 400_000, "a.md").title == ""
    assert md.parse(b"# a" + b" #" * 20_000 + b"x", "a.md").title.endswith("#x")


def test_front_matter_that_is_no_yaml_has_an_address() -> None:
    with pytest.raises(DataError, match=r"papers/a\.md:3: front matter is not valid YAML"):
        md.parse(b"---\ntitle: fine\nsummary: a: b\n---\nText.", "papers/a.md")
