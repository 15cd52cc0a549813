"""What each phase of the curriculum trains on: exact shares of domains, pairs and replay, and where each came from.

    count_s = floor(share_s * examples), and what is missing goes to the largest remainders

Replay counts towards the mix like any other source: 0.1 of 48 examples are 5 that an earlier phase trained on, drawn
from a reservoir (Vitter 1985; experience replay: Chaudhry et al. 2019, arXiv:1902.10486) that remembers ids and not
positions. Everything comes from train documents that have a reference summary. A source that would have to repeat
its examples more often than `max_repetitions` is an error, never a silent repetition.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, isclose
from typing import Any

from pydantic import Field, model_validator

from breviary import config
from breviary.data.chunks import TRAIN, VALID
from breviary.errors import ConfigError, DataError
from breviary.records import PAIR, REPLAY, Document, Example, Pair, content_hash


class Phase(config.Options):
    """What one phase draws: `shares` by domain name, "pair" and "replay"."""

    examples: int = Field(ge=1)
    shares: dict[str, float]

    @model_validator(mode="after")
    def _shares_are_shares(self) -> "Phase":
        negative = [name for name, share in self.shares.items() if not 0 <= share <= 1]
        if negative:
            raise ConfigError(f"shares of {', '.join(negative)} must lie between 0 and 1")
        total = sum(self.shares.values())
        if not isclose(total, 1, rel_tol=0, abs_tol=1e-9):
            raise ConfigError(f"shares sum to {total:.10g}, they must sum to 1")
        return self


class Options(config.Options):
    """Section `mix`."""

    phase1: Phase
    phase2: Phase
    phase3: Phase
    max_repetitions: int = Field(ge=1)
    reservoir: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _the_first_phase_has_nothing_to_replay(self) -> "Options":
        if self.phase1.shares.get(REPLAY):
            raise ConfigError("phase1.shares.replay must be 0 or left out: no phase came before it")
        return self

    def phases(self) -> dict[str, Phase]:
        """The phases by name, in order."""
        return {"phase1": self.phase1, "phase2": self.phase2, "phase3": self.phase3}


@dataclass(frozen=True)
class Mixtures:
    """What `build` made. `lineage` has one row for each source of each phase."""

    phases: dict[str, list[Example]]
    valid: list[Example]
    pairs: list[Example]  # every train pair once, the left document with the right one as its partner
    reservoirs: dict[str, list[str]]  # phase: ids of the examples kept after it, for the phases that follow
    lineage: list[dict[str, Any]]


def build(
    documents: Sequence[Document], split_of: Mapping[str, str], pairs: Sequence[Pair], options: Options, seed: int
) -> Mixtures:
    """Every phase's examples in training order, and the validation set.

    Raises DataError naming each source that is empty or would repeat too often, and any document that is not train's.
    """
    summarised = sorted((each for each in documents if each.summary.strip()), key=lambda each: each.id)
    pools: dict[str, list[Example]] = {PAIR: _pair_examples(documents, split_of, pairs, random.Random(f"{seed} pairs"))}
    for document in summarised:
        if split_of[document.id] == TRAIN:
            pools.setdefault(document.domain, []).append(_example(document))
    phases: dict[str, list[Example]] = {}
    reservoirs: dict[str, list[str]] = {}
    lineage: list[dict[str, Any]] = []
    past: dict[str, Example] = {}  # every example trained on so far, by id, in the order of first use
    for name, phase in options.phases().items():
        drawn = _draw_phase(name, phase, pools, options.max_repetitions, seed)
        _refuse_held_out(name, drawn, split_of)
        phases[name] = random.Random(f"{seed} {name}").sample(drawn, len(drawn))
        lineage += _lineage(name, phases[name])
        past.update({example.id: example for example in phases[name] if example.id not in past})
        reservoirs[name] = reservoir(list(past), options.reservoir, random.Random(f"{seed} {name} reservoir"))
        pools[REPLAY] = [replace(past[id_], origin=REPLAY) for id_ in reservoirs[name]]
    valid = [_example(document) for document in summarised if split_of[document.id] == VALID]
    if not valid:
        raise DataError("no document of split valid has a reference summary; raise chunk.split.valid or add documents")
    kept = {name: reservoirs[name] for name in list(phases)[:-1]}
    return Mixtures(phases, valid, pairs_once(documents, pairs), kept, lineage)


def counts(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers within one of `share * total` that sum to `total`; ties go to the first name in the alphabet."""
    exact = {name: shares[name] * total for name in sorted(shares)}
    whole = {name: floor(value + 1e-9) for name, value in exact.items()}
    missing = total - sum(whole.values())
    for name in sorted(exact, key=lambda name: whole[name] - exact[name])[:missing]:
        whole[name] += 1
    return whole


