"""What a stage reads is what the stage before it wrote: dvc.lock holds the md5 of each output, and a stage hashes all
that it reads.

DVC itself does not look again. It knows a file by its time and size, so that a bit that rotted on the disk, in the
workspace or in DVC's cache, would be trained on, and dvc.lock would say that the right bytes were.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from breviary.errors import ArtifactError, listed
from breviary.tracking.fingerprint import Input

LOCK = Path("dvc.lock")
SHOWN = 7  # digits of an md5
QUOTES = "'\""
ENTRY = re.compile(
    r"^    (?P<section>\w+):$|^    - path: (?P<path>.+)\n(?:      (?!md5: ).+\n)*      md5: (?P<md5>\S+)$", re.M
)
REMEDY = (
    "delete what is damaged, then run `dvc checkout` (for a file in git `git checkout -- FILE`); `breviary verify "
    "FILE` says whether the copy in DVC's cache is whole. If you changed it on purpose, run `dvc commit FILE`"
)


def require(read: Sequence[Input]) -> None:
    """Raise ArtifactError naming each input that is not what dvc.lock says was written."""
    text = LOCK.read_text(encoding="utf-8") if LOCK.is_file() else ""
    seen = _glanced(text)
    if text and (not seen or _differing(read, seen)):
        _compare(read, _outputs(text))


def _compare(read: Sequence[Input], written: Mapping[str, str]) -> None:
    damaged = _differing(read, written)
    if damaged:
        lines = [f"{each.name}: its md5 is {each.md5[:SHOWN]}, but {_was(each, written)}" for each in damaged]
        raise ArtifactError(listed(lines, REMEDY))


def _differing(read: Sequence[Input], written: Mapping[str, str]) -> list[Input]:
    """What is not as it was written; what no stage writes is nobody's business here."""
    return [each for each in read if written.get(each.name, each.md5) != each.md5]


def _glanced(text: str) -> dict[str, str]:
    """The md5 of each output as DVC lays its lock out: reading YAML takes a thousand times as long."""
    section, found = "", dict[str, str]()
    for entry in ENTRY.finditer(text):
        section = entry["section"] or section
        if section == "outs" and entry["path"]:
            found[entry["path"].strip(QUOTES)] = entry["md5"].strip(QUOTES)
    return found


def _was(each: Input, written: Mapping[str, str]) -> str:
    return f"the stage that wrote it left {written[each.name][:SHOWN]} ({LOCK}): damaged, or changed by hand"


def _outputs(text: str) -> dict[str, str]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from breviary.config import MALFORMED

    try:
        stages: Any = YAML(typ="safe").load(text)["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
    except (YAMLError, *MALFORMED) as error:
        said = " ".join(str(error).split())
        raise ArtifactError(f"{LOCK}: not a lock file of DVC ({said}); run `git checkout -- {LOCK}`") from None
