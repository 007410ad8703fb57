"""Mining: the documents that a trained system ranks high for the training queries, and should not."""

import dataclasses
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from gr2_jax.array_files import map_array
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.batches import cut_inputs
from gr2_jax.errors import UserError
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage, fingerprint_of, reading_stage
from gr2_jax.progress import progress, say
from gr2_jax.search.retriever import Retriever
from gr2_jax.search.searcher import LATER, PLACES, SearchOptions

_BATCHES_PER_REPORT = 4


class Mined(NamedTuple):
    """The documents that `mine` found, which of them are judged not relevant, and the seconds that it took."""

    rows: Int[np.ndarray, "E depth"]
    judged: Bool[np.ndarray, "E depth"]
    seconds: float


def mined_negatives(run: Run, row: str, retriever: Retriever, *, beams: int, depth: int) -> Mined:
    """Kept in negatives/<row>/; `retriever` searches with the weights of that row."""
    # what is found must not depend on how the experiment evaluates
    own = ("batch", *PLACES)  # these change no result
    options = {field.name: field.default for field in dataclasses.fields(SearchOptions) if field.name not in own}
    options |= {"beams": beams, "nearest": beams}

    def build(out: Path) -> None:
        say(f"searching for documents that {row} ranks high wrongly")
        started = time.monotonic()
        queries = run.examples["queries"]
        end = run.experiment.retrieval.model.input_end
        queries = queries._replace(tokens=cut_inputs(queries.tokens[:], queries.tokens.shape[1], end))
        rows = mine(retriever.with_options(**options), queries, depth)
        seconds, found = time.monotonic() - started, (rows >= 0).sum(axis=1)
        judged = judged_not_relevant(run, rows)
        np.save(out / "rows.npy", rows)
        np.save(out / "judged.npy", judged)
        figures = {"queries": len(rows), "per_query": float(found.mean()), "none": int((found == 0).sum())}
        figures |= {"judged_per_query": float(judged.sum(axis=1).mean())}
        write_json(out / "figures.json", figures | {"seconds": seconds})
        say(f"  {figures['per_query']:.1f} wrong documents per query; {figures['none']:,} queries have none")

    directory = run.paths.negatives(row)
    # as earlier versions noted it
    decides = {name: value for name, value in options.items() if name not in LATER} | {"table": "replicated"}
    Stage(directory, fingerprint_of([run.training(row).fingerprint, decides, depth])).build(build)
    with reading_stage(directory, "figures.json") as path:
        seconds = float(read_json(path)["seconds"])
    with reading_stage(directory, "judged.npy") as path:
        judged = np.array(map_array(path, ndim=2))
    with reading_stage(directory, "rows.npy") as path:
        rows = np.array(map_array(path, ndim=2))
        if rows.shape != judged.shape or len(rows) != len(run.examples["queries"].tokens):
            raise UserError(f"{path} is damaged: it is not of the run's training queries")
    return Mined(rows, judged, seconds)


def judged_not_relevant(run: Run, rows: Int[np.ndarray, "E depth"]) -> Bool[np.ndarray, "E depth"]:
    """Which of the documents found for each training query have a judgement of 0 or less."""
    doc_ids, qrels = run.doc_ids, run.corpus.qrels
    judged = np.zeros(rows.shape, bool)
    for i, query in enumerate(run.queries("train")):
        wrong = {doc_id for doc_id, grade in qrels[query].items() if grade <= 0}
        judged[i] = [row >= 0 and doc_ids[row] in wrong for row in rows[i]]
    return judged


def mine(retriever: Retriever, queries: ExampleArrays, depth: int) -> Int[np.ndarray, "E depth"]:
    """Rows of the documents that the retriever finds for each query, best first, without those that are judged relevant
    to it; at most `depth`, -1-padded. Documents judged 0 and unjudged ones are treated alike."""
    size = min(retriever.options.batch, len(queries.tokens))
    # whole batches only: another shape would be compiled anew
    tokens = np.pad(queries.tokens, [(0, -len(queries.tokens) % size), (0, 0)], mode="edge")
    found = []
    with progress(len(tokens), "mining") as bar:
        for start in range(0, len(tokens), size * _BATCHES_PER_REPORT):
            found.append(retriever.search_tokens(tokens[start : start + size * _BATCHES_PER_REPORT]).rows)
            bar.advance(len(found[-1]))
    return wrong_rows(np.concatenate(found)[: len(queries.tokens)], queries.docid_rows, queries.grades, depth)


def wrong_rows(
    found: Int[np.ndarray, "E M"], judged: Int[np.ndarray, "E J"], grades: Int[np.ndarray, "E J"], depth: int
) -> Int[np.ndarray, "E depth"]:
    """The first `depth` of each row of `found` (-1 = nothing) that are not judged with a grade above 0; -1-padded."""
    wrong = np.full((len(found), depth), -1, np.int32)
    for query, ranked in enumerate(found):
        kept = ranked[(ranked >= 0) & ~np.isin(ranked, judged[query][grades[query] > 0])][:depth]
        wrong[query, : len(kept)] = kept
    return wrong
