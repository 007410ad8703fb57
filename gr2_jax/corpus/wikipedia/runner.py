"""Parses Beam's arguments and makes pipelines on the runner that they name."""

import argparse
import contextlib
import io
from collections.abc import Callable, Sequence

from gr2_jax.corpus.wikipedia.quiet import quiet_import
from gr2_jax.errors import UserError, nearest


def pipelines(arguments: Sequence[str], parts: int) -> Callable:
    """Returns a function that makes a new Beam pipeline; by default it runs on all cores of this machine.

    Beam's own default, DirectRunner, first downloads a program (Prism) and runs that. Here, DirectRunner means the
    runner that it falls back to, which needs no network. That runs `--direct_num_workers` processes, by default one per
    core, but at most `parts`. Raises UserError for an argument that Beam does not know; the arguments of other runners
    are not checked.
    """
    with quiet_import():
        from apache_beam import Pipeline
        from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
    known, unknown = _parse(PipelineOptions, arguments)
    local = known.runner in (None, "DirectRunner", "FnApiRunner")
    if local and unknown:
        valid = [flag for parser in [_parser(PipelineOptions)] for flag in parser._option_string_actions]
        flag = unknown[0].partition("=")[0]
        raise UserError(f"{flag!r} is not an option of this command or of Beam: {nearest(flag, valid)}")
    options = PipelineOptions(list(arguments))
    if local:
        from joblib import cpu_count  # of this process, on every system

        from gr2_jax.corpus.wikipedia.local import LocalRunner

        direct = options.view_as(DirectOptions)
        given = {argument.partition("=")[0] for argument in arguments}
        if "--direct_num_workers" not in given:
            direct.direct_num_workers = min(cpu_count(), parts)
        if "--direct_running_mode" not in given:
            direct.direct_running_mode = "multi_processing" if direct.direct_num_workers > 1 else "in_memory"
        return lambda: Pipeline(runner=LocalRunner(), options=options)
    return lambda: Pipeline(options=options)


def _parser(options_class) -> argparse.ArgumentParser:
    from apache_beam.options.pipeline_options import _BeamArgumentParser

    parser = _BeamArgumentParser(allow_abbrev=False)
    for kind in sorted({options_class, *options_class.__subclasses__()}, key=lambda kind: kind.__name__):
        if "_add_argparse_args" in vars(kind):
            kind._add_argparse_args(parser)
    return parser


def _parse(options_class, arguments: Sequence[str]):
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            return _parser(options_class).parse_known_args(list(arguments))
        except SystemExit:
            raise UserError(f"Beam's options: {errors.getvalue().strip().splitlines()[-1]}") from None
