"""Front matter: a YAML mapping between two lines of three dashes at the head of a text file.

Read with YAML 1.2 and the safe loader: no tags, no objects. Documents come from strangers, so that what makes a YAML
reader slow is refused: a long block, deep nesting, and aliases, which unfold a line into gigabytes.
"""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from breviary.config import MALFORMED
from breviary.errors import DataError

BLOCK = re.compile(r"---[ \t]*\r?\n(.*?\n)??(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)

LONGEST = 32_768  # characters; the reader takes about 0.1 ms for each
DEEPEST = 16  # mappings and lists inside one another


def split(text: str, name: str) -> tuple[dict[str, Any], str]:
    """The fields and the body of `text`. A text without front matter has no fields."""
    if not re.match(r"---[ \t]*\r?\n[ \t]*\S+[ \t]*:", text):  # a thematic break is no front matter
        return {}, text
    block = BLOCK.match(text)
    if block is None:
        raise DataError(f"{name}:1: front matter is opened by '---' and never closed; add a line '---' after it")
    if len(block[1] or "") > LONGEST:
        raise DataError(f"{name}:1: front matter of more than {LONGEST} characters; give long texts files of their own")
    if _brackets(block[1] or "") > DEEPEST:
        raise DataError(f"{name}:1: front matter with brackets nested deeper than {DEEPEST}; quote them, or close them")
    try:
        fields = _yaml().load(block[1] or "")
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise DataError(f"{name}:{line}: front matter is not valid YAML: {error.problem or error.context}") from None
    except (YAMLError, *MALFORMED) as error:  # of !!int '', say, or "\\UFFFFFFFF"
        raise DataError(f"{name}:1: front matter is not valid YAML: {error}") from None
    if not isinstance(fields, dict):
        raise DataError(f"{name}:1: front matter must be a mapping of names to values, got {type(fields).__name__}")
    return {str(key): value for key, value in fields.items()}, text[block.end() :].lstrip("\r\n")


def _brackets(block: str) -> int:
    """How deep brackets stand inside one another: from each the reader looks far ahead."""
    depth = deepest = 0
    for mark in re.findall(r"[\[\]{}]", block):
        depth = max(0, depth + (1 if mark in "[{" else -1))
        deepest = max(deepest, depth)
    return deepest


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _Composer
    return yaml


class _Composer(Composer):
    """Refuses aliases and deep nesting while it reads, before they cost anything."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next value."""
        found = self.parser.peek_event()
        if isinstance(found, AliasEvent):
            raise ComposerError(None, None, "an alias (*) must be written out", found.start_mark)
        if self.depth == DEEPEST:
            raise ComposerError(None, None, f"nested deeper than {DEEPEST}", found.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node
