"""Front matter: a YAML mapping between two lines of three dashes at the head of a text file.

Read with YAML 1.2 and the safe loader: no tags, no objects.
"""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from breviary.errors import DataError

BLOCK = re.compile(r"---[ \t]*\r?\n(.*?\n)??(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def split(text: str, name: str) -> tuple[dict[str, Any], str]:
    """The fields and the body of `text`. A text without front matter has no fields."""
    if not re.match(r"---[ \t]*\r?\n[ \t]*\S+[ \t]*:", text):  # a thematic break is no front matter
        return {}, text
    block = BLOCK.match(text)
    if block is None:
        raise DataError(f"{name}:1: front matter is opened by '---' and never closed; add a line '---' after it")
    try:
        fields = YAML(typ="safe", pure=True).load(block[1] or "")
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise DataError(f"{name}:{line}: front matter is not valid YAML: {error.problem or error.context}") from None
    except (YAMLError, ValueError) as error:
        raise DataError(f"{name}:1: front matter is not valid YAML: {error}") from None
    if not isinstance(fields, dict):
        raise DataError(f"{name}:1: front matter must be a mapping of names to values, got {type(fields).__name__}")
    return {str(key): value for key, value in fields.items()}, text[block.end() :].lstrip("\r\n")
