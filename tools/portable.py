"""Make a file of pins serve every build of torch: `python tools/portable.py constraints.txt`.

What was resolved beside one build of torch names that build (`torch==2.13.0+cpu`) and what only it needs (the CUDA
libraries). Without both, the same file installs the CPU build where an index or a folder offers it, and else the CUDA
build with the libraries that it asks for itself.
"""

import re
import sys
from pathlib import Path

HEADER = "# Every dependency of every dependency, exact. Made by `make lock`; edit pyproject.toml instead.\n"
OF_ONE_BUILD = re.compile(r"(nvidia|cuda|triton)\b")


def portable(pins: str) -> str:
    """The pins alone, one a line, sorted, without local versions and without the packages of one build of torch."""
    lines = [line.split("#")[0].strip() for line in pins.splitlines()]
    kept = {re.sub(r"\+[\w.]+$", "", line) for line in lines if line and not OF_ONE_BUILD.match(line)}
    return HEADER + "".join(f"{line}\n" for line in sorted(kept, key=lambda line: line.split("==")))


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(portable(file.read_text()))
