"""What is known of two methods in one phase: they work together, they do not, or nobody has said.

A method is new until somebody has thought about it beside each of the others, so that the check before any work
(`compatibility.py`) refuses what no rule speaks of. `table` is what docs/CURRICULUM.md shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

ORTHOGONAL = ("orthogonal of base", "orthogonal of merged", "orthogonal of update")
METHODS = {
    "lora": "LoRA, arXiv:2106.09685",
    "adalora": "AdaLoRA, arXiv:2303.10512",
    "moe_lora": "a mixture of LoRA experts, arXiv:2503.06064",
    "pissa": "LoRA that starts at the backbone's principal part, arXiv:2404.02948",
    "corda": "the same by what a sample of inputs uses, arXiv:2406.05223",
    "loftq": "LoRA that starts at what quantising lost, arXiv:2310.08659",
    "loraplus": "LoRA+, arXiv:2402.12354: `optimizer.loraplus_ratio` other than 1",
    ORTHOGONAL[0]: "OPLoRA, arXiv:2510.13003: weights kept out of the backbone's leading directions",
    ORTHOGONAL[1]: "steps kept out of those of the backbone with the earlier phases' adapter",
    ORTHOGONAL[2]: "steps kept out of the directions that the earlier phases' adapter used",
    "ewc": "elastic weight consolidation, arXiv:1612.00796",
    "replay": "a share of examples of earlier phases, arXiv:1902.10486",
    "contrastive": "CrossCLR, arXiv:2109.14910",
    "terminology": "cross-entropy that counts the words of a lexicon more",
    "unlikelihood": "unlikelihood of repeats, arXiv:1908.04319",
    "distillation": "divergence from a teacher, arXiv:1503.02531; stage distill",
    "nf4": "a backbone in 4 bits, arXiv:2305.14314",
    "int8": "a backbone in 8 bits, arXiv:2208.07339",
    "merge": "the finished adapter added to the backbone's 16-bit weights",
}
ADAPTERS, STARTS, QUANTISED = ("lora", "adalora", "moe_lora"), ("pissa", "corda", "loftq"), ("nf4", "int8")
OF_LOGITS = ("terminology", "unlikelihood", "distillation")
TERMS = ("contrastive", *OF_LOGITS)


@dataclass(frozen=True)
class Rule:
    """What is known of every pair of one of `left` and one of `right`."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    works: bool
    reason: str

    def pairs(self) -> set[frozenset[str]]:
        """The pairs that this is about."""
        return {frozenset(pair) for pair in product(self.left, self.right) if pair[0] != pair[1]}


def _yes(left: tuple[str, ...], right: tuple[str, ...], reason: str) -> Rule:
    return Rule(left, right, True, reason)


def _no(left: tuple[str, ...], right: tuple[str, ...], reason: str) -> Rule:
    return Rule(left, right, False, reason)


