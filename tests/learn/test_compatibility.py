"""What cannot work together is refused before any work, with its address and the reason."""

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from breviary import catalogue, config
from breviary.errors import ConfigError
from breviary.learn import combinations as known
from breviary.learn import compatibility
from breviary.learn.combinations import METHODS, RULES, verdict
from breviary.learn.curriculum import CONSTRAINTS, TERMS
from breviary.model import adapt, compute, memory
from breviary.model.adapters import lora

ROOT = Path(__file__).parents[2]
SHAPE = memory.Shape(layers=2, width=576, mlp=1536, heads=576, kv=192, vocab=49152, tied=True)
PLAIN = compute.Options(precision="fp32", quantisation="none")
REPLAYED = {"paper": 0.9, "replay": 0.1}
ORTHOGONAL = {"k": 16, "sides": "both", "of": "update"}
EWC = {"cross_entropy": {"weight": 1.0}, "ewc": {"weight": 0.1}}


class Adapter(config.Options):
    """Any kind of adapter, also one that is not built yet."""

    kind: str = "lora"
    init: str = "default"
    rank: int = 32
    targets: list[str] = Field(default=["q_proj", "k_proj"])


Find = Callable[..., list[str]]


@pytest.fixture
def find(make_options: Callable[..., Any]) -> Find:
    """The problems of two phases: the keyword arguments change the second, those of `first` the first."""

    def make(first: dict[str, Any] | None = None, **changes: Any) -> list[str]:
        setting: dict[str, Any] = {
            "adapter": Adapter(),
            "arithmetic": PLAIN,
            "shape": SHAPE,
            "sections": {"fisher_phase1", "mix"},
            "stored": {"base": 16, "update": 16},
            "shares": {"train_phase1": {"paper": 1.0}, "train_phase2": {"paper": 1.0}},
        }
        setting |= {name: changes.pop(name) for name in list(changes) if name in setting}
        plain = {"optimizer": {"loraplus_ratio": 1.0}}
        phases = {
            "train_phase1": make_options(**plain | (first or {})),
            "train_phase2": make_options(**plain | changes),
        }
        return compatibility.problems(phases, **setting)

    return make


def test_no_two_rules_speak_of_one_pair() -> None:
    pairs = [pair for rule in RULES for pair in rule.pairs()]
    assert len(pairs) == len(set(pairs))
    assert {name for pair in pairs for name in pair} <= METHODS.keys()
    assert all(rule.pairs() and rule.reason for rule in RULES)


def test_something_is_known_of_every_pair_that_this_project_can_be_asked_for() -> None:
    found = [*catalogue.kinds(adapt.ADAPTERS), *catalogue.kinds(TERMS), "loraplus", "replay", "nf4", "int8"]
    for kind in catalogue.kinds(CONSTRAINTS):
        choices = catalogue.resolve(CONSTRAINTS, kind).Options.model_fields.get("of")
        found += [f"{kind} of {of}" for of in choices.annotation.__args__] if choices else [kind]
    found.remove("cross_entropy")
    assert [pair for pair in combinations(found, 2) if verdict(*pair) is None] == []


@pytest.mark.parametrize(
    ("left", "right", "works"),
    [
        ("orthogonal of base", "loraplus", True),
        ("orthogonal of base", "ewc", True),
        ("orthogonal of base", "pissa", False),
        ("orthogonal of base", "corda", False),
        ("orthogonal of base", "loftq", False),
        ("orthogonal of base", "adalora", False),
        ("orthogonal of base", "moe_lora", True),
        ("adalora", "loraplus", False),
        ("adalora", "ewc", False),
        ("adalora", "loftq", False),
        ("moe_lora", "ewc", True),
        ("merge", "nf4", False),
        ("ewc", "nf4", True),
        ("pissa", "int8", None),
    ],
)
def test_what_is_known_is_known_in_either_order(left: str, right: str, works: bool | None) -> None:
    rule = verdict(left, right)
    assert rule is verdict(right, left)
    assert (rule.works if rule else None) is works


def test_everything_at_once_is_allowed_where_it_works(find: Find) -> None:
    terms = EWC | {
        "contrastive": {"weight": 0.1, "pairs": 4, "micro_batch": 4, "max_tokens": 64},
        "terminology": {"words": ["art"]},
        "unlikelihood": {"weight": 0.1},
    }
    for kind in ("none", "nf4", "int8"):
        problems = find(
            optimizer={"loraplus_ratio": 8.0},
            terms=terms,
            constraints={"orthogonal": ORTHOGONAL},
            arithmetic=compute.Options(precision="fp32", quantisation=kind),  # type: ignore[arg-type]
            shares={"train_phase1": {"paper": 1.0}, "train_phase2": REPLAYED},
        )
        assert problems == []


