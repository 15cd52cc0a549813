"""Mine pairs of documents of two domains that are about the same subject, inside each split, from source text alone."""

from pathlib import Path

import click

from breviary import artifacts, config, stage
from breviary.data import pair_report, pairs
from breviary.model import encoder, resolve
from breviary.records import Chunk, Document

DOCUMENTS, CHUNKS, ENCODER = Path("data/documents.jsonl"), Path("data/chunks.jsonl"), Path("models/encoder.json")


def _truth(params: config.Params) -> list[Path]:
    truth = params.section("pairs", pairs.Options).truth
    return [Path(truth)] if truth and truth != "group" else []


@click.command()
def main() -> None:
    """Write data/pairs.jsonl, data/pair_rejects.jsonl and metrics/mine_pairs.json."""
    sections = ("runtime", "pairs")
    reads = (DOCUMENTS, CHUNKS, ENCODER)
    with stage.running("mine_pairs", sections=sections, reads=reads, named=_truth) as run:
        import torch

        torch.set_num_threads(run.runtime.threads)
        options = run.params.section("pairs", pairs.Options)
        documents = artifacts.read_records(DOCUMENTS, Document)
        truth = None
        if options.truth and options.left and options.right:
            truth = pair_report.read_truth(options.truth, documents, options.left, options.right)
        encode = encoder.load(resolve.folder(ENCODER)).encode
        mined = pairs.mine(documents, artifacts.read_records(CHUNKS, Chunk), encode, options, truth)
        artifacts.write_records(Path("data/pairs.jsonl"), mined.pairs)
        artifacts.write_records(Path("data/pair_rejects.jsonl"), mined.rejects)
        artifacts.write_json(Path("metrics/mine_pairs.json"), mined.report)
        measured = mined.report.get("truth", {})
        numbers = {name: value for name, value in measured.items() if value is not None}
        run.run.metrics({"pairs": len(mined.pairs), "rejects": len(mined.rejects), **numbers})
        print(f"{len(mined.pairs)} pairs {mined.report['splits']}, refused: {mined.report['rejected']} {measured}")


if __name__ == "__main__":
    main()
