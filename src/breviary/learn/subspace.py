"""Protected directions: the singular vectors in which a matrix does most of what it does.

    W = sum_i sigma_i u_i v_i',  sigma_1 >= sigma_2 >= ...        left = [u_1 .. u_k], right = [v_1 .. v_k]

Exact: eigenvectors of the smaller Gram matrix in float64, then a small SVD inside the space that they span, which makes
both sides orthonormal and left' W right diagonal to the last bits, also where singular values repeat or vanish. A
randomised SVD (`torch.svd_lowrank`) is wrong by tens of degrees on spectra that decay as slowly as language models' do.
Stored in fp32: from 16-bit directions a projection of rows of 4,096 leaks 2.5e-4 (fp16) or 1.5e-3 (bf16).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from breviary import artifacts
from breviary.errors import ArtifactError, ConfigError, listed
from breviary.model.compute import Options as Arithmetic

HEADER = "subspace"  # the one metadata key: safetensors writes several in another order each time
PARTS = ("left", "values", "right")
ENERGY_DIGITS = 6  # the last bits of a sum in fp64 depend on how many threads made it, and the file is hashed
AGAIN = "run `dvc repro`, which makes it again"


@dataclass(frozen=True)
class Directions:
    """The first k singular triples of one matrix."""

    left: Float[Tensor, "out k"]
    values: Float[Tensor, " k"]  # descending
    right: Float[Tensor, "in k"]
    energy: float  # share of the squared Frobenius norm that they hold, 0 to 1


Protected = Callable[[str], Mapping[str, Directions]]  # of which matrices (base, merged, update) -> by module
Sizes = Mapping[str, tuple[int, int, int]]  # module -> (out, in, rank of its update)


@torch.no_grad()
def top_directions(weight: Float[Tensor, "out in"], k: int) -> Directions:
    """The first k singular triples of a dense matrix."""
    if not 1 <= k <= min(weight.shape):
        raise ConfigError(f"k={k} directions of a matrix of {tuple(weight.shape)}; 1 to {min(weight.shape)} exist")
    dense = weight.double()
    wide = dense.shape[0] <= dense.shape[1]
    _, vectors = torch.linalg.eigh(dense @ dense.T if wide else dense.T @ dense)  # ascending
    known = vectors[:, -k:].flip(1)
    other, core = torch.linalg.qr(dense.T @ known if wide else dense @ known)
    turn, values, known_turn = torch.linalg.svd(core)
    other, known = other @ turn, known @ known_turn.T
    left, right = (known, other) if wide else (other, known)
    return _directions(left, values, right, dense.square().sum())


@torch.no_grad()
def of_update(a: Float[Tensor, "rank in"], b: Float[Tensor, "out rank"], scaling: float, k: int) -> Directions:
    """The first k singular triples of scaling * B A, whose product is never formed."""
    if not 1 <= k <= a.shape[0]:
        raise ConfigError(f"k={k} directions of an update of rank {a.shape[0]}; 1 to {a.shape[0]} exist")
    tall, tall_core = torch.linalg.qr(b.double())
    wide, wide_core = torch.linalg.qr(a.double().T)
    left, values, right = torch.linalg.svd(scaling * tall_core @ wide_core.T)
    return _directions(tall @ left[:, :k], values[:k], wide @ right.T[:, :k], values.square().sum())


def _directions(left: Tensor, values: Tensor, right: Tensor, total: Tensor) -> Directions:
    energy = float(values.square().sum() / total) if total > 0 else 0.0
    stored = [each.float().cpu().contiguous() for each in (left, values, right)]
    return Directions(stored[0], stored[1], stored[2], round(min(1.0, energy), ENERGY_DIGITS))


def deficient(directions: Directions) -> bool:
    """Whether the matrix has fewer directions than these: the last one is lost in the rounding of its fp32 weights."""
    return bool(directions.values[-1] <= torch.finfo(torch.float32).eps * directions.values[0])


def require_room(k: int, sizes: Sizes, where: str) -> None:
    """Raise ConfigError naming each module whose update would not fit beside k protected directions."""
    narrow = [
        f"{where}={k} leaves {module} ({out} x {into}) no room for an update of rank {rank}: "
        f"at most {min(out, into) - rank - 1}"
        for module, (out, into, rank) in sorted(sizes.items())
        if k >= min(out, into) - rank
    ]
    if narrow:
        raise ConfigError(listed(narrow, "lower k or adapter.rank, or take these layers out of adapter.targets"))


def first(found: Mapping[str, Directions], k: int, sizes: Sizes, of: str) -> dict[str, Directions]:
    """The first k directions of exactly the modules of `sizes`.

    Raises ArtifactError with all that are missing, too many, of another shape, or fewer than k.
    """
    problems = [f"{module}: no directions" for module in sorted(sizes.keys() - found.keys())]
    problems += [f"{module}: directions of a layer without update" for module in sorted(found.keys() - sizes.keys())]
    for module in sorted(found.keys() & sizes.keys()):
        shape = found[module].left.shape[0], found[module].right.shape[0]
        if shape != sizes[module][:2]:
            problems.append(f"{module}: directions of a matrix of {shape}, not of {sizes[module][:2]}")
        elif len(found[module].values) < k:
            problems.append(f"{module}: {len(found[module].values)} directions stored, k={k} asked for")
    if problems:
        again = f"set subspace.k to k or more, then {AGAIN}"
        raise ArtifactError(listed([f"subspace of '{of}': {each}" for each in problems], again))
    return {module: _first(found[module], k) for module in sorted(sizes)}


def _first(all_: Directions, k: int) -> Directions:
    squares = all_.values.double().square()
    share = float(squares[:k].sum() / squares.sum()) if squares.sum() > 0 else 0.0
    left, right = all_.left[:, :k].contiguous(), all_.right[:, :k].contiguous()
    return Directions(left, all_.values[:k], right, all_.energy * share)


def file(model: str) -> Path:
    """Where the directions of `model` are: "base" or the name of a phase."""
    return Path("models/subspace", f"{model}.safetensors")


def save(path: Path, found: Mapping[str, Mapping[str, Directions]], identity: str, arithmetic: Arithmetic) -> None:
    """Write directions by what they are of, then by module, with the exact weights that they belong to."""
    tensors = {
        f"{of}/{module}/{part}": getattr(each, part)
        for of in sorted(found)
        for module, each in sorted(found[of].items())
        for part in PARTS
    }
    energy = {of: {module: each.energy for module, each in modules.items()} for of, modules in found.items()}
    header = json.dumps({**_origin(identity, arithmetic), "energy": energy}, sort_keys=True)
    with artifacts.atomic(path) as temporary:
        save_file(tensors, temporary, metadata={HEADER: header})
        temporary.chmod(0o644)


def load(of: str, previous: str | None, identity: str, arithmetic: Arithmetic) -> dict[str, Directions]:
    """What `save` wrote of the backbone ("base"), or of the adapter of phase `previous` ("merged", "update").

    Raises ConfigError if there is no such phase or it was not asked for, ArtifactError if the file is missing, damaged,
    or made of other weights than those in use.
    """
    if of != "base" and not previous:
        raise ConfigError(f"constraints.orthogonal.of: '{of}' needs an earlier phase, and there is none")
    return read(file("base" if of == "base" else str(previous)), of, identity, arithmetic)


def read(path: Path, of: str, identity: str, arithmetic: Arithmetic) -> dict[str, Directions]:
    """The directions of `of` in the file at `path`. Raises as `load` does."""
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; run `dvc repro`, or `dvc pull` where a remote holds it")
    try:
        with safe_open(path, "pt") as opened:
            header = json.loads(opened.metadata()[HEADER])
            found = {
                module: _read(opened, f"{of}/{module}", energy)
                for module, energy in sorted(header["energy"].get(of, {}).items())
            }
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged ({' '.join(str(error).split())}); delete it and {AGAIN}") from None
    _require_of(path, header, _origin(identity, arithmetic))
    if not found:
        held = ", ".join(sorted(header["energy"]))
        raise ConfigError(f"{path} holds directions of {held}, not of '{of}'; add it to subspace.of in params.yaml")
    broken = [module for module, each in found.items() if not _finite(each)]
    if broken:
        raise ArtifactError(f"{path}: not finite in {', '.join(broken[:3])}; delete it and {AGAIN}")
    return found


def _read(opened: Any, name: str, energy: float) -> Directions:
    left, values, right = (opened.get_tensor(f"{name}/{part}") for part in PARTS)
    return Directions(left, values, right, energy)


def _origin(identity: str, arithmetic: Arithmetic) -> dict[str, str]:
    """What the weights are, as they are used: rounding and quantisation turn the directions by degrees."""
    return {"weights": identity, "quantisation": arithmetic.quantisation, "precision": arithmetic.precision}


def _require_of(path: Path, header: Mapping[str, Any], origin: Mapping[str, str]) -> None:
    other = [f"{key} {header.get(key)}, not {value}" for key, value in origin.items() if header.get(key) != value]
    if other:
        raise ArtifactError(f"{path}: made of {'; '.join(other)}; {AGAIN} from the backbone and compute in use")


def _finite(directions: Directions) -> bool:
    return all(bool(torch.isfinite(getattr(directions, part)).all()) for part in PARTS)