def test_each_method_is_found_where_params_yaml_asks_for_it(make_options: Callable[..., Any]) -> None:
    phase = make_options(terms=EWC, constraints={"orthogonal": {"of": "merged"}}, optimizer={"loraplus_ratio": 8.0})
    arithmetic = compute.Options(precision="bf16", quantisation="nf4")
    assert compatibility.methods("train_phase2", phase, Adapter(init="pissa"), arithmetic, REPLAYED) == {
        "orthogonal of merged": "train_phase2.constraints.orthogonal",
        "ewc": "train_phase2.terms.ewc",
        "loraplus": "train_phase2.optimizer.loraplus_ratio",
        "replay": "mix.phase2.shares.replay",
        "pissa": "adapter.init",
        "lora": "adapter.kind",
        "nf4": "compute.quantisation",
    }
    own = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.0, targets=["q_proj"])
    plain = make_options(optimizer={"loraplus_ratio": 1.0})
    assert compatibility.methods("train_phase1", plain, own, PLAIN, {"paper": 1.0, "replay": 0.0}) == {
        "lora": "adapter.kind"
    }


def test_what_does_not_go_together_is_refused_with_address_and_reason(find: Find) -> None:
    (problem,) = find(constraints={"orthogonal": ORTHOGONAL}, adapter=Adapter(init="pissa"))
    assert problem == (
        "train_phase2.constraints.orthogonal: orthogonal of update does not go with pissa (adapter.init): "
        "it learns in the principal directions, which OPLoRA keeps learning out of"
    )
    (ranks,) = find(terms=EWC, adapter=Adapter(kind="adalora"))
    assert ranks.startswith(
        "train_phase2.terms.ewc: ewc does not go with adalora (adapter.kind): a Fisher means nothing"
    )
    both = {"optimizer": {"loraplus_ratio": 8.0}}
    assert [line.split(":")[0] for line in find(first=both, **both, adapter=Adapter(kind="adalora"))] == [
        "train_phase1.optimizer.loraplus_ratio",
        "train_phase2.optimizer.loraplus_ratio",
    ]


def test_what_nobody_has_thought_about_is_refused_once(find: Find) -> None:
    quantised = compute.Options(precision="fp32", quantisation="nf4")
    assert find(adapter=Adapter(kind="dora"), arithmetic=quantised) == [
        "adapter.kind: nobody has said whether dora and nf4 (compute.quantisation) work together; "
        "add a row to RULES in src/breviary/learn/combinations.py, with a test"
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"terms": EWC}, r"train_phase1\.terms\.ewc: no phase came before, so that there is no anchor"),
        (
            {"terms": EWC | {"contrastive": {"weight": 0.1}}},
            r"train_phase1\.terms\.contrastive: there is one kind of text yet",
        ),
        (
            {"constraints": {"orthogonal": {"of": "merged"}}},
            r"train_phase1\.constraints\.orthogonal: .* no adapter to merge",
        ),
        (
            {"constraints": {"orthogonal": ORTHOGONAL}},
            r"train_phase1\.constraints\.orthogonal: .* no update to keep out of",
        ),
    ],
)
def test_the_first_phase_has_nothing_before_it(changes: dict[str, Any], problem: str, find: Find) -> None:
    assert any(re.match(problem, line) for line in find(first=changes))


def test_the_first_phase_reads_no_subspace_and_replays_nothing(find: Find) -> None:
    (problem,) = find(first={"constraints": {"orthogonal": {"of": "base"}}})
    assert problem.startswith("train_phase1.constraints.orthogonal: ") and "does not read the subspace" in problem
    assert find(shares={"train_phase1": REPLAYED, "train_phase2": REPLAYED}) == [
        "mix.phase1.shares.replay: no phase came before, so that there is nothing to replay"
    ]


def test_ewc_needs_the_anchor_of_the_phase_before(find: Find) -> None:
    assert find(terms=EWC) == []
    assert find(terms=EWC, sections={"mix", "fisher_phase2"}) == [
        "train_phase2.terms.ewc: needs the anchor of the phase before; add a section fisher_phase1"
    ]


