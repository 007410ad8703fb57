"""The pre-flight: what a run needs from its machines, tried in a minute or less, before hours are paid."""

import dataclasses
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import jax
from etils import epath

from gr2_jax.buckets import local_copy, pull, push, shown
from gr2_jax.corpus import open_collection, source_fingerprint
from gr2_jax.corpus.wikipedia.reader import wikipedia_documents, wikipedia_files
from gr2_jax.errors import UserError, reason_of
from gr2_jax.experiment import Experiment, Pretraining, Settings
from gr2_jax.files import read_text, reading, write_text, writing
from gr2_jax.hosts import agree, is_first, process_count, texts_of_all, wait_for_all, wait_until_seen
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.initial_weights import weights_fingerprint
from gr2_jax.pipeline.prepare import models_of
from gr2_jax.pipeline.pretraining import PretrainingRun
from gr2_jax.pipeline.rows.training import graded_batches
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import STAGE_FILE, fingerprint_of
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.planning.lowered_steps import check_mesh, example_batches, judged_of, state_bytes, step_of
from gr2_jax.training.checkpoints import place_of
from gr2_jax.training.mesh import Batches, batch_parts, devices_in_words, make_mesh, put_batch

_CHECKPOINTS = 3  # of a training: the two newest that are kept, and the one that is being written
_NAMED = 4  # hosts that are named for one check


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was checked; `said` is what was found, or what is wrong with it, in one sentence."""

    what: str
    ok: bool
    said: str


def preflight(experiment: Settings) -> list[Finding]:
    """Tries each thing that the config needs here and says how it went. Every process of a job calls this, and gets the
    same findings: what fails on one host is wrong, and the sentence names the host."""
    directory, token = local_copy(experiment.workdir, workdir=True), secrets.token_hex(8)
    checks: dict[str, Callable[[], str]] = {
        "devices": devices_in_words,
        "settings": lambda: _settings(experiment, directory),
        "mesh": lambda: _mesh(experiment),
        "workdir": lambda: _workdir(directory, token),
        "hosts": lambda: _hosts(experiment, directory, token),
        "disk": lambda: _disk(experiment, directory),
        "data": lambda: _data(experiment),
        "vocabulary": lambda: _vocabulary(experiment),
        "weights": lambda: _weights(experiment),
        "batch": lambda: _batch(experiment, directory),
    }
    needs = {"hosts": "workdir", "disk": "workdir", "batch": "mesh"}
    findings: dict[str, Finding] = {}
    for what, look in checks.items():
        before = findings.get(needs.get(what, ""))
        if before is None or before.ok:  # else it would fail for the same reason
            findings[what] = _on_all(what, look)
    with suppress(OSError):
        probe = _probe(directory, jax.process_index())
        probe.unlink()
        push(probe)
    return list(findings.values())


def _on_all(what: str, look: Callable[[], str]) -> Finding:
    """What was found on this host, or what is wrong on any; what hosts tell each other begins with + or -."""
    try:
        told = f"+{look()}"
    except ModuleNotFoundError as error:
        told = f"-{error.name} is not installed"
    except UserError as error:
        told = f"-{error}"
    except OSError as error:
        told = f"-{error.filename or what}: {reason_of(error)}"
    told = texts_of_all(told)
    faults = {host: text[1:] for host, text in enumerate(told) if text.startswith("-")}
    if not faults:
        return Finding(what, True, told[0][1:])
    if len(faults) == len(told) and len(set(faults.values())) == 1:
        return Finding(what, False, faults[0])
    named = "; ".join(f"host {host}: {said}" for host, said in list(faults.items())[:_NAMED])
    return Finding(what, False, named + f"; and {len(faults) - _NAMED} more hosts" * (len(faults) > _NAMED))


def _settings(experiment: Settings, directory: Path) -> str:
    if isinstance(experiment, Pretraining):
        PretrainingRun(experiment, directory).check()
        return f"pre-training {experiment.name}, {experiment.retrieval.optimiser.steps:,} steps"
    check(Run(experiment, directory))
    return f"{experiment.name}, rows {', '.join(row.name for row in experiment.rows)}"


def _mesh(experiment: Settings) -> str:
    mesh = make_mesh(experiment.mesh)
    check_mesh(experiment, mesh)
    parts = batch_parts(mesh)
    axes = ", ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    return f"{axes}: {experiment.retrieval.batch.queries} queries split {parts} way{'s' * (parts > 1)}"


def _probe(directory: Path, host: int) -> Path:
    return directory / f".check-{host}"


def _workdir(directory: Path, token: str) -> str:
    """Each host writes a file, and reads it back."""
    Workdir(directory).create()
    probe = _probe(directory, jax.process_index())
    with writing(directory):
        write_text(probe, [token])
        push(probe)
        pull(probe)
    if read_text(probe) != token:
        raise UserError(f"{directory} does not give back what was written to it")
    return f"{directory} is written and read back"


def _hosts(experiment: Settings, directory: Path, token: str) -> str:
    """Each host reads the file of every other."""
    count = process_count()
    if count == 1:
        return "one process"
    agree(directory, fingerprint_of(experiment))
    for host, expected in enumerate(texts_of_all(token)):
        probe = _probe(directory, host)
        pull(probe)
        wait_until_seen(probe)
        if not probe.is_file() or read_text(probe) != expected:
            raise UserError(f"{directory} does not show what host {host} wrote there: all hosts must share the workdir")
    wait_for_all("what hosts wrote is read")
    return f"{count} processes with the same settings read what each wrote to {directory}"


def _disk(experiment: Settings, directory: Path) -> str:
    trained = [row for row in experiment.rows if not row.reads_text_alone] if experiment.rows else [None]
    folds = experiment.corpus.folds if isinstance(experiment, Experiment) else 0
    needed = _CHECKPOINTS * state_bytes(step_of(experiment)) * len(trained) * max(1, folds)
    if (place_of(directory)) != epath.Path(directory.absolute()):
        return f"checkpoints of about {needed / 1e9:,.1f} GB go to {shown(directory)}"
    free = shutil.disk_usage(directory).free
    figures = f"{free / 1e9:,.1f} GB are free at {directory}, and checkpoints take about {needed / 1e9:,.1f} GB"
    if free < needed:
        raise UserError(f"{figures}: give another --workdir")
    return figures


def _data(experiment: Settings) -> str:
    """The first host reads the data for all."""
    if not is_first():
        return ""
    if isinstance(experiment, Pretraining):
        for source in experiment.pairs.sources:
            with reading(source.directory):
                wikipedia_files(source.directory, "pairs")
                next(wikipedia_documents(source.directory), None)
        return f"the beginning of {', '.join(str(source.directory) for source in experiment.pairs.sources)} is readable"
    corpus = experiment.corpus
    return "; ".join(_readable(source) for source in (corpus.source, corpus.around) if source)


def _readable(source: str) -> str:
    source_fingerprint(source)
    if source.startswith("irds:"):
        return f"{source} is known to ir_datasets, which downloads it when the run begins if it is not here"
    stream = open_collection(source)
    if next(stream.documents(), None) is None:
        raise UserError(f"{source} has no documents")
    return f"{source}: {len(stream.queries):,} queries, and the first document is readable"


def _vocabulary(experiment: Settings) -> str:
    config = experiment.vocabulary
    if config.content() is None:
        return f"learnt from the training text, {config.size:,} pieces"
    return f"{config.model} is a vocabulary"


def _weights(experiment: Settings) -> str:
    models = {"retrieval": experiment.retrieval.model}
    if isinstance(experiment, Experiment):
        models = models_of(experiment)
    named = [f"{place} {model.weights}" for place, model in models.items() if weights_fingerprint(model) is not None]
    return f"{', '.join(named)}: all files are readable" if named else "none: no model starts from trained weights"


def _batch(experiment: Settings, directory: Path) -> str:
    mesh, begun = make_mesh(experiment.mesh), time.monotonic()
    batches, source = _batches(experiment, directory)
    batch = jax.block_until_ready(put_batch(batches, 0, mesh))
    shapes = ", ".join(f"{name} {list(batch[name].shape)}" for name in ("query_tokens", "indexing_tokens"))
    return f"made of {source} and put on the mesh in {time.monotonic() - begun:.1f} s: {shapes}"


def _batches(experiment: Settings, directory: Path) -> tuple[Batches, str]:
    """Those of the training where its examples are there, else of made-up text."""
    paths = Workdir(directory)
    if isinstance(experiment, Experiment) and (paths.examples / STAGE_FILE).is_file():
        return graded_batches(Run(experiment, directory)), "the run's examples"
    return example_batches(step_of(experiment), judged_of(experiment)), "made-up text (there are no examples yet)"
