"""What the tests of training share: options of a short phase, what its terms are built from, several processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def make_options() -> Callable[..., Any]:
    """A short phase; keyword arguments change it, those of `optimizer` one by one."""
    from breviary.learn.curriculum import Options

    def make(optimizer: dict[str, Any] | None = None, **changes: Any) -> Options:
        adam = {"kind": "adamw", "lr": 5e-3, "loraplus_ratio": 4.0, "weight_decay": 0.01} | (optimizer or {})
        known = {
            "epochs": 2,
            "batch": 4,
            "micro_batch": 2,
            "optimizer": adam,
            "schedule": {"kind": "cosine", "warmup_share": 0.1},
            "max_grad_norm": 1.0,
            "gradient_checkpointing": False,
            "terms": {"cross_entropy": {"weight": 1.0}},
            "validate_every": 2,
            "keep": "last",
            "checkpoint_every": 3,
            "max_nonfinite_share": 0.0,
        }
        return Options.model_validate(known | changes)

    return make


@pytest.fixture
def make_given(accelerator: Any) -> Callable[..., Any]:
    """What a phase offers to its terms: as little as there can be; keyword arguments change it."""
    from breviary.learn.objective import Given

    def nothing(*_: Any) -> Any:
        raise AssertionError("this phase has no such thing to offer")

    def make(**changes: Any) -> Given:
        known = {"weights": {}, "width": 64, "pad": 258, "accelerator": accelerator, "seed": 17}
        return Given(**known | {"anchor": nothing, "twins": nothing} | changes)

    return make


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., str]:
    """Run a script in one process, or in several that train together; the last line that it printed."""

    def run(script: str, processes: int, *words: Any, folder: Path | None = None, **environment: str) -> str:
        file = tmp_path / "script.py"
        file.write_text(script)
        together = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"]
        done = subprocess.run(
            [sys.executable, *(together if processes > 1 else []), file, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return (done.stdout.splitlines() or [""])[-1]

    return run


@pytest.fixture
def run_fit(make_rows: Callable[..., Any], accelerator: Any, make_given: Any, tmp_path: Path) -> Callable[..., Any]:
    """`fit` on nine rows, with a validation set of two domains; `until` kills it when that step is logged."""
    from breviary.learn import fit, objective
    from breviary.model import adapt
    from tests.learn.fitted import PAD, Killed

    def made(
        model: Any,
        options: Any,
        *,
        until: int = 10**9,
        log: Any = None,
        scratch: str = "scratch",
        constraints: Any = None,
    ) -> Any:
        def watch(values: dict[str, float], step: int) -> None:
            if log is not None:
                log.append((step, values))
            if step == until:
                raise Killed

        return fit.fit(
            model,
            options,
            make_rows(9, seed=1),
            {"paper": make_rows(3, seed=2), "talk": make_rows(2, seed=3)},
            objective=objective.build(options.terms, make_given(weights=adapt.trainable(model))),
            constraints=constraints or {},
            accelerator=accelerator,
            pad=PAD,
            seed=17,
            scratch=tmp_path / scratch,
            log=watch,
        )

    return made
