"""What the ablation compares: named changes to the profile, in the words of `dvc exp run -S`.

`full` is the profile itself. Every arm is measured on both domains after phase 1 and after its last phase.
"""

from dataclasses import dataclass

PLAIN, FULL = "plain", "full"


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    purpose: str
    changes: tuple[str, ...] = ()  # to the profile; `~key` removes a key, `+key=` adds one
    last: str = "phase2"  # the model that is judged


def shares(phase: str, **share: float) -> tuple[str, str]:
    """Another mixture for `phase`, whatever it was before."""
    spelled = ",".join(f"{name}:{value}" for name, value in share.items())
    return f"~mix.{phase}.shares", f"+mix.{phase}.shares={{{spelled}}}"


def width(k: int) -> tuple[str, str]:
    """Another number of protected directions; `subspace` finds no fewer than are asked for."""
    return f"subspace.k={max(k, 16)}", f"train_phase2.constraints.orthogonal.k={k}"


EWC, OPLORA, CROSSCLR = (
    "~train_phase2.terms.ewc",
    "~train_phase2.constraints.orthogonal",
    "~train_phase2.terms.contrastive",
)
TALKS = 48  # of phase 2 in every arm: replay comes on top of them
REPLAY = (f"mix.phase2.examples={TALKS}", *shares("phase2", talk=1.0))

MAIN = {
    FULL: Arm("EWC, OPLoRA, replay, CrossCLR and LoRA+"),
    "no_ewc": Arm("full without EWC", (EWC,)),
    "no_oplora": Arm("full without OPLoRA", (OPLORA,)),
    "no_replay": Arm("full without replay", REPLAY),
    "no_crossclr": Arm("full without CrossCLR", (CROSSCLR,)),
    "no_loraplus": Arm(
        "full with one learning rate, that of the A matrices: B learns slower, A as before",
        ("train_phase1.optimizer.loraplus_ratio=1.0", "train_phase2.optimizer.loraplus_ratio=1.0"),
    ),
    "mixed": Arm(
        "papers and talks together in one phase, as many examples as both phases have",
        ("mix.phase1.examples=96", *shares("phase1", paper=0.5, talk=0.5)),
        last="phase1",
    ),
    PLAIN: Arm(
        "one phase after the other with LoRA+, and nothing against forgetting", (EWC, OPLORA, CROSSCLR, *REPLAY)
    ),
    "ewc_only": Arm("plain with EWC", (OPLORA, CROSSCLR, *REPLAY)),
}
ADDED = {  # what one method does alone, and what each adds to EWC
    "oplora_only": Arm("plain with OPLoRA", (EWC, CROSSCLR, *REPLAY)),
    "replay_only": Arm("plain with replay", (EWC, OPLORA, CROSSCLR)),
    "crossclr_only": Arm("plain with CrossCLR", (EWC, OPLORA, *REPLAY)),
    "ewc_oplora": Arm("EWC and OPLoRA", (CROSSCLR, *REPLAY)),
    "ewc_replay": Arm("EWC and replay", (OPLORA, CROSSCLR)),
    "ewc_crossclr": Arm("EWC and CrossCLR", (OPLORA, *REPLAY)),
}
SWEEP = {
    **{
        f"ewc_{weight}": Arm(f"full with EWC of weight {weight}", (f"train_phase2.terms.ewc.weight={weight}",))
        for weight in (0.003, 0.01, 0.06, 0.2)
    },
    **{f"k_{k}": Arm(f"full with {k} protected directions", width(k)) for k in (4, 24)},
    **{
        f"of_{which}": Arm(
            f"full with OPLoRA of {what}",
            ("subspace.of=[merged,update]", f"train_phase2.constraints.orthogonal.of={which}"),
        )
        for which, what in (
            ("base", "the pretrained weights, as published"),
            ("merged", "the weights after phase 1"),
            ("update", "what phase 1 added"),
        )
    },
    **{
        f"replay_{share}": Arm(
            f"full with {share:.0%} replay",
            (
                f"mix.phase2.examples={round(TALKS / (1 - share))}",
                *shares("phase2", talk=round(1 - share, 4), replay=share),
            ),
        )
        for share in (0.05, 0.2, 0.3)
    },
}
GROUPS = {"main": MAIN, "added": ADDED, "sweep": SWEEP}
ARMS = MAIN | ADDED | SWEEP


def chosen(words: str) -> list[str]:
    """The arms that `words` name, separated by commas: arms and groups. Raises ValueError with what there is."""
    found: list[str] = []
    for word in filter(None, words.split(",")):
        if word not in ARMS and word not in GROUPS:
            raise ValueError(f"no arm '{word}'; groups: {', '.join(GROUPS)}; arms: {', '.join(ARMS)}")
        found += [name for name in GROUPS.get(word, {word: None}) if name not in found]
    return found
