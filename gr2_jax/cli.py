"""The command line: `gr2 <command> [config.py] [overlay.py...] [--section.field value ...]`, or `python -m gr2_jax`."""

import argparse
import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from gr2_jax.errors import LOST, RESTART, Preempted, UserError, nearest

_EXTRAS = {"huggingface": ("safetensors", "transformers"), "beam": ("apache_beam", "google_crc32c")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; a `UserError` is printed as one line and ends the program with code 2."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)
    try:
        sys.exit(_run(sys.argv[1:] if arguments is None else list(arguments)))
    except UserError as error:
        print(f"gr2: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        extra = next((extra for extra, names in _EXTRAS.items() if str(error.name).startswith(names)), "quickstart")
        print(f"gr2: {error.name} is not installed: pip install 'gr2_jax[{extra}]'", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"gr2: {error}", file=sys.stderr)
        sys.exit(2)
    except Preempted as stopped:
        print(f"gr2: {stopped}", file=sys.stderr)
        sys.exit(RESTART)
    except RuntimeError as error:
        from gr2_jax.distributed import process_count

        if process_count() == 1:
            raise
        print(f"gr2: another process of this job is gone: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        os._exit(LOST)  # an orderly exit would wait for it
    except KeyboardInterrupt:
        print("gr2: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def _leave(number, frame) -> None:
    """SIGTERM where nothing polls for it: what is done is on disk, and what was begun is begun again."""
    raise Preempted("stopped; the same command goes on from here")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UserError(message)


def _run(arguments: list[str]) -> int:
    parser = _Parser(prog="gr2", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, (add, _, text) in COMMANDS.items():
        add(commands.add_parser(name, help=text, description=text, allow_abbrev=False))
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise UserError(f"there is no command '{arguments[0]}': {nearest(arguments[0], COMMANDS)}")
    options, rest = parser.parse_known_args(arguments)
    return COMMANDS[options.command][1](options, rest)


def _add_quickstart(parser) -> None:
    parser.add_argument("--profile", default="default", help="default (minutes) or tiny (numpy only, 1.5 minutes)")
    _add_run_options(parser)


def _quickstart(options, rest: list[str]) -> int:
    from gr2_jax.quickstart import PROFILES

    if options.profile not in PROFILES:
        raise UserError(f"--profile is '{options.profile}': {nearest(options.profile, PROFILES)}")
    return _pipeline(PROFILES[options.profile], options, rest, "evaluate")


def _add_config(parser) -> None:
    parser.add_argument(
        "config",
        nargs="+",
        help="a config file, such as configs/cranfield.py, and overlays, laid over it in their order",
    )
    _add_run_options(parser)


def _add_run_options(parser) -> None:
    parser.add_argument("--workdir", help="where the run goes (default: the config's)")
    parser.add_argument("--validation", action="store_true", help="score the validation queries, not the test ones")
    parser.add_argument("--json", action="store_true", help="the measures as one JSON object instead of a table")


def _stage(until: str):
    def command(options, rest: list[str]) -> int:
        from gr2_jax.config import Pretraining
        from gr2_jax.settings import load_experiment

        experiment = load_experiment(*options.config)
        stages = _pretraining if isinstance(experiment, Pretraining) else _pipeline
        return stages(experiment, options, rest, until)

    return command


def _add_evaluate(parser) -> None:
    from gr2_jax.pipeline.evaluate_command import add_arguments

    _add_config(parser)
    add_arguments(parser)


def _evaluate(options, rest: list[str]) -> int:
    from gr2_jax.pipeline.evaluate_command import refuse_of_a_run, run

    run_directory = next((word for word in options.config if Path(word).is_dir()), None)
    if run_directory is not None:
        if len(options.config) > 1:
            raise UserError(f"{run_directory} is a run's workdir: it is evaluated alone, as it was trained")
        return run(options, rest)
    refuse_of_a_run(options)
    return _stage("evaluate")(options, rest)


def _pipeline(experiment, options, rest: list[str], until: str) -> int:
    from gr2_jax.pipeline.run import run
    from gr2_jax.settings import override

    experiment, workdir = _into_workdir(override(experiment, rest), options)
    if options.validation and until != "evaluate":
        raise UserError("--validation is for commands that score: run, evaluate and quickstart")
    part = "validation" if options.validation else "test"
    table = run(experiment, workdir, until=until, part=part)
    if table is None:
        return 0
    if until == "docids":
        return _show_docids(experiment, workdir, table, options.json)
    measures = workdir.metrics / f"{part}.json"
    if options.json:
        print(json.dumps(json.loads(measures.read_text())))
        return 0
    print(f"\n{table}\n")
    print(f"table    {workdir.report / f'{part}.md'}\nmeasures {measures}\nruns     {workdir.runs}/<run>/{part}.trec")
    if not experiment.corpus.folds:
        query = "indices that would sort an array" if experiment.corpus.source.startswith("apidocs") else "a query"
        print(f'\nnext: gr2 search "{query}" --workdir {workdir.root}')
    return 0


def _pretraining(config, options, rest: list[str], until: str) -> int:
    from gr2_jax.distributed import is_first
    from gr2_jax.pipeline.pretraining import pretrain
    from gr2_jax.settings import override

    if until == "docids":
        raise UserError("pre-training makes no docids, the articles' titles are: gr2 train, or gr2 prepare")
    if options.validation:
        raise UserError("--validation is for commands that score, and pre-training has nothing to score")
    config, workdir = _into_workdir(override(config, rest), options)
    weights = pretrain(config, workdir, until="prepare" if until == "prepare" else "train")
    if weights is not None and is_first():
        result = {"weights": str(weights), "vocabulary": str(weights / "spiece.model")}
        lines = (f"{name:10} {path}" for name, path in result.items())
        print(json.dumps(result) if options.json else "\n".join(lines))
    return 0


def _into_workdir(experiment, options):
    """The settings with the workdir that the command line asks for, and that workdir."""
    from gr2_jax.distributed import agree, join_processes
    from gr2_jax.host_memory import keep_freed_memory, on_cpu_only
    from gr2_jax.training.mesh import make_mesh
    from gr2_jax.workdir import Workdir, digest

    join_processes()
    if on_cpu_only():
        keep_freed_memory()
    if options.workdir:
        experiment = dataclasses.replace(experiment, workdir=options.workdir)
    make_mesh(experiment.mesh)  # what does not fit is to be said before the work begins
    workdir = Workdir(Path(experiment.workdir))
    workdir.create()
    agree(workdir.root, digest(experiment))
    return experiment, workdir


def _show_docids(experiment, workdir, table: str, as_json: bool) -> int:
    if experiment.corpus.folds:
        workdir = type(workdir)(workdir.root / "fold-0")
        print("the first fold's docids:", file=sys.stderr)
    files = {scheme: workdir.quality(scheme) / "quality.json" for scheme in experiment.docids.schemes}
    if as_json:
        print(json.dumps({scheme: json.loads(file.read_text()) for scheme, file in files.items()}))
        return 0
    print(f"\n{table}\n")
    print(f"table    {workdir.report / 'docids.md'}\npicture  {workdir.report / 'docids.png'}")
    print(f"docids   {workdir.root}/docids/<scheme>/docids.tsv\nquality  {workdir.root}/quality/<scheme>/quality.json")
    return 0


def _add_search(parser) -> None:
    from gr2_jax.evaluation.search_command import add_arguments

    add_arguments(parser)


def _search(options, rest: list[str]) -> int:
    _refuse(rest)
    from gr2_jax.evaluation.search_command import run

    return run(options)


def _add_metrics(parser) -> None:
    from gr2_jax.evaluation.metrics_command import add_arguments

    add_arguments(parser)


def _metrics(options, rest: list[str]) -> int:
    _refuse(rest)
    from gr2_jax.evaluation.metrics_command import run

    return run(options)


def _add_collection(parser) -> None:
    parser.add_argument("source", help="apidocs, irds:<id>, wikipedia:DIR, or a folder (ours, BEIR's or TREC's)")
    parser.add_argument("--documents", type=int, help="all judged documents and a random sample, so many together")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--output", help="a folder to write documents.jsonl, queries.tsv and qrels.txt into")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def _collection(options, rest: list[str]) -> int:
    _refuse(rest)
    from gr2_jax.corpus.command import collection_command

    survey = collection_command(options.source, documents=options.documents, seed=options.seed, output=options.output)
    print(json.dumps(dataclasses.asdict(survey)) if options.json else "\n".join(survey.lines()))
    return 0


def _add_wikipedia(parser) -> None:
    from gr2_jax.corpus.wikipedia.command import add_arguments

    add_arguments(parser)


def _wikipedia(options, rest: list[str]) -> int:
    from gr2_jax.corpus.wikipedia.command import run

    return run(options, rest)


def _add_convert(parser) -> None:
    parser.add_argument("source", help="a Hugging Face T5 directory or hub name, or a T5 checkpoint made from one")
    parser.add_argument("destination", help="a new folder: the checkpoint, or the Hugging Face directory")


def _convert(options, rest: list[str]) -> int:
    _refuse(rest)
    from gr2_jax.models.convert import convert

    print("\n".join(convert(options.source, options.destination)))
    return 0


def _add_plan(parser) -> None:
    from gr2_jax.planning.command import add_arguments

    add_arguments(parser)


def _plan(options, rest: list[str]) -> int:
    from gr2_jax.planning.command import run

    return run(options, rest)


def _refuse(rest: list[str]) -> None:
    if rest:
        raise UserError(f"'{rest[0]}' is no option of this command; see --help")


COMMANDS: dict[str, tuple] = {
    "quickstart": (_add_quickstart, _quickstart, "a trained retriever over the built-in collection, in minutes"),
    "collection": (_add_collection, _collection, "what a source holds and what is odd about it; writes it as a folder"),
    "wikipedia": (_add_wikipedia, _wikipedia, "a Wikipedia dump into documents and graded pairs, by Apache Beam"),
    "run": (_add_config, _stage("evaluate"), "every stage of a config, doing only what is not yet done"),
    "prepare": (_add_config, _stage("prepare"), "the collection, its split, the vocabulary and the training examples"),
    "docids": (_add_config, _stage("docids"), "a unique docid for every document, by each scheme of the config"),
    "train": (_add_config, _stage("train"), "the retrieval models of the config"),
    "plan": (_add_plan, _plan, "whether a training fits a TPU pod, and what it would cost, without one"),
    "evaluate": (_add_evaluate, _evaluate, "TREC runs and the table of measures; or a run's checkpoint on any queries"),
    "search": (_add_search, _search, "ranked documents for a query, or for many, one after the other"),
    "metrics": (_add_metrics, _metrics, "scores any TREC run files, and compares them"),
    "convert": (
        _add_convert,
        _convert,
        "a T5 from Hugging Face's files into a checkpoint, or back into the same files",
    ),
}
