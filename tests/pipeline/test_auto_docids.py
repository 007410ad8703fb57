"""Which docids the gate takes, and that it says why."""

import dataclasses
import json

import pytest
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.experiment import DocidConfig, VocabularyConfig
from gr2_jax.pipeline.schemes import Auto, Keywords, ResidualCodes, Titles
from gr2_jax.pipeline.stages import run_experiment

AUTO = Auto(keywords=Keywords(least=2, most=4, common=1.0), codes=ResidualCodes(levels=2, codes=8))
EXPERIMENT = small_experiment(
    name="auto",
    vocabulary=VocabularyConfig(size=80, extra_ids=100),
    docids=DocidConfig(schemes=(AUTO,), max_length=10),
    retrieval=retrieval(),
    rows=(),
)


def chosen(tmp_path, documents, scheme=None):
    """What the gate says, and the docids made; or those of another scheme."""
    folder = tmp_path / "corpus"
    folder.mkdir(exist_ok=True)
    write_folder(folder, documents, TEXTS)
    experiment, name = over(EXPERIMENT, folder), "auto"
    if scheme is not None:
        experiment = dataclasses.replace(experiment, docids=DocidConfig(schemes=(scheme,), max_length=10))
        name = scheme.name
    run_experiment(experiment, tmp_path / "run", until="docids")
    made = tmp_path / "run" / "docids" / name
    said = json.loads((made / "auto.json").read_text()) if scheme is None else None
    return said, (made / "docids.tsv").read_text()


def with_titles(titles):
    return [
        Document(f"d{i}", title, f"how to {text}") for i, (title, text) in enumerate(zip(titles, TEXTS, strict=True))
    ]


@pytest.mark.parametrize(
    ("titles", "takes", "why", "same"),
    [
        (TEXTS, "title", "of the titles are whole", Titles()),
        (["the same title"] * len(TEXTS), "keywords", "only 0% of the titles", AUTO.keywords),
        ([f"{text} {text} {text} {text}" for text in TEXTS], "keywords", "only", AUTO.keywords),
        ([""] * len(TEXTS), "keywords", "not every document has a title", AUTO.keywords),
    ],
    ids=["distinctive titles", "one title", "titles that would be cut", "no titles"],
)
def test_titles_only_where_they_are_docids_as_they_stand(tmp_path, titles, takes, why, same):
    said, docids = chosen(tmp_path, with_titles(titles))
    assert said["chosen"] == takes
    assert why in said["why"]
    assert docids == chosen(tmp_path, with_titles(titles), same)[1]


def test_codes_where_documents_have_no_word_that_tells_anything(tmp_path):
    scheme = dataclasses.replace(AUTO, keywords=dataclasses.replace(AUTO.keywords, common=0.0))
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_folder(folder, with_titles([""] * len(TEXTS)), TEXTS)
    experiment = dataclasses.replace(over(EXPERIMENT, folder), docids=DocidConfig(schemes=(scheme,), max_length=10))
    run_experiment(experiment, tmp_path / "run", until="docids")
    said = json.loads((tmp_path / "run/docids/auto/auto.json").read_text())
    assert said["chosen"] == "rq"
    assert "no telling word" in said["why"]
