"""Every error this package raises on purpose. Anything else is a bug and keeps its traceback.

    BreviaryError
    ├── ConfigError      params.yaml (or a profile) asks for something that cannot work
    ├── DataError        a document, record or source cannot be used as it is
    ├── ArtifactError    a file that a stage reads is missing, damaged or belongs to something else
    ├── ModelError       a backbone, adapter or tokenizer cannot be resolved or does not fit
    ├── TrainingError    a run has no signal, or too many steps that are not finite
    ├── ResourceError    not enough memory or disk, found before any work was done
    ├── RegistryError    the model registry cannot be reached, or is not as this project left it
    └── BudgetError      a summary in fewer tokens or in less time than can be done

The message is for the person who ran the command: where, what is wrong, what would be right. Several problems
are several lines. A stage prints the message and exits with status 2.
"""

from collections.abc import Sequence

SHOWN = 10  # problems that one message lists


def listed(problems: Sequence[str], remedy: str = "") -> str:
    """The first problems, a line each, how many more there are, and what to do about them."""
    more = f"... and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "\n".join([*problems[:SHOWN], *filter(None, [more, remedy])])


class BreviaryError(Exception):
    """The root: the message alone must be enough to act on."""


class ConfigError(BreviaryError, ValueError):
    """params.yaml asks for something that does not exist or cannot work."""


class DataError(BreviaryError, ValueError):
    """A document, record or source cannot be used as it is."""


class ArtifactError(BreviaryError, OSError):
    """A file that a stage reads is missing, damaged, or belongs to something else."""


class ModelError(BreviaryError, RuntimeError):
    """A backbone, adapter or tokenizer cannot be resolved, or does not fit the others."""


class TrainingError(BreviaryError, RuntimeError):
    """A training run has nothing to learn from, or its numbers stopped being finite."""


class ResourceError(BreviaryError, MemoryError):
    """Not enough memory or disk for what was asked, found before any work was done."""


class RegistryError(BreviaryError, RuntimeError):
    """The model registry cannot be reached, lacks what is asked for, or is not as this project left it."""


class BudgetError(BreviaryError, ValueError):
    """A summary was asked for in fewer tokens or in less time than can be done."""
