"""The file name is the registry: `kind: ewc` means the module `<package>/ewc.py`."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationError

from breviary.errors import ConfigError

ROOT = Path(__file__).parent


def kinds(package: str) -> list[str]:
    """The kinds that `package` offers, without importing any of them."""
    folder = ROOT.joinpath(*package.split(".")[1:])
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))


def resolve(package: str, kind: str) -> ModuleType:
    """The module that implements `kind`. Nothing is imported until it is asked for."""
    known = kinds(package)
    if kind not in known:
        near = get_close_matches(kind, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        raise ConfigError(f"no kind '{kind}' in {package.rsplit('.')[-1]}, {hint}")
    return import_module(f"{package}.{kind}")


def validated(package: str, specs: Mapping[str, Mapping[str, Any]], where: str) -> dict[str, Any]:
    """The options of each kind in `specs`, by kind in the alphabet's order; `where` they stand in params.yaml.

    Raises ConfigError with all that is wrong with them.
    """
    found, problems = {}, []
    for kind in sorted(specs):
        try:
            found[kind] = resolve(package, kind).Options.model_validate(dict(specs[kind]))
        except ValidationError as error:
            problems += [f"{'.'.join([where, kind, *map(str, each['loc'])])}: {each['msg']}" for each in error.errors()]
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def kind_of(package: str) -> Any:
    """The type of an options field whose `kind` names a module of `package`, whose `Options` checks the rest."""

    def check(value: Any) -> Any:
        if not isinstance(value, dict) or "kind" not in value:
            raise ConfigError(f"a mapping with a 'kind' is expected here (known: {', '.join(kinds(package))})")
        return resolve(package, str(value["kind"])).Options.model_validate(value)

    return Annotated[Any, PlainValidator(check)]
