"""`gr2 clean WORKDIR [--yes]`: frees what no row of the table, no search and no resumed run needs."""

import argparse
from collections.abc import Sequence

from gr2_jax.buckets import shown
from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.terminal import show

HELP = "frees what a workdir holds and no row of its table needs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workdir", help="a run, also of several seeds or folds")
    parser.add_argument("--yes", action="store_true", help="remove; without, what would be removed is only shown")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    from gr2_jax.pipeline.clean import clean

    found = clean(options.workdir, remove=options.yes)
    for path, size, why in found:
        show(f"{_readable(size):>12}  {shown(path)}  ({why})")
    total = _readable(sum(leftover.size for leftover in found))
    if not found:
        show(f"nothing to free: {options.workdir} holds only what its rows, searches and resumed runs need")
    elif options.yes:
        show(f"{total:>12}  freed")
    else:
        show(f"{total:>12}  would be freed: nothing is removed yet; to remove it, add --yes")
    return 0


def _readable(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