RULES = (
    _no(ADAPTERS, ADAPTERS, "a phase trains one adapter, and that is of one kind"),
    _no(STARTS, STARTS, "an adapter starts in one way"),
    _no(ORTHOGONAL, ORTHOGONAL, "a phase keeps to one set of directions"),
    _no(QUANTISED, QUANTISED, "the backbone is stored in one form"),
    _yes(("lora",), STARTS, "each of them is a way to start a LoRA"),
    _yes(("lora",), ("loraplus",), "LoRA+ is a learning rate for LoRA's B"),
    _yes(("lora",), ORTHOGONAL, "OPLoRA is defined on LoRA's two factors, (I - U U') B A (I - V V')"),
    _yes(("lora",), ("ewc",), "Fisher and anchor belong to these two factors, and all phases train the same ones"),
    _yes(("lora",), ("contrastive",), "its gradient reaches the adapter through the hidden states that it pools"),
    _yes(("lora",), QUANTISED, "QLoRA: the backbone is frozen in few bits, the adapter is fp32"),
    _yes(("lora",), ("merge",), "W + (alpha / rank) B A is one matrix"),
    _yes(("adalora",), QUANTISED, "PEFT has AdaLoRA's layers for 4 and for 8 bits"),
    _no(("adalora",), ("loraplus",), "AdaLoRA's singular values would learn at the rate of A; nobody has defined that"),
    _no(("adalora",), ORTHOGONAL, "P Lambda Q could be projected on both sides in principle, but nobody has tested it"),
    _no(("adalora",), ("ewc",), "a Fisher means nothing while ranks change, only once the final budget is reached"),
    _no(("adalora",), ("loftq",), "PEFT refuses it: AdaLoRA starts with singular values of zero"),
    _yes(("moe_lora",), ORTHOGONAL[:1], "every expert is projected, with the same U and V"),
    _yes(("moe_lora",), ("ewc",), "the gate is left out of Fisher and anchor"),
    _no(("moe_lora",), ("merge",), "what a gate adds depends on the input, so that no one matrix holds it"),
    _no(("pissa", "corda"), ORTHOGONAL, "it learns in the principal directions, which OPLoRA keeps learning out of"),
    _no(("loftq",), ORTHOGONAL, "its correction lies in the protected directions too: OPLoRA would undo or freeze it"),
    _no(("loftq",), ("int8",), "its correction is for the grid of NF4"),
    _yes(("loraplus",), ORTHOGONAL, "the constraint holds after each step, whatever the steps of A and B were"),
    _yes(("loraplus",), ("ewc",), "the penalty's gradient goes through the same groups: B is pulled back faster, too"),
    _yes(("loraplus",), TERMS, "terms add to the gradient; what one trains beside the adapter learns at the rate of A"),
    _yes(("loraplus",), QUANTISED, "it groups the adapter's weights, which are fp32"),
    _yes(("loraplus", "ewc", *TERMS), ("merge",), "what it did is in the adapter's weights by then"),
    _yes(ORTHOGONAL[:1], ("ewc",), "the anchor is projected like the weights, so that nothing pulls them back"),
    _yes(ORTHOGONAL[1:], ("ewc",), "steps are held and weights are not: the anchor is where the steps begin"),
    _yes(ORTHOGONAL, TERMS, "the whole step is projected, whatever terms it came from"),
    _yes(ORTHOGONAL, QUANTISED, "the directions are those of the dequantised weights, which the model computes with"),
    _yes(ORTHOGONAL, ("merge",), "the sum is what the model computed with before, so that it keeps out of the same"),
    _yes(("ewc",), TERMS, "it holds the adapter's weights alone, by what cross-entropy made of them before"),
    _yes(("ewc",), QUANTISED, "only the adapter has a Fisher, and its gradient passes through the dequantised weights"),
    _yes(("contrastive",), OF_LOGITS, "one reads hidden states of source texts, the other logits of summaries"),
    _yes(("terminology",), ("unlikelihood",), "a target is never its own candidate, to be raised and lowered at once"),
    _yes(("distillation",), ("terminology", "unlikelihood"), "the teacher is one more opinion on the same targets"),
    _yes(TERMS, QUANTISED, "terms are computed in fp32 from what the backbone gives, however it is stored"),
    _yes(OF_LOGITS, (*ADAPTERS, *STARTS), "it reads logits and targets, however the adapter is built"),
    _yes(("replay",), tuple(METHODS), "it changes which examples are seen, and nothing else"),
    _no(("merge",), QUANTISED, "adapter and directions belong to the dequantised weights; merge into those"),
)


def verdict(left: str, right: str) -> Rule | None:
    """What is known of two methods together."""
    return next((rule for rule in RULES if frozenset((left, right)) in rule.pairs()), None)


def table() -> str:
    """In Markdown: what each method is, then every rule, and the pairs of which nothing is known."""
    rows = [(", ".join(rule.left), _others(rule), "yes" if rule.works else "**no**", rule.reason) for rule in RULES]
    rows += [
        (name, ", ".join(others), "unknown", "refused until somebody has said so, with a test")
        for name, others in _unknown().items()
    ]
    methods = _markdown(("method", "what it is"), list(METHODS.items()))
    return f"{methods}\n\n{_markdown(('one of', 'with', 'works', 'because'), rows)}"


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *rows])


def _others(rule: Rule) -> str:
    if rule.left == rule.right:
        return "another of these"
    return "anything" if set(rule.right) == set(METHODS) else ", ".join(rule.right)


def _unknown() -> dict[str, list[str]]:
    pairs = [pair for pair in combinations(METHODS, 2) if verdict(*pair) is None]
    return {left: [right for first, right in pairs if first == left] for left, _ in pairs}
