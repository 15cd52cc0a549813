"""Every reader, tried with inputs that a search guided by coverage makes up (atheris, which is libFuzzer for Python).

    python -m bench.fuzz [--seconds 60] [--reader vtt ...]

A reader may refuse an input with an error of this project, and nothing else: another exception is a crash, and so is an
input that takes more than SLOW seconds of a processor, or MEMORY_MB. One process a reader; what crashed it is kept in
.fuzz/<reader>/. metrics/fuzz.json says how many inputs were tried, read and refused, and how many crashed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

import breviary
from breviary import artifacts

RESULT, FOUND = Path("metrics/fuzz.json"), Path(".fuzz")
SLOW, MEMORY_MB, LONGEST = 20, 4096, 1 << 16  # seconds and MB that one input may take, bytes that it has at most
HANGS = 900  # seconds on the clock after which libFuzzer ends an input
MUTANTS, SEED = 100, 17
SUMMARY = "counts.json"
STOPPED = {"timeout": "too slow", "slow-unit": "", "oom": "too large", "crash": "killed", "leak": ""}


@click.command()
@click.option("--seconds", default=60, help="Of a processor, for each reader.")
@click.option("--reader", "chosen", multiple=True, help="Only these.")
@click.option("--search", hidden=True, help="Be the process that searches this reader.")
def main(seconds: int, chosen: Sequence[str], search: str | None) -> None:
    """Try every reader, and print what was found as Markdown."""
    if search:
        return _search(search, seconds)
    from bench.readers import READERS

    for name in chosen or READERS:
        found = {name: tried(name, seconds)}
        known = artifacts.read_json(RESULT)["readers"] if RESULT.is_file() else {}
        artifacts.write_json(
            RESULT, {"readers": {each: (known | found)[each] for each in READERS if each in known | found}}
        )
    known = artifacts.read_json(RESULT)["readers"]
    click.echo(markdown(known))
    sys.exit(any(each["crashes"] for each in known.values()))


def tried(name: str, seconds: int) -> dict[str, Any]:
    """What became of one reader in `seconds`."""
    folder = FOUND / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "bench.fuzz", "--search", name, "--seconds", str(seconds)]
    with (folder / "log").open("wb") as log:
        subprocess.run(command, stdout=log, stderr=log, check=False)
    counts = artifacts.read_json(folder / SUMMARY)
    stopped = [STOPPED[kind] for kind in STOPPED if STOPPED[kind] and any(folder.glob(f"{kind}-*"))]
    return counts | {"crashes": sorted([*counts["crashes"], *stopped])}


def markdown(readers: dict[str, Any]) -> str:
    """The table of docs/RELIABILITY.md."""
    rows = [
        [name, f"{each['inputs']:,}", f"{each['read']:,}", f"{each['refused']:,}", "; ".join(each["crashes"]) or "none"]
        for name, each in sorted(readers.items())
    ]
    lines = [["reader", "inputs", "read", "refused", "crashes"], ["---"] * 5, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _search(name: str, seconds: int) -> None:
    """Search until the time is over. Never returns."""
    import atheris

    with atheris.instrument_imports(  # pyright: ignore[reportAttributeAccessIssue]
        include=["breviary", "pypdf", "trafilatura", "ruamel"]
    ):
        from bench.readers import READERS, mutants

        reader = READERS[name]
        for sample in reader.samples():
            outcome(reader.read, sample)  # imports what the reader imports when it is called
    folder = FOUND / name
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number, each in enumerate([*reader.samples(), *mutants(reader, MUTANTS, SEED)]):
        (corpus / str(number)).write_bytes(each)
    words = "".join('"' + "".join(f"\\x{byte:02x}" for byte in part[:64]) + '"\n' for part in reader.fragments)
    (folder / "words").write_text(words, encoding="ascii")
    settings = [f"-timeout={HANGS}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={LONGEST}", f"-seed={SEED}"]
    files = [f"-artifact_prefix={folder}/", f"-dict={folder}/words", str(corpus)]
    atheris.Setup([sys.argv[0], *settings, *files], _counting(reader.read, folder, seconds))
    atheris.Fuzz()


def _counting(read: Callable[[bytes, Path], Any], folder: Path, seconds: float) -> Callable[[bytes], None]:
    """What is called with each input: it counts, keeps the first input of each crash, and ends the process in time."""
    counts: dict[str, Any] = {"inputs": 0, "read": 0, "refused": 0, "crashes": []}

    began = time.process_time()

    def one(raw: bytes) -> None:
        before = time.process_time()
        found = outcome(read, raw)
        now = time.process_time()
        found = "too slow" if now - before > SLOW else found
        counts["inputs"] += 1
        if found in ("read", "refused"):
            counts[found] += 1
        elif found not in counts["crashes"]:
            counts["crashes"].append(found)
            (folder / f"input-{len(counts['crashes'])}").write_bytes(raw)
        over = now - began > seconds
        if over or counts["inputs"] % 100 == 1:
            artifacts.write_json(folder / SUMMARY, counts)
        if over:
            os._exit(0)  # libFuzzer would run its own report, and Python's exit handlers

    return one


def outcome(read: Callable[[bytes, Path], Any], raw: bytes) -> str:
    """ "read", "refused", or the crash: what was raised, and the last line of this project that it passed."""
    from bench.readers import refused

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        try:
            read(raw, Path(folder))
        except Exception as error:
            return "refused" if refused(error) else f"{type(error).__name__} in {_where(error)}"
    return "read"


def _where(error: BaseException) -> str:
    """The innermost function of this project that `error` passed."""
    found, trace = "?", error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        if Path(code.co_filename).is_relative_to(Path(breviary.__file__).parent):
            found = f"{Path(code.co_filename).stem}.{code.co_name}"
        trace = trace.tb_next
    return found


if __name__ == "__main__":
    main()
