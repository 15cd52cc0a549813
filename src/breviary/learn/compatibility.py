"""Whether the methods of every phase work together and have what they need, decided before any work.

Pairs of methods are judged by `combinations.py`. What a method needs of the phases before it, of the backbone's shape
and of the directions that are stored is said here.
"""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

from breviary import catalogue, config
from breviary.errors import ConfigError
from breviary.learn import sharding
from breviary.learn.combinations import verdict
from breviary.learn.curriculum import CONSTRAINTS, Options
from breviary.model import compute, memory
from breviary.records import REPLAY

IN_THE_FIRST_PHASE = {
    "orthogonal of base": "the first phase does not read the subspace, so that another k never trains it again",
    "ewc": "no phase came before, so that there is no anchor to hold the weights to",
    "orthogonal of merged": "no phase came before, so that there is no adapter to merge",
    "orthogonal of update": "no phase came before, so that there is no update to keep out of",
    "contrastive": "there is one kind of text yet; its pairs come in with a later phase",
    "replay": "no phase came before, so that there is nothing to replay",
}


def check(params: config.Params, backbone: Mapping[str, Any]) -> None:
    """Raise ConfigError for all that cannot work together in any phase, or not with the launch that this process is of.

    `backbone` is its config.json.
    """
    mix: Any = params.section("mix", config.Options)
    subspace: Any = params.section("subspace", config.Options)
    adapter: Any = params.section("adapter", config.Options)
    arithmetic, phases = params.section("compute", compute.Options), params.all(Options)
    found = sharding.problems(phases, arithmetic.quantisation) + problems(
        phases,
        shares={f"train_{name}": phase.shares for name, phase in mix.phases().items()},
        adapter=adapter,
        arithmetic=arithmetic,
        shape=memory.shape(backbone),
        sections=params.plain(),
        stored=dict.fromkeys(("base", *subspace.of), int(subspace.k)),
    )
    found += _beyond_rank(subspace, adapter) + _without_pairs(params, phases)
    if found:
        raise ConfigError("\n".join(found))


def problems(
    phases: Mapping[str, Options],
    *,
    shares: Mapping[str, Mapping[str, float]],
    adapter: Any,
    arithmetic: compute.Options,
    shape: memory.Shape,
    sections: Collection[str],
    stored: Mapping[str, int],
) -> list[str]:
    """A line for each thing that cannot work, with its address.

    `phases` in order, and the `shares` of their mixtures, are by section; `stored` has how many directions the subspace
    stage keeps, by what they are of.
    """
    found = []
    for previous, (name, options) in zip([None, *phases], phases.items(), strict=False):
        chosen = methods(name, options, adapter, arithmetic, shares[name])
        found += refused(chosen)
        if previous is None:
            found += [f"{at}: {IN_THE_FIRST_PHASE[each]}" for each, at in chosen.items() if each in IN_THE_FIRST_PHASE]
        elif "ewc" in chosen and (needed := previous.replace("train_", "fisher_")) not in sections:
            found.append(f"{chosen['ewc']}: needs the anchor of the phase before; add a section {needed}")
        for kind, each in _constraints(name, options).items():
            if kind == "orthogonal":
                found += _without_room(f"{name}.constraints.{kind}", each, adapter, shape, stored)
    return list(dict.fromkeys(found))  # what lies in the adapter or the backbone is the same in every phase


def methods(
    section: str, phase: Options, adapter: Any, arithmetic: compute.Options, shares: Mapping[str, float]
) -> dict[str, str]:
    """The methods that one phase uses, each with where params.yaml asks for it."""
    found = {
        f"{kind} of {each.of}" if kind == "orthogonal" else kind: f"{section}.constraints.{kind}"
        for kind, each in _constraints(section, phase).items()
    }
    found |= {kind: f"{section}.terms.{kind}" for kind in phase.terms if kind != "cross_entropy"}
    if phase.optimizer.loraplus_ratio != 1:
        found["loraplus"] = f"{section}.optimizer.loraplus_ratio"
    if shares.get(REPLAY):
        found["replay"] = f"{section.replace('train_', 'mix.')}.shares.{REPLAY}"
    settings = adapter.model_dump()
    if settings.get("init", "default") != "default":  # not every kind of adapter has a choice of how it starts
        found[settings["init"]] = "adapter.init"
    found[settings["kind"]] = "adapter.kind"
    if arithmetic.quantisation != "none":
        found[arithmetic.quantisation] = "compute.quantisation"
    return found


def _constraints(section: str, phase: Options) -> dict[str, Any]:
    """Their options, defaults filled in. The kinds import torch, which importing this file does not."""
    return catalogue.validated(CONSTRAINTS, phase.constraints, f"{section}.constraints")


def refused(chosen: Mapping[str, str]) -> list[str]:
    """A line for each pair of `chosen` methods (name: address) that does not work, or of which nothing is known."""
    found = []
    for left, right in combinations(chosen, 2):
        rule = verdict(left, right)
        if rule is None:
            found.append(
                f"{chosen[left]}: nobody has said whether {left} and {right} ({chosen[right]}) work together; "
                "add a row to RULES in src/breviary/learn/combinations.py, with a test"
            )
        elif not rule.works:
            found.append(f"{chosen[left]}: {left} does not go with {right} ({chosen[right]}): {rule.reason}")
    return found


def _without_room(where: str, options: Any, adapter: Any, shape: memory.Shape, stored: Mapping[str, int]) -> list[str]:
    """What `k` asks too much of: the matrices, the rank that is left to train, the directions that are stored."""
    k, of, found = options.k, options.of, []
    linear = shape.linear()
    smallest = {name: min(linear[name]) for name in adapter.targets if name in linear}
    tight = [f"{name} ({least})" for name, least in sorted(smallest.items()) if k >= least - adapter.rank]
    if tight:
        found.append(
            f"{where}.k: {k} protected directions and an update of adapter.rank={adapter.rank} do not both fit into "
            f"{', '.join(tight)}; k must be below {min(smallest.values()) - adapter.rank}"
        )
    if of != "base" and k >= adapter.rank:
        found.append(
            f"{where}.k: steps kept out of {k} directions of: {of} leave nothing of adapter.rank={adapter.rank} to "
            f"train; k must be below {adapter.rank}"
        )
    if k > stored.get(of, 0):
        have = ", ".join(f"{count} of {name}" for name, count in stored.items())
        found.append(
            f"{where}: asks for {k} directions of: {of}, subspace keeps {have}; see subspace.k and subspace.of"
        )
    return found


def _beyond_rank(subspace: Any, adapter: Any) -> list[str]:
    if "update" not in subspace.of or subspace.k <= adapter.rank:
        return []
    return [
        f"subspace.k: {subspace.k} directions of an update of adapter.rank={adapter.rank}, which has no more than its "
        "rank; lower it, or leave `update` out of subspace.of"
    ]


def _without_pairs(params: config.Params, phases: Mapping[str, Options]) -> list[str]:
    pairs: Any = params.section("pairs", config.Options)
    asking = [name for name, options in phases.items() if "contrastive" in options.terms] if not pairs.left else []
    return [f"{name}.terms.contrastive: needs pairs, and pairs.left is null: none are looked for" for name in asking]
