"""A folder of files: Markdown, text, HTML, PDF, WebVTT, SubRip (`formats/<suffix>.py`).

Front matter, or a JSON object of the same name beside the file (`talk.vtt` and `talk.json`), gives title, domain,
reference summary, licence and group. Nothing outside the folder is read: neither through a link nor through a path
that a file names.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, field_validator

from breviary import config
from breviary.data import reading, signatures
from breviary.data.intake import OVER_SIZE_LIMIT, UNDECODABLE, UNKNOWN_FORMAT, Found, Parsed, Rejected
from breviary.errors import DataError, listed
from breviary.records import Document


class Names(config.Options):
    """By which names files give what; the first name that a file uses counts."""

    title: list[str] = Field(default=["title"])
    domain: list[str] = Field(default=["domain"])
    summary: list[str] = Field(default=["summary", "abstract"])
    summary_file: list[str] = Field(
        default=["summary_file"]
    )  # path of a text file with the summary, from the file that names it
    licence: list[str] = Field(default=["licence", "license"])
    group: list[str] = Field(default=["group"])


class Options(config.Options):
    """Which files of which folder."""

    kind: Literal["folder"]
    path: str = Field(min_length=1)  # inside data.root
    domain: str = ""  # of every file; "" takes what each file says
    licence: str = ""  # where a file names none
    patterns: list[str] = Field(default=["**/*"], min_length=1)  # globs below `path`
    names: Names = Names()
    max_file_mb: int = Field(default=64, ge=1, le=4096)  # MB; a larger file is not read

    @field_validator("patterns")
    @classmethod
    def _stays_inside(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if not pattern or PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
                raise ValueError(f"'{pattern}' must be a glob below the folder, such as '**/*.md'")
        return patterns


def read(options: Options, *, cache: Path) -> Iterator[Found | Rejected]:
    """One document a file, by path. All files that cannot be read are told at once (the first ten by name)."""
    root = Path(options.path)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set data.sources[].path to the folder that holds the documents")
    files = _files(root, options)
    if not files:
        raise DataError(
            f"{root}: no file matches {', '.join(options.patterns)}; put documents there or mend `patterns`"
        )
    found, problems = [], []
    for file in files:
        try:
            found.append(_read(file, root, options))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError(listed(problems))
    yield from found


def _files(root: Path, options: Options) -> list[Path]:
    """The matching files, sorted; hidden ones and the sidecars of others are none."""
    for entry in sorted(root.rglob("*")):
        if entry.is_symlink():
            _inside(entry, root, f"{entry}: a link")
    matched = {file for pattern in options.patterns for file in root.glob(pattern) if file.is_file()}
    shown = [file for file in matched if not any(part.startswith(".") for part in file.relative_to(root).parts)]
    stems = {file.with_suffix("") for file in shown if file.suffix != ".json"}
    kept = [file for file in shown if file.suffix != ".json" or file.with_suffix("") not in stems]
    return sorted(kept, key=lambda file: file.relative_to(root).as_posix())


def _inside(path: Path, root: Path, what: str) -> Path:
    """The real place of `path`, which must be under `root`."""
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise DataError(f"{what} that leads out of {root}; only files inside the folder are read: copy it there")
    return real


def _read(file: Path, root: Path, options: Options) -> Found | Rejected:
    source = file.relative_to(root).as_posix()
    if reading.format_of(file) not in reading.known():
        return Rejected(
            source, UNKNOWN_FORMAT, f"not one of {', '.join(reading.known())}; leave it out with `patterns`"
        )
    size = file.stat().st_size
    if size > options.max_file_mb << 20:
        return Rejected(source, OVER_SIZE_LIMIT, f"{size} bytes; max_file_mb is {options.max_file_mb}")
    try:
        parsed = reading.parse(file)
        return Found(_document(parsed, file, root, options), parsed.repairs)
    except UnicodeDecodeError as error:
        return Rejected(source, UNDECODABLE, f"not UTF-8: {error.reason} at byte {error.start}; convert it with iconv")


def _document(parsed: Parsed, file: Path, root: Path, options: Options) -> Document:
    sidecar = file.with_suffix(".json")
    own = _sidecar(sidecar, root) if sidecar.is_file() else {}
    given = {
        part: _first(names, own, str(sidecar)) or _first(names, parsed.fields, str(file))
        for part, names in options.names.model_dump().items()
    }
    domain = options.domain or given["domain"]
    if not domain:
        raise DataError(
            f"{file}: no domain; set `domain` of this source, or say it in front matter or in {sidecar.name}"
        )
    return Document(
        domain=domain,
        title=given["title"] or parsed.title or file.stem,
        text=parsed.text,
        summary=given["summary"] or _named_file(given["summary_file"], file, root),
        source=file.relative_to(root).as_posix(),
        licence=given["licence"] or options.licence,
        group=given["group"],
        times=parsed.times,
    )


def _sidecar(file: Path, root: Path) -> Mapping[str, Any]:
    _inside(file, root, f"{file}: a sidecar")
    try:
        value = json.loads(signatures.decode(file.read_bytes()))
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: not valid JSON: {error.msg}; mend this line") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8: {error.reason} at byte {error.start}; convert it with iconv") from None
    if not isinstance(value, dict):
        raise DataError(f"{file}: a JSON object is expected (title, domain, summary, ...), got {type(value).__name__}")
    return value


def _first(names: list[str], fields: Mapping[str, Any], where: str) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, dict | list | bool):
            raise DataError(f"{where}: '{name}' must be text, got {type(value).__name__}")
        if value is not None and str(value).strip():
            return str(value).strip()
    return ""


def _named_file(path: str, file: Path, root: Path) -> str:
    if not path:
        return ""
    named = _inside(file.parent / path, root, f"{file}: summary_file '{path}' is a path")
    if not named.is_file():
        raise DataError(f"{file}: summary_file '{path}': no such file beside it")
    raw = named.read_bytes()
    signatures.check(raw, "txt", str(named.relative_to(root.resolve())))
    return signatures.decode(raw).strip()
