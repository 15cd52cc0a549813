"""The edge: text in params.yaml becomes frozen, checked options, or a readable list of everything that is wrong.

Each section of params.yaml is described by the `Options` of the module that it configures (`SECTIONS`). A stage reads
the whole file, so that a mistake in the last phase is found before the first one starts; it is then given only the
sections that it declared.
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from breviary.errors import ConfigError

SECTIONS = {  # named, not imported: what describes one section must not become a dependency of every stage
    "runtime": "breviary.config",
    "launch": "breviary.learn.launch",
    "backbone": "breviary.model.resolve",
    "encoder": "breviary.model.resolve",
    "compute": "breviary.model.compute",
    "adapter": "breviary.model.adapt",
    "data": "breviary.data.documents",
    "chunk": "breviary.data.chunks",
    "pairs": "breviary.data.pairs",
    "prompt": "breviary.data.prompts",
    "mix": "breviary.data.mixtures",
    "subspace": "breviary.learn.protecting",
    "train_phase1": "breviary.learn.curriculum",
    "fisher_phase1": "breviary.learn.measuring",
    "train_phase2": "breviary.learn.curriculum",
    "fisher_phase2": "breviary.learn.measuring",
    "train_phase3": "breviary.learn.curriculum",
    "distill": "breviary.learn.distilling",
    "predict": "breviary.summarise.predictions",
    "hierarchy": "breviary.summarise.hierarchy",
    "budget": "breviary.summarise.budget",
    "likelihood": "breviary.summarise.likelihoods",
    "evaluate": "breviary.evaluate.scores",
    "gate": "breviary.evaluate.gate",
    "register": "breviary.registry.versions",
}


# what ruamel raises beside its own errors: it meets `!!int ''`, "\\UFFFFFFFF" or [[[[... in the middle of its own code
MALFORMED = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, NotImplementedError, RecursionError)


class Options(BaseModel):
    """Base of every options class: no unknown keys, no later mutation, no silent casts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="wrap")
    @classmethod
    def _say_what_would_be_right(cls, value: Any, handler: Callable[[Any], Any]) -> Any:
        """Here, and not where errors are printed, because only here it is known which keys there are."""
        try:
            return handler(value)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                cls.__name__, [_detail(each, cls.model_fields) for each in error.errors()]
            ) from None


def _detail(error: Any, fields: Mapping[str, FieldInfo]) -> InitErrorDetails:
    """The same error with a message that stands on its own."""
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = unknown_key(str(error["loc"][-1]), fields)
    elif error["type"] == "missing":
        message = "this key is required"
    elif error["type"] == "string_pattern_mismatch" and (examples := fields[str(error["loc"][0])].examples):
        message = f"must be written like '{examples[0]}', got {error['input']!r}"
    elif not error["type"].startswith("breviary_") and not isinstance(error["input"], dict | list):
        message += f", got {error['input']!r}"
    kind = error["type"] if error["type"].startswith("breviary_") else f"breviary_{error['type']}"
    said = PydanticCustomError(kind, message)  # pyright: ignore[reportArgumentType]
    return InitErrorDetails(type=said, loc=error["loc"], input=error["input"])


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a key that nothing reads."""
    names = list(known)
    near = get_close_matches(key, names, n=1)
    return "unknown key, " + (f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}")


class Runtime(Options):
    """What makes a run repeatable on one machine."""

    seed: int = Field(ge=0, lt=2**31)
    threads: int = Field(ge=1, le=1024)
    bitwise: bool = False  # on a GPU: only kernels that give the same bits again; on a CPU there are no others


SomeOptions = TypeVar("SomeOptions", bound=Options)


class Params:
    """The checked sections of one params file."""

    def __init__(self, values: Mapping[str, Any], checked: Mapping[str, Options]) -> None:
        self._values, self._checked = values, checked

    def section(self, name: str, into: type[SomeOptions]) -> SomeOptions:
        """The options of section `name`; `into` is the class that describes it."""
        options = self._checked.get(name)
        if not isinstance(options, into):
            raise ConfigError(f"section '{name}' was not declared by this stage as {into.__module__}.{into.__name__}")
        return options

    def all(self, into: type[SomeOptions]) -> dict[str, SomeOptions]:
        """Every section that `into` describes, by name."""
        return {name: options for name, options in self._checked.items() if isinstance(options, into)}

    def only(self, names: Iterable[str]) -> "Params":
        """The same params with no other sections than `names`."""
        kept = set(names)
        return Params(
            {name: self._values[name] for name in sorted(kept)},
            {name: options for name, options in self._checked.items() if name in kept},
        )

    def plain(self) -> dict[str, Any]:
        """The sections as plain values, for logs and fingerprints."""
        return dict(self._values)


def read(path: Path, sections: Mapping[str, str] = SECTIONS) -> Params:
    """Read and check every section of `path`.

    YAML 1.2, which is what DVC itself reads, so that `2e-4` is a number and `no` is a word.
    Raises ConfigError with one line for each problem: file, line, key, what is wrong, what would be right.
    """
    document = _parse(path)
    values = {str(name): _plain(value) for name, value in document.items()}
    unknown = [name for name in values if name not in sections]
    problems = [(_line(document, (name,)), f"{name}: {unknown_key(name, sections)}") for name in unknown]
    problems += [(0, f"{name}: this section is missing") for name in sections if name not in values]
    checked = {}
    for name in sorted(values.keys() & sections.keys()):
        try:
            checked[name] = TypeAdapter(_described_by(sections[name], name)).validate_python(values[name])
        except ValidationError as error:
            located = [((name, *each["loc"]), each["msg"].removeprefix("Value error, ")) for each in error.errors()]
            problems += [(_line(document, where), f"{'.'.join(map(str, where))}: {what}") for where, what in located]
    if problems:
        raise ConfigError("\n".join(f"{path}{f':{line}' if line else ''}: {what}" for line, what in sorted(problems)))
    return Params(values, checked)


def _described_by(module: str, section: str) -> Any:
    return Runtime if section == "runtime" else import_module(module).Options


def _parse(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"{path}: missing; run from the top of the project, or name the file")
    try:
        document = YAML().load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from None
    except (YAMLError, *MALFORMED) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{path}: not valid YAML: {said}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: sections expected ({', '.join(SECTIONS)}), got {type(document).__name__}")
    return document


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):  # ruamel keeps the spelling in subclasses; strict pydantic wants the plain one
        if isinstance(node, kind):
            return kind(node)
    return node


def _line(document: Any, location: Iterable[Any]) -> int:
    """The line (from 1) of the innermost key of `location` that stands in the file."""
    node, line = document, 0
    for key in location:
        if isinstance(node, CommentedMap) and key in node:
            line = node.lc.key(key)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(key, int):
            line = node.lc.item(key)[0] + 1
        else:
            break
        node = node[key]
    return line