def reservoir(stream: Sequence[str], share: float, generator: random.Random) -> list[str]:
    """A uniform sample of `share` of `stream`, at least one: item n replaces slot j of {1..n} if there is a slot j."""
    size = ceil(share * len(stream) - 1e-9)
    kept = list(stream[:size])
    for number, item in enumerate(stream[size:], size + 1):
        slot = generator.randrange(number)
        if slot < size:
            kept[slot] = item
    return sorted(kept)


def _example(document: Document, partner: Document | None = None) -> Example:
    return Example(
        document.id,
        document.domain,
        PAIR if partner else document.domain,
        document.title,
        document.text,
        document.summary,
        partner.text if partner else "",
        partner.id if partner else "",
    )


def pairs_once(documents: Sequence[Document], pairs: Sequence[Pair]) -> list[Example]:
    """Each train pair once, by its id: the left document, with the right one as its partner. No summary is needed."""
    known = {document.id: document for document in documents}
    train = sorted((pair for pair in pairs if pair.split == TRAIN), key=lambda pair: pair.id)
    return [_example(known[pair.left], known[pair.right]) for pair in train]


def _pair_examples(
    documents: Sequence[Document], split_of: Mapping[str, str], pairs: Sequence[Pair], generator: random.Random
) -> list[Example]:
    """Both directions of every train pair, so that any first n of them alternate: left summarised, right summarised."""
    known = {document.id: document for document in documents}
    train = sorted((pair for pair in pairs if pair.split == TRAIN), key=lambda pair: pair.id)
    wrong = [pair.id for pair in train if {split_of.get(pair.left), split_of.get(pair.right)} != {TRAIN}]
    if wrong:
        raise DataError(
            f"pairs {', '.join(wrong[:3])} say split train, their documents do not; run `dvc repro mine_pairs`"
        )
    shuffled = generator.sample(train, len(train))
    found = []
    for turn in (0, 1):
        for number, pair in enumerate(shuffled, turn):
            ends = (pair.left, pair.right) if number % 2 == 0 else (pair.right, pair.left)
            found.append(_example(known[ends[0]], known[ends[1]]))
    return [example for example in found if example.summary.strip()]


def _draw_phase(
    name: str, phase: Phase, pools: Mapping[str, Sequence[Example]], max_repetitions: int, seed: int
) -> list[Example]:
    drawn: list[Example] = []
    problems: list[str] = []
    for origin, count in counts(phase.shares, phase.examples).items():
        pool = pools.get(origin, [])
        if phase.shares[origin] > 0 and not pool:
            have = ", ".join(f"{key} {len(pools[key])}" for key in sorted(pools))
            problems.append(f"mix.{name}.shares.{origin}: there is no such example to draw from (there are: {have})")
        elif count > len(pool) * max_repetitions:
            problems.append(
                f"mix.{name}.shares.{origin}: {count} examples of {len(pool)} distinct ones repeat them "
                f"{ceil(count / len(pool))} times, more than mix.max_repetitions ({max_repetitions}); "
                f"ask for at most {len(pool) * max_repetitions}"
            )
        else:
            order = random.Random(f"{seed} {name} {origin}")
            drawn += list(_cycle(pool, count, order if origin != PAIR else None))
    if problems:
        raise DataError("\n".join(problems))
    return drawn


def _cycle(pool: Sequence[Example], count: int, generator: random.Random | None) -> Iterator[Example]:
    """The whole pool in random order, again and again, so that no example repeats before all have been seen."""
    while count > 0:
        order = generator.sample(pool, len(pool)) if generator else pool  # pairs are in an order of their own
        yield from order[:count]
        count -= len(pool)


def _refuse_held_out(name: str, drawn: Sequence[Example], split_of: Mapping[str, str]) -> None:
    ids = {id_ for example in drawn for id_ in (example.document, example.partner_document) if id_}
    held_out = sorted(id_ for id_ in ids if split_of.get(id_) != TRAIN)
    if held_out:
        raise DataError(
            f"{name}: documents that are not in split train: {', '.join(held_out[:5])}; nothing was written"
        )


def _lineage(name: str, examples: Sequence[Example]) -> list[dict[str, Any]]:
    rows = []
    for origin in sorted({example.origin for example in examples}):
        ids = [example.id for example in examples if example.origin == origin]
        rows.append(
            {
                "phase": name,
                "source": origin,
                "count": len(ids),
                "share": round(len(ids) / len(examples), 4),
                "distinct": len(set(ids)),
                "repetitions": max(Counter(ids).values()),
                "hash": content_hash(*ids),
            }
        )
    return rows


def table(lineage: Sequence[Mapping[str, Any]]) -> str:
    """The lineage as aligned text, a row a line."""
    rows = [list(lineage[0]), *([str(value) for value in row.values()] for row in lineage)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)) for row in rows)
