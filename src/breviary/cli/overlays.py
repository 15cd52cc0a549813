"""A profile is an overlay of params.yaml: it names what differs, and the rest stays.

Mappings are merged key by key, everything else is replaced. A mapping is replaced whole where its `kind` differs, since
the keys of one kind mean nothing to another, and where the profile says so with `!replace {...}`. The first line of a
profile, a comment, says what it is for.
"""

import io
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches, unified_diff
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError

from breviary import artifacts, config
from breviary.errors import ConfigError

PROFILES = Path("profiles")
PARAMS = Path("params.yaml")
BARE = re.compile(r"[A-Za-z_][\w./-]*")  # a string that Hydra's grammar takes without quotes ...
WORDS = {"null", "true", "false", "nan", "inf"}  # ... unless it reads as something else


class Whole(dict[str, Any]):
    """A mapping that is not merged: `!replace {...}`."""


class _Constructor(SafeConstructor):
    """Safe YAML, and one tag. A class of its own, because ruamel keeps tags by class."""


_Constructor.add_constructor("!replace", lambda loader, node: Whole(loader.construct_mapping(node, deep=True)))


@dataclass(frozen=True)
class Change:
    """One key that a profile sets."""

    key: str
    known: bool  # params.yaml has the key already
    replaced: bool  # a mapping, of which nothing is to stay
    old: Any
    new: Any


def names() -> list[str]:
    """The profiles of this project."""
    if not PROFILES.is_dir():
        raise ConfigError(f"{PROFILES}/: missing; run from the top of the project")
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def text(name: str) -> str:
    """The profile as it is written. Raises ConfigError with the right names for a wrong one."""
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        raise ConfigError(f"no profile '{name}', {hint}")
    return (PROFILES / f"{name}.yaml").read_text(encoding="utf-8")


def purpose(name: str) -> str:
    """What the profile is for: its first line."""
    return text(name).partition("\n")[0].lstrip("# ").strip()


def changes(name: str) -> list[Change]:
    """What the profile changes in params.yaml as it stands, in the profile's order."""
    return list(_changes(_plain(PARAMS.name, _params()), _plain(name, text(name)), ""))


def _changes(base: Mapping[str, Any], overlay: Mapping[str, Any], prefix: str) -> Iterator[Change]:
    for key, new in overlay.items():
        old, where = base.get(key), f"{prefix}{key}"
        if isinstance(new, Mapping) and isinstance(old, Mapping) and _merges(old, new):
            yield from _changes(old, new, f"{where}.")
        elif key not in base or json.dumps(old) != json.dumps(new):  # not ==, to which 1 is True
            replaced = isinstance(old, Mapping)
            yield Change(where, known=key in base, replaced=replaced, old=old, new=new)


def _merges(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return not isinstance(new, Whole) and old.get("kind") == new.get("kind", old.get("kind"))


def applied(name: str) -> str:
    """params.yaml with the profile laid over it, its comments kept. Raises ConfigError if the result is not valid."""
    yaml = _round_trip()
    document = yaml.load(_params())
    _lay_over(document, _plain(name, text(name)))
    stream = io.StringIO()
    yaml.dump(document, stream)
    check(stream.getvalue(), name)
    return stream.getvalue()


def apply(name: str) -> str:
    """Write params.yaml with the profile laid over it; gives the difference, "" if there is none."""
    before, after = _params(), applied(name)
    if not changes(name):
        return ""
    artifacts.write_text(PARAMS, after)
    lines = unified_diff(before.splitlines(), after.splitlines(), str(PARAMS), f"{PARAMS} ({name})", lineterm="", n=0)
    return "\n".join(lines)


def check(content: str, name: str) -> config.Params:
    """The checked params in `content`, which is params.yaml under the profile `name`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PARAMS.name
        path.write_text(content, encoding="utf-8")
        try:
            return config.read(path)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(path), f"{PARAMS} with profile '{name}'")) from None


def arguments(name: str) -> list[str]:
    """The profile as arguments of `dvc exp run`, each one word without quotes for a shell.

    Raises ConfigError that names each value which has no such spelling.
    """
    applied(name)  # refused here, rather than by the first stage
    found, problems = list[str](), list[str]()
    for change in changes(name):
        try:
            value = _spelled(change.new)
        except ConfigError as error:
            problems.append(
                f"{PROFILES / name}.yaml: {change.key}: {error}; use `breviary profile apply {name}` instead"
            )
            continue
        if change.replaced:
            found += ["-S", f"~{change.key}"]  # a merge would keep the other kind's keys
        found += ["-S", f"{'+' if change.replaced or not change.known else ''}{change.key}={value}"]
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _spelled(value: Any) -> str:
    """`value` in the grammar of Hydra's overrides, which `dvc exp run -S` reads."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_spelled(key)}:{_spelled(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_spelled, value)) + "]"
    if isinstance(value, str):
        if BARE.fullmatch(value) and value.lower() not in WORDS:
            return value
        if re.search(r"\s|[\"'\\`]|\$\{", value):
            raise ConfigError(f"{value!r} cannot be an argument of `dvc exp run -S` (space, quote, backslash or ${{}})")
        return f'"{value}"'
    return json.dumps(value)  # null, true, numbers


def _lay_over(document: Any, overlay: Mapping[str, Any]) -> None:
    for key, new in overlay.items():
        old = document.get(key)
        if isinstance(new, Mapping) and isinstance(old, Mapping) and _merges(old, new):
            _lay_over(old, new)
        elif key not in document or json.dumps(old) != json.dumps(new):
            document[key] = _styled(new)


def _styled(value: Any) -> Any:
    """`value` as one writes it by hand: short lists and innermost mappings on one line."""
    if isinstance(value, Mapping):
        found = CommentedMap((key, _styled(each)) for key, each in value.items())
        inner = value.values()
    elif isinstance(value, list):
        found = CommentedSeq(_styled(each) for each in value)
        inner = value
    else:
        return value
    if not any(isinstance(each, Mapping | list) for each in inner) and len(json.dumps(value)) < 100:
        found.fa.set_flow_style()
    return found


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _plain(name: str, content: str) -> dict[str, Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        found = yaml.load(content) or {}
    except YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{name}: sections expected, got {type(found).__name__}")
    return found


def _params() -> str:
    if not PARAMS.is_file():
        raise ConfigError(f"{PARAMS}: missing; run from the top of the project")
    return PARAMS.read_text(encoding="utf-8")
