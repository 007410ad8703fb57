"""The typed experiment: frozen dataclasses, filled by a config file and changed by `--section.field value`."""

import ast
import dataclasses
import importlib.util
import typing
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from gr2_jax.errors import UserError, nearest
from gr2_jax.training.objectives import FusionObjective, RetrievalObjective


@dataclasses.dataclass(frozen=True)
class CorpusConfig:
    """Where the collection comes from (`gr2_jax.corpus.load_collection`) and how its queries are split.

    With `folds`, every query is tested in one of the folds and `test_queries` is not used.
    """

    source: str = "apidocs"
    empty_documents: Literal["error", "drop"] = "error"
    unjudged_queries: Literal["error", "drop"] = "error"
    validation_queries: int = 300
    test_queries: int = 300
    folds: int = 0


@dataclasses.dataclass(frozen=True)
class VocabularyConfig:
    """`size` pieces learnt from at most `characters` of training text, then `extra_ids` for codes and suffixes."""

    size: int = 8192
    characters: int = 2_000_000
    extra_ids: int = 256


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A preset of `gr2_jax.models` with its depth and dropout; `lsa_start` gives it starting values from the corpus."""

    preset: str = "scratch"
    num_encoder_layers: int = 0
    num_decoder_layers: int = 1
    dropout_rate: float = 0.1
    lsa_start: bool = True


@dataclasses.dataclass(frozen=True)
class OptimiserConfig:
    """Adam with decoupled weight decay, linear warm-up, cosine decay to 1% of the rate."""

    steps: int = 1000
    learning_rate: float = 1e-2
    warmup_steps: int = 25
    b2: float = 0.98
    weight_decay: float = 0.0


@dataclasses.dataclass(frozen=True)
class BatchConfig:
    """What a retrieval batch holds; see `gr2_jax.data.batches.BatchShape`. `entities` per document are augmentation."""

    queries: int = 76
    docids: int = 2
    documents: int = 180
    pseudo_share: float = 0.3
    entities: int = 3
    shortest_span: int = 6
    longest_span: int = 24
    length: int = 24


@dataclasses.dataclass(frozen=True)
class DocidConfig:
    """Docid schemes to make (`gr2_jax.docids.SCHEMES`), each unique over the corpus, at most `max_length` tokens."""

    schemes: tuple[str, ...] = ("title", "fusion")
    max_length: int = 8
    codebooks: int = 3
    codes: int = 64


@dataclasses.dataclass(frozen=True)
class FusionConfig:
    """The docid model (paper 4.1): its own T5 parts, Eq. 3, and how pseudo-queries are drawn from it."""

    model: ModelConfig = ModelConfig(num_encoder_layers=1)
    optimiser: OptimiserConfig = OptimiserConfig(steps=200)
    objective: FusionObjective = FusionObjective()
    pairs: int = 128
    document_length: int = 64
    radius: float = 2.0
    beams: int = 8


@dataclasses.dataclass(frozen=True)
class System:
    """One trained row of the table: which docids, how much MGCC (None: the objective's), and its share of the steps."""

    name: str
    docids: str
    gamma: float | None = None
    steps: float = 1.0


@dataclasses.dataclass(frozen=True)
class RetrievalConfig:
    """The retrieval model and its training (paper 4.2)."""

    model: ModelConfig = ModelConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    objective: RetrievalObjective = RetrievalObjective()
    batch: BatchConfig = BatchConfig()
    systems: tuple[System, ...] = (System("GR2S", "title"), System("MLE", "title", gamma=0.0))
    checkpoint_seconds: float = 20.0


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Constrained beam search and the measures (ir_measures' names)."""

    beams: int = 20
    batch: int = 50
    query_length: int = 64
    measures: tuple[str, ...] = ("nDCG@5", "nDCG@20", "P@20", "ERR@20")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that decides a run's bytes, and where they go."""

    name: str = "quickstart"
    workdir: str = "runs/quickstart"
    seed: int = 0
    corpus: CorpusConfig = CorpusConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    docids: DocidConfig = DocidConfig()
    fusion: FusionConfig = FusionConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    evaluation: EvaluationConfig = EvaluationConfig()


def load_experiment(path: str | Path) -> Experiment:
    """Runs a config file and returns its `experiment`; the file is Python and is trusted like any program."""
    path = Path(path)
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UserError(f"there is no config file {path}" + (f": {nearest(path.name, beside)}" if beside else ""))
    spec = importlib.util.spec_from_file_location(f"gr2_config_{path.stem}", path)
    if spec is None:
        raise UserError(f"{path} is no config file: its name does not end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:  # whatever a program can raise
        raise UserError(f"{path} does not load: {type(error).__name__}: {error}") from error
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment):
        raise UserError(f"{path} defines no `experiment = Experiment(...)`")
    return experiment


def override(experiment: Experiment, arguments: Sequence[str]) -> Experiment:
    """Applies `--section.field value` (or `--section.field=value`) pairs; `UserError` names the nearest valid field."""
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    seen = set()
    while words:
        flag = words.pop(0)
        if not flag.startswith("--"):
            raise UserError(f"'{flag}' is no option: settings are written --section.field value")
        if not words or words[0].startswith("--"):
            raise UserError(f"{flag} needs a value")
        if flag in seen:
            raise UserError(f"{flag} is given twice")
        seen.add(flag)
        experiment = _replace(experiment, flag[2:].replace("-", "_").split("."), words.pop(0), flag)
    return experiment


def _replace(node: Any, path: list[str], text: str, flag: str) -> Any:
    fields = {f.name for f in dataclasses.fields(node)}
    name, rest = path[0], path[1:]
    if name not in fields:
        raise UserError(f"{flag}: {type(node).__name__} has no field '{name}': {nearest(name, fields)}")
    value = getattr(node, name)
    if dataclasses.is_dataclass(value):
        if not rest:
            names = {f.name for f in dataclasses.fields(value)}
            raise UserError(f"{flag} is a section: give one of its fields, {', '.join(sorted(names))}")
        return dataclasses.replace(node, **{name: _replace(value, rest, text, flag)})
    if rest:
        raise UserError(f"{flag}: '{name}' has no fields")
    return dataclasses.replace(node, **{name: _parse(text, typing.get_type_hints(type(node))[name], flag)})


def _parse(text: str, kind: Any, flag: str) -> Any:
    """The text as the field's type: a number, a truth value, one of a Literal's words, a comma-separated tuple."""
    if typing.get_origin(kind) is Literal:
        if text not in typing.get_args(kind):
            raise UserError(f"{flag} is '{text}': {nearest(text, typing.get_args(kind))}")
        return text
    if typing.get_origin(kind) in (typing.Union, UnionType):
        if text.lower() == "none":
            return None
        return _parse(text, next(a for a in typing.get_args(kind) if a is not type(None)), flag)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        if dataclasses.is_dataclass(inner):
            raise UserError(f"{flag} cannot be given on the command line: write it in a config file")
        return tuple(_parse(word.strip(), inner, flag) for word in text.split(",") if word.strip())
    if kind is str:
        return text
    try:
        value = ast.literal_eval(text.capitalize() if kind is bool else text)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is kind:
            return value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # what literal_eval says it raises
        pass
    raise UserError(f"{flag} is '{text}', which is not {'true or false' if kind is bool else f'a value of type {kind.__name__}'}")


def experiment_from_json(record: dict[str, Any]) -> Experiment:
    """The experiment that a run's config.json holds."""
    return _from_json(Experiment, record)


def _from_json(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        unknown = set(value) - set(hints)
        if unknown:
            name = min(unknown)
            raise UserError(f"config.json: {kind.__name__} has no field '{name}': {nearest(name, hints)}")
        return kind(**{name: _from_json(hints[name], part) for name, part in value.items()})
    if typing.get_origin(kind) is tuple:
        return tuple(_from_json(typing.get_args(kind)[0], part) for part in value)
    return value
