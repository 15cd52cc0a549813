"""Front matter."""

import pytest

from breviary.data import frontmatter
from breviary.errors import DataError


def test_fields_and_body_are_parted() -> None:
    assert frontmatter.split("---\na: 1\nb: no\n---\n\nBody.\n---\nMore.\n", "x") == (
        {"a": 1, "b": "no"},
        "Body.\n---\nMore.\n",
    )


def test_windows_line_ends_are_understood() -> None:
    assert frontmatter.split("---\r\na: x\r\n---\r\nBody.", "x") == ({"a": "x"}, "Body.")


@pytest.mark.parametrize("text", ["Body.", "", "---\n\nA thematic break above.", "----\na: b\n----\n"])
def test_a_text_without_front_matter_is_all_body(text: str) -> None:
    assert frontmatter.split(text, "x") == ({}, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\na: b\nBody.\n", r"x\.md:1: front matter is opened by '---' and never closed"),
        ("---\na: b: c\n---\n", r"x\.md:2: front matter is not valid YAML"),
        ("---\na: 1\na: 2\n---\n", r"x\.md:3: front matter is not valid YAML: found duplicate key"),
        ("---\na: !!int ''\n---\n", r"x\.md:1: front matter is not valid YAML"),
        ("---\na: !!bool x\n---\n", r"x\.md:1: front matter is not valid YAML"),
        ('---\na: "\\UFFFFFFFF"\n---\n', r"x\.md:1: front matter is not valid YAML"),
        ("---\na: &b [c]\nd: *b\n---\n", r"x\.md:3: front matter is not valid YAML: an alias \(\*\) must be written"),
        (f"---\na:\n  {'- ' * 17}b\n---\n", r"x\.md:3: front matter is not valid YAML: nested deeper than 16"),
        (f"---\na: {'[' * 9000}\n---\n", r"x\.md:1: front matter with brackets nested deeper than 16; quote them"),
        (f"---\na: {'b ' * 20_000}\n---\n", r"x\.md:1: front matter of more than 32768 characters; give long texts"),
        ("---\na: !!python/name:os.system\n---\n", r"x\.md:2: front matter is not valid YAML: could not determine"),
    ],
)
def test_broken_front_matter_has_an_address(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        frontmatter.split(text, "x.md")
