"""A whole study that is killed at random, again and again, ends with the same bytes as an undisturbed one."""

import sys
from pathlib import Path

import pytest
from kills import bytes_of, calm, struck_often
from small_collection import TEXTS, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.files import read_json

STUDY = """
import sys
sys.path.append({folder!r})
from small_collection import over, retrieval, small_experiment
from gr2_jax.experiment import EvaluationConfig, ModelConfig, OptimiserConfig
from gr2_jax.experiment.study import Setting, Study
from gr2_jax.pipeline.rows import BM25Row, System

base = small_experiment(
    retrieval=retrieval(
        model=ModelConfig(num_encoder_layers=0, num_decoder_layers=1, dropout_rate=0.0),
        optimiser=OptimiserConfig(steps=4, warmup_steps=1),
    ),
    evaluation=EvaluationConfig(batch=8, beams=4, weights=(0.0, 1.0)),
    rows=(System("GR2S", "title"), BM25Row()),
)
axes = (
    Setting("tau", "retrieval.objective.temperature", (0.05,)),
    Setting("beams", "evaluation.beams", (2,)),  # takes over the base's model
)
study = Study(name="small", base=over(base, {collection!r}), axes=axes, seeds=(0, 1))
"""
COSTS = ("index MB", "model MB", "train s", "ms/query")


def written(root):
    """What the study wrote, the measures of each point, and of each run every file that holds no seconds."""
    paths = [root / "study.csv", *(path for name in ("report", "results") for path in (root / name).rglob("*"))]
    whole = {path: path.read_bytes() for path in paths if path.is_file()}
    measured = {path: without_costs(read_json(path)) for path in root.glob("points/*/metrics/*.json")}
    runs = {run: bytes_of(run) for run in root.glob("points/*/seed-*")}
    assert (len(measured) > 2, len(runs), len(runs[root / "points/base/seed-0"]) > 20) == (True, 6, True)
    return {path.relative_to(root): content for path, content in (whole | measured | runs).items()}


def without_costs(value):
    if not isinstance(value, dict):
        return value
    return {name: without_costs(own) for name, own in value.items() if name not in COSTS}


@pytest.mark.slow
def test_a_study_killed_twenty_times_ends_with_the_same_bytes(tmp_path):
    """SIGKILL as some file appears: in a point's run, as it takes over what another point made, in the study's own."""
    documents = [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)]
    write_folder(tmp_path / "collection", documents, TEXTS)
    folder, collection = str(Path(__file__).parent), str(tmp_path / "collection")
    (tmp_path / "study.py").write_text(STUDY.format(folder=folder, collection=collection))
    command = [sys.executable, "-m", "gr2_jax", "study", str(tmp_path / "study.py"), "--workdir", "run"]
    undisturbed = calm(command, tmp_path / "calm")
    expected = written(tmp_path / "calm" / "run")
    for ended in struck_often(command, tmp_path, kills=20, most=70):
        assert written(ended.folder / "run") == expected, ended.where
        assert ended.printed == undisturbed, ended.where
    assert len(set(ended.where)) > 5, f"the kills hit few places: {ended.where}"
