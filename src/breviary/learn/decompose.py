"""The stage `subspace`, from files to files: the directions in which adapted matrices do most of what they do.

For the directions of an adapter's own update alone no backbone is loaded.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from tqdm import tqdm

from breviary import artifacts, config
from breviary.errors import ConfigError, listed
from breviary.learn import subspace
from breviary.learn.protecting import Options
from breviary.learn.subspace import Directions, Sizes
from breviary.model import adapt, adapted, compute, memory, resolve, resources
from breviary.model.adapted import Layer
from breviary.stage import Stage

BASE = Path("models/base.json")
SECTIONS = ("runtime", "compute", "adapter", "subspace")
Tasks = dict[str, dict[str, Callable[[], Directions]]]  # of -> module -> how to find its directions


def reads(model: str) -> list[Path]:
    """The files that the directions of `model` depend on."""
    return [BASE] if model == "base" else [BASE, Path("models", model)]


def run(stage: Stage, model: str) -> None:
    """Write the directions of `model`, "base" or a phase, and what share of their matrices they hold."""
    options = stage.params.section("subspace", Options)
    arithmetic = stage.params.section("compute", compute.Options)
    compute.prepare(stage.runtime)
    tasks = _tasks(stage, model, options)
    found = {of: _solve(work, f"subspace.k={options.k}: {of} of {model}") for of, work in tasks.items()}
    subspace.save(subspace.file(model), found, resolve.identity(BASE), arithmetic)
    report = {of: _summary(modules) for of, modules in found.items()}
    artifacts.write_json(Path("metrics", f"subspace_{model}.json"), {"k": options.k, "of": report})
    shares = {of: _mean(each.energy for each in modules.values()) for of, modules in found.items()}
    stage.run.metrics({f"energy/{of}": share for of, share in shares.items()})
    said = ", ".join(f"{share:.1%} of {of}" for of, share in shares.items())
    print(f"{options.k} directions of each of {len(next(iter(found.values())))} matrices hold {said}")


def _tasks(stage: Stage, model: str, options: Options) -> Tasks:
    """What is to be decomposed. Raises ConfigError before anything is, where k is too large."""
    k, where = options.k, "subspace.k"
    if model != "base" and set(options.of) == {"update"}:
        updates = adapted.stored(Path("models", model), resolve.identity(BASE))
        layers = {}
    else:
        layers = _layers(stage, model)
        updates = {module: layer.update for module, layer in layers.items()}
    sizes = {module: update.size for module, update in updates.items()}
    subspace.require_room(k, sizes, where)
    if model == "base":
        return {"base": {module: partial(_of_weight, layer, False, k) for module, layer in layers.items()}}
    tasks: Tasks = {}
    if "merged" in options.of:
        tasks["merged"] = {module: partial(_of_weight, layer, True, k) for module, layer in layers.items()}
    if "update" in options.of:
        _require_rank(k, sizes)
        tasks["update"] = {
            module: partial(subspace.of_update, each.a, each.b, each.scaling, k) for module, each in updates.items()
        }
    return tasks


def _layers(stage: Stage, model: str) -> dict[str, Layer]:
    """The adapted layers of the backbone with the adapter of `model`, or where a fresh one would sit."""
    arithmetic = stage.params.section("compute", compute.Options)
    resources.require(stage.name, _needed(arithmetic), resources.available())
    loaded = compute.load(resolve.folder(BASE), arithmetic)
    if model == "base":
        fresh = adapt.create(loaded, stage.params.section("adapter", config.Options), stage.runtime.seed)
        return adapted.layers(fresh)
    return adapted.layers(adapt.load(loaded, Path("models", model), resolve.identity(BASE), trainable=False))


def _needed(arithmetic: compute.Options) -> memory.Estimate:
    """The backbone, and the largest matrix with its Gram matrix and eigenvectors in float64."""
    shape = memory.shape(artifacts.read_json(BASE)["config"])
    weights = memory.weights(shape, precision=arithmetic.precision, quantisation=arithmetic.quantisation)
    largest = 3 * 8 * max(inner * outer for inner, outer in shape.linear().values())
    return memory.Estimate(weights, adapter=0, activations=0, logits=0, runtime=memory.RUNTIME + largest)


def _of_weight(layer: Layer, merged: bool, k: int) -> Directions:
    weight = layer.weight()
    if merged:
        weight = weight.addmm(layer.update.b.to(weight), layer.update.a.to(weight), alpha=layer.update.scaling)
    return subspace.top_directions(weight, k)


def _require_rank(k: int, sizes: Sizes) -> None:
    small = [f"subspace.k={k} exceeds the rank {size[2]} of {module}" for module, size in sizes.items() if k > size[2]]
    if small:
        raise ConfigError(listed(small, "an update has no more directions than its rank: lower subspace.k"))


def _solve(work: Mapping[str, Callable[[], Directions]], where: str) -> dict[str, Directions]:
    """Raises ConfigError with all modules whose matrix has fewer directions than k."""
    found = {module: solve() for module, solve in tqdm(sorted(work.items()), unit="matrices", disable=None)}
    empty = [f"{where}: {module} has fewer directions" for module, each in found.items() if subspace.deficient(each)]
    if empty:
        raise ConfigError(listed(empty, "lower subspace.k; an adapter that was never trained has none at all"))
    return found


def _summary(found: Mapping[str, Directions]) -> dict[str, dict[str, int | float]]:
    """Means over the modules of each kind, which is the last part of their names."""
    kinds: dict[str, list[Directions]] = {}
    for module, each in found.items():
        kinds.setdefault(module.rsplit(".", 1)[-1], []).append(each)
    return {
        kind: {
            "matrices": len(members),
            "energy": _mean(each.energy for each in members),
            "largest": _mean(float(each.values[0]) for each in members),
            "kth": _mean(float(each.values[-1]) for each in members),
        }
        for kind, members in sorted(kinds.items())
    }


def _mean(values: Iterable[float]) -> float:
    """To four digits, which is what two builds of a linear algebra library agree on."""
    found = list(values)
    return float(f"{sum(found) / len(found):.4g}")
