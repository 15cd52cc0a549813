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


def test_front_matter_that_is_no_yaml_has_an_address() -> None:
    with pytest.raises(DataError, match=r"papers/a\.md:3: front matter is not valid YAML"):
        md.parse(b"---\ntitle: fine\nsummary: a: b\n---\nText.", "papers/a.md")