@pytest.mark.parametrize(("k", "fits"), [(159, True), (160, False), (192, False)])
def test_protected_directions_and_the_rank_must_fit_into_the_smallest_matrix(k: int, fits: bool, find: Find) -> None:
    problems = find(constraints={"orthogonal": {"k": k, "of": "base"}}, stored={"base": 400})
    assert problems == ([] if fits else [
        f"train_phase2.constraints.orthogonal.k: {k} protected directions and an update of adapter.rank=32 do not both "
        "fit into k_proj (192); k must be below 160"
    ])  # fmt: skip
    assert find(constraints={"orthogonal": {"k": 160}}, stored={"base": 400}, adapter=Adapter(targets=["q_proj"])) == []


@pytest.mark.parametrize("of", ["merged", "update"])
def test_steps_need_some_of_the_rank(of: str, find: Find) -> None:
    stored = {"base": 40, "merged": 40, "update": 40}
    assert find(constraints={"orthogonal": {"k": 31, "of": of}}, stored=stored) == []
    assert find(constraints={"orthogonal": {"k": 32, "of": of}}, stored=stored) == [
        f"train_phase2.constraints.orthogonal.k: steps kept out of 32 directions of: {of} leave nothing of "
        "adapter.rank=32 to train; k must be below 32"
    ]


def test_directions_that_are_not_stored_are_refused(find: Find) -> None:
    (problem,) = find(constraints={"orthogonal": {"k": 4, "of": "merged"}})
    assert problem == (
        "train_phase2.constraints.orthogonal: asks for 4 directions of: merged, subspace keeps 16 of base, "
        "16 of update; see subspace.k and subspace.of"
    )
    (few,) = find(constraints={"orthogonal": {"k": 17, "of": "update"}})
    assert "asks for 17 directions of: update" in few


def test_wrong_options_of_a_constraint_are_told_with_their_address(find: Find) -> None:
    with pytest.raises(ConfigError, match=r"train_phase2\.constraints\.orthogonal\.of: Input should be 'base'"):
        find(constraints={"orthogonal": {"of": "bases"}})


def test_the_check_takes_what_params_yaml_says(make_options: Callable[..., Any]) -> None:
    class Mix(config.Options):
        shares: dict[str, float]

        def phases(self) -> dict[str, "Mix"]:
            return {"phase1": self}

    class Subspace(config.Options):
        k: int = 16
        of: list[str] = Field(default=["update"])

    class Pairs(config.Options):
        left: str | None = "paper"

    def params(kind: str, **changes: config.Options) -> config.Params:
        checked: dict[str, config.Options] = {
            "adapter": Adapter(kind=kind),
            "compute": PLAIN,
            "mix": Mix(shares={"paper": 1.0}),
            "pairs": Pairs(),
            "subspace": Subspace(),
            "train_phase1": make_options(optimizer={"loraplus_ratio": 8.0}),
            **changes,
        }
        return config.Params({name: {} for name in checked}, checked)

    backbone = {"hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3, "num_hidden_layers": 2}
    backbone |= {"intermediate_size": 1536, "vocab_size": 100}
    compatibility.check(params("lora"), backbone)
    with pytest.raises(
        ConfigError, match=r"^train_phase1\.optimizer\.loraplus_ratio: loraplus does not go with adalora"
    ):
        compatibility.check(params("adalora"), backbone)
    with pytest.raises(ConfigError, match=r"^subspace\.k: 33 directions of an update of adapter\.rank=32, which"):
        compatibility.check(params("lora", subspace=Subspace(k=33)), backbone)
    compatibility.check(params("lora", subspace=Subspace(k=33, of=[]), pairs=Pairs(left=None)), backbone)
    paired = make_options(terms={"cross_entropy": {"weight": 1.0}, "contrastive": {"weight": 0.1}})
    with pytest.raises(ConfigError, match=r"train_phase1\.terms\.contrastive: needs pairs, and pairs\.left is null"):
        compatibility.check(params("lora", train_phase1=paired, pairs=Pairs(left=None)), backbone)


def test_the_docs_show_the_rules_as_they_are() -> None:
    page = (ROOT / "docs/CURRICULUM.md").read_text(encoding="utf-8")
    shown = page.split("<!-- compatibility: begin -->\n")[1].split("\n<!-- compatibility: end -->")[0]
    command = "python -c 'from breviary.learn import combinations; print(combinations.table())'"
    assert shown == known.table(), f"put what this prints between the two markers: {command}"


@pytest.mark.slow
def test_importing_the_check_imports_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "peft"}
    code = f"import sys; from breviary.learn import compatibility; print({heavy} & sys.modules.keys())"
    environment = {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
