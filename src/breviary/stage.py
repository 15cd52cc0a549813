"""What every stage does around its work: check all params, fix threads and hash seeds, open its MLflow run, and turn
an expected error into a message and exit status 2. So is a disk that is full or read-only.

    with stage.running("chunk", sections=("runtime", "chunk"), reads=(paths.DOCUMENTS,)) as run:
        options = run.params.section("chunk", chunks.Options)
        ...
        run.metrics({"chunks": len(windows)})
"""

import errno
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from breviary import config, tracking
from breviary.errors import BreviaryError, ConfigError

PARAMS = Path("params.yaml")
DISK = {  # what a disk refuses, and what to do about it: nothing half-written is left, so that starting again is safe
    errno.ENOSPC: "free some space, then run it again",
    errno.EDQUOT: "free some of your quota, then run it again",
    errno.EFBIG: "raise the limit on the size of a file (`ulimit -f`), then run it again",
    errno.EROFS: "make it writable, then run it again",
}


@dataclass(frozen=True)
class Stage:
    """What a stage is given: its params, and where its measurements and scratch files go."""

    name: str
    params: config.Params
    run: tracking.Run
    everything: config.Params  # all sections: for refusing early what a later stage would refuse, and for nothing else

    @property
    def runtime(self) -> config.Runtime:
        """Seed and threads."""
        return self.params.section("runtime", config.Runtime)


@contextmanager
def running(
    name: str,
    *,
    sections: Sequence[str],
    reads: Sequence[Path] = (),
    named: Callable[[config.Params], Sequence[Path]] = lambda params: (),
) -> Iterator[Stage]:
    """Run the block as stage `name`, which uses `sections` of params.yaml, the files `reads`, and those params name."""
    try:
        everything = config.read(PARAMS)
        params = everything.only(sections)
        own = named(params)
        if absent := [str(path) for path in own if not path.exists()]:
            raise ConfigError(f"{PARAMS} names {', '.join(absent)}, which is not there; put it there, or mend the name")
        with tracking.run(name, params.plain(), [*reads, *own]) as run:
            yield Stage(name, params, run, everything)
    except BreviaryError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in DISK:
            raise
        print(f"{name}: {error}; {DISK[error.errno]}", file=sys.stderr)
        sys.exit(2)
