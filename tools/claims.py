"""Every number in README and docs that is marked as a result, against the metrics file that it cites.

    [0.147](metrics/evaluate.json#target.difference)        a number: a link to the file, and the keys down to the value
    [96 %](../metrics/ablation.json#arms.full.removed)      a share as a percentage; with as many digits as you like

    <!-- results: metrics/scores/{base,phase3}.json: talk.rouge1 talk.rouge2 -->
    (a table, a row for each file and a column for each value)
    <!-- end -->

    python tools/claims.py            # what does not hold; exit status 1
    python tools/claims.py --write    # numbers and tables taken from the files anew

The test compares with the metrics files that git would commit, not with those of a run that is not staged yet: another
machine may differ in the last digits, and running the pipeline there must not make a document wrong. Links are relative
to the document, as Markdown has them; files of a table to the project. A link to a metrics file with no such key is a
mistake, not a claim that happens to hold.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(
    r"\[(?P<said>[-+]?[\d,]*\.?\d+(?: ?%)?)\]\((?P<file>[^)#\s]*metrics/[^)#\s]+\.json)#(?P<keys>[^)\s]+)\)"
)
TABLE = re.compile(
    r"(?P<open><!-- results: (?P<files>\S+): (?P<columns>[^>]+?) -->\n)(?P<body>.*?)(?P<close><!-- end -->)", re.S
)
DIGITS = 3  # of a number in a table


Read = Callable[[Path], str]  # a metrics file's text, by its path in the project


def written(path: Path) -> str:
    """The file as it is on the disk."""
    return (ROOT / path).read_text(encoding="utf-8")


def staged(path: Path) -> str:
    """The file as git would commit it now. Raises OSError where git does not know it."""
    done = subprocess.run(["git", "show", f":{path.as_posix()}"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())
    return done.stdout


def documents(root: Path) -> list[Path]:
    """The files that make claims."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def renewed(document: Path, root: Path, read: Read = written) -> str:
    """The text of `document` with every marked number as its metrics file has it. Raises LookupError, OSError."""
    text = document.read_text(encoding="utf-8")
    text = LINK.sub(lambda found: _link(found, document.parent.relative_to(root), read), text)
    return TABLE.sub(
        lambda found: f"{found['open']}{_table(found['files'], found['columns'].split(), read)}{found['close']}", text
    )


def problems(root: Path, read: Read = written) -> Iterator[str]:
    """A line for each number that its file does not bear out."""
    for document in documents(root):
        name = document.relative_to(root)
        try:
            before = document.read_text(encoding="utf-8").splitlines()
            after = renewed(document, root, read).splitlines()
        except (LookupError, OSError, ValueError) as error:
            yield f"{name}: {error}"
            continue
        if len(before) != len(after):
            yield f"{name}: a table has other rows than its files; run `python tools/claims.py --write`"
        for number, (said, holds) in enumerate(zip(before, after, strict=False), 1):
            if said != holds:
                yield f"{name}:{number}: says\n    {said.strip()}\n  and its file\n    {holds.strip()}"


def count(root: Path) -> int:
    """How many marked numbers there are."""
    texts = [document.read_text(encoding="utf-8") for document in documents(root)]
    cells = sum(
        len(found["columns"].split()) * (found["body"].count("\n") - 2)
        for text in texts
        for found in TABLE.finditer(text)
    )
    return cells + sum(len(LINK.findall(text)) for text in texts)


def _link(found: re.Match[str], folder: Path, read: Read) -> str:
    said, file, keys = found["said"], found["file"], found["keys"]
    value = _value(json.loads(read(Path(os.path.normpath(folder / file)))), keys, f"{file}#{keys}")
    is_share = said.endswith("%")
    digits = len(said.rstrip(" %").partition(".")[2])
    shown = f"{abs(100 * value if is_share else value):{',' if ',' in said else ''}.{digits}f}"
    sign = "+" if said[0] == "+" and value >= 0 else "-" if value < 0 else ""
    unit = said[len(said.rstrip(" %")) :]
    return f"[{sign}{shown}{unit}]({file}#{keys})"


def _table(files: str, columns: list[str], read: Read) -> str:
    rows = [["", *(column.replace(".", " ") for column in columns)]]
    for path in _expanded(files):
        content = json.loads(read(Path(path)))
        values = [_value(content, column, f"{path}#{column}") for column in columns]
        rows.append([f"`{Path(path).stem}`", *(f"{value:.{DIGITS}f}" for value in values)])
    rows.insert(1, ["---", *["---:"] * len(columns)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _expanded(files: str) -> list[str]:
    """a{b,c}d is abd and acd."""
    found = re.fullmatch(r"(.*)\{(.*)\}(.*)", files)
    return [f"{found[1]}{middle}{found[3]}" for middle in found[2].split(",")] if found else [files]


def _value(content: Any, keys: str, where: str) -> float:
    """The number at the end of the keys. Raises LookupError where there is none."""
    found = content
    for key in keys.split("."):
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            there = ", ".join(sorted(found)) if isinstance(found, dict) else type(found).__name__
            raise LookupError(f"{where}: no '{key}' there (there is: {there})")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise LookupError(f"{where}: {found!r} is no number")
    return float(found)


def main() -> None:
    """Check, or write."""
    if "--write" in sys.argv[1:]:
        for document in documents(ROOT):
            document.write_text(renewed(document, ROOT), encoding="utf-8")
        return
    found = list(problems(ROOT))
    print("\n".join(found) if found else f"{count(ROOT)} numbers hold")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
