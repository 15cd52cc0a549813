"""`python -m breviary` is `breviary`."""

from breviary.cli import main

main()
