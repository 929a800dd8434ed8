"""``python -m gapless.cli``: the command where no script was installed."""

from gapless.cli import main

main(prog_name="gapless")
