"""`gr2 report WORKDIR [WORKDIR ...]`: the page about a run, written again; or one page over several runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gr2_jax.buckets import local_copy, shown
from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.errors import UserError
from gr2_jax.terminal import show

HELP = "a run as one HTML page: measures, training, docids, queries; or several runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workdir", nargs="+", help="a run, also of several seeds or folds")
    parser.add_argument("--validation", action="store_true", help="about the validation queries, not the test ones")
    parser.add_argument("--output", type=Path, help="the page over several runs (default: report.html)")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    if len(options.workdir) == 1 and options.output is not None:
        raise UserError("--output is for a page over several runs: that of one run goes to its report/")
    if options.output is not None and options.output.is_dir():
        raise UserError(f"--output is {options.output}, a folder: give a file")
    from gr2_jax.pipeline.report_page.findings import recorded
    from gr2_jax.pipeline.report_page.page import write_page
    from gr2_jax.pipeline.report_page.several import write_page_of_several
    from gr2_jax.pipeline.workdir import Workdir

    part = "validation" if options.validation else "test"
    found = [recorded(Workdir(local_copy(directory, workdir=True)), part) for directory in options.workdir]
    if len(found) == 1:
        show(shown(write_page(found[0])))
        return 0
    output = Path("report.html") if options.output is None else options.output
    write_page_of_several(found, output)
    show(str(output))
    return 0
