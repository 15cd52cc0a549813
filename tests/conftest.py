"""What tests of any layer ask for: first of all the `tiny` backbone, a real Llama of two random layers, made once."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from ruamel.yaml import YAML

settings.register_profile("untimed", deadline=None)  # a busy machine must not fail a test
settings.load_profile("untimed")


@dataclass(frozen=True)
class Tiny:
    """Where the backbone is, and its tokenizer."""

    folder: Path
    record: Path
    identity: str
    cache: Path
    tokenizer: Any
    loaded: Any

    def model(self) -> Any:
        """A copy of the backbone that a test may change, in fp32."""
        return copy.deepcopy(self.loaded)

    def adapted(
        self, *, rank: int = 4, dropout: float = 0.0, double: bool = False, seed: int = 0, fused: bool = True
    ) -> Any:
        """A copy with a fresh LoRA adapter on two kinds of layer, in training mode."""
        from breviary.model import adapt
        from breviary.model.adapters import lora

        targets = ["q_proj", "down_proj"]
        options = lora.Options(kind="lora", rank=rank, alpha=2.0 * rank, dropout=dropout, targets=targets)
        model = (adapt.create if fused else adapt.plain)(self.model(), options, seed)
        return (model.double() if double else model).train()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    import torch

    from breviary import artifacts
    from breviary.data import tokens
    from breviary.model import compute, resolve
    from breviary.model.backbones import tiny as kind

    torch.set_num_threads(1)  # matrices this small are several times faster without a second thread to wait for
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREVIARY_CACHE", str(cache))
        record = cache / "base.json"
        artifacts.write_json(record, resolve.record(kind.Options(kind="tiny")))
        folder = resolve.folder(record)
    loaded = compute.load(folder, compute.Options(precision="fp32", quantisation="none"))
    return Tiny(folder, record, resolve.identity(record), cache, tokens.load(folder), loaded)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The embedded backbone where `make repro` left it; no test fetches it."""
    from breviary.model import resolve
    from breviary.model.backbones import package

    root = Path(__file__).parents[1]
    options = YAML().load((root / "params.yaml").read_text(encoding="utf-8"))["backbone"]
    folder = resolve.cache() / "models" / f"{options['sha256'][:16]}-{package.FORMAT}"
    if not folder.is_dir():
        pytest.skip("the embedded backbone is not in the model cache; `dvc repro base_model` fetches it")
    return folder


@pytest.fixture(scope="session")
def declared() -> dict[str, Any]:
    """The stages of dvc.yaml; see `tests/declared.py`."""
    from tests.declared import stages

    return stages()


@pytest.fixture
def accelerator() -> Iterator[Any]:
    """One CPU process; accelerate keeps its state in the class, and a second precision would clash with it."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[Any]]:
    """Rows of random bytes with very different lengths of prompt and target."""
    import random

    from breviary.data.batches import Row

    def make(count: int, seed: int = 0, end: int = 257) -> list[Row]:
        draw = random.Random(seed)
        made = []
        for index in range(count):
            prompt = [draw.randrange(256) for _ in range(draw.randint(3, 24))]
            target = [draw.randrange(256) for _ in range(draw.randint(1, 9))]
            made.append(Row(f"e{seed}-{index}", prompt, [*target, end]))
        return made

    return make
