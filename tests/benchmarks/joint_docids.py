"""Docids that the retrieval model chooses anew, against fixed ones, at equal steps: a first answer to the paper's open
question of joint optimisation.

python tests/benchmarks/joint_docids.py CONFIG WORKDIR [--scheme rq] [--seeds 0 1 2]

A system is trained on the docids of codes for half of the config's steps. Then each document is given to it as a query,
over all tuples of codes, and a document that would rather have another docid (`moves`) gets it; the others keep theirs.
The training goes on with half of the steps from the same weights, over the new docids ("moved") and over the old ones
("kept", the control), which begins its learning rate anew just so. "fixed" is one training of all steps. Printed for
each seed: how many documents moved, and the measures of the test queries.
"""

import argparse
import dataclasses
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np

from gr2_jax.docids import DocidTrie
from gr2_jax.experiment import Scheme
from gr2_jax.experiment.loading import load_experiment
from gr2_jax.pipeline.generative import model_over
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.rows.system import _Start
from gr2_jax.pipeline.schemes.base import FixedCandidates, scheme_fingerprint
from gr2_jax.pipeline.schemes.codes import Quantised
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.search.retriever import DocidTexts, Retriever

LISTED = 16  # docids that a document is asked for


@dataclasses.dataclass(frozen=True)
class Given(Scheme):
    """Docids from a file [N, T], one for each document."""

    path: str = ""

    def open(self, run) -> FixedCandidates:
        docids = np.load(self.path)
        return FixedCandidates(lambda rows: docids[rows][:, None], scheme_fingerprint(run, self), reads_as_text=False)


@dataclasses.dataclass(frozen=True)
class Continued(System):
    """Starts from the weights of another system, over its own docids."""

    of: str = ""

    def _start_anew(self, run) -> _Start:
        first = run.row(self.of).open(run)
        return _Start(model_over(first.model.config, run.docids(self.docids).trie), first.params)


def moves(held: list[tuple], listed: list[list[tuple[tuple, float]]]) -> list[tuple]:
    """The docids after the documents moved. `listed` are the docids that the model would write for each, with their
    log-likelihoods, best first; one's own counts as likely as the last of the list where it is not in it. Those that
    gain most from their first move first, each to the best free docid that is likelier than its own."""
    now = list(held)
    own = [dict(found).get(docid, found[-1][1]) for docid, found in zip(held, listed, strict=True)]
    gains = [found[0][1] - likelihood for found, likelihood in zip(listed, own, strict=True)]
    taken = set(held)
    for row in sorted(range(len(held)), key=lambda row: (-gains[row], row)):
        for docid, likelihood in listed[row]:
            if likelihood <= own[row]:
                break
            if docid not in taken:
                taken.remove(now[row])
                taken.add(docid)
                now[row] = docid
                break
    return now


def over_all_tuples(retriever: Retriever, tuples: Iterable[tuple], tokenizer) -> Retriever:
    """The same model over every tuple of codes."""
    trie = DocidTrie.from_sequences(list(tuples))
    return dataclasses.replace(
        retriever,
        model=model_over(retriever.model.config, trie),
        trie=trie,
        columns=trie.columns(tokenizer.size),
        doc_ids=range(trie.num_docids),
        docid_texts=DocidTexts(trie, tokenizer.decode),
        vectors=None,
    )


def moved_docids(run, scheme: Quantised, row: str) -> np.ndarray:
    ids = np.asarray(run.tokenizer.sentinels)[: scheme.levels * scheme.codes].reshape(scheme.levels, scheme.codes)
    tuples = [tuple(codes) for codes in product(*ids.tolist())]
    asked = over_all_tuples(run.row(row).open(run), tuples, run.tokenizer)
    asked = asked.with_options(ranking="likelihood", beams=LISTED, exact="no")
    found = asked.search([document.contents for document in run.corpus.documents], LISTED)
    listed = [[(tuples[int(hit.doc_id)], hit.score) for hit in hits] for hits in found]
    table = run.docids(scheme.name).trie.docids()
    held = [tuple(docid[docid != 0].tolist()) for docid in table]
    after = moves(held, listed)
    changed = sum(a != b for a, b in zip(held, after, strict=True))
    first = sum(own == found[0][0] for own, found in zip(held, listed, strict=True))
    print(f"{row}: {first:,} of {len(held):,} documents have the docid that the model would write; {changed:,} moved")
    width = max(map(len, after))
    return np.array([[*docid, *[0] * (width - len(docid))] for docid in after], np.int32)


def measure(experiment, scheme: Quantised, root: Path, seed: int) -> None:
    rows = (System("fixed", scheme.name), System("half", scheme.name, steps_factor=0.5))
    docids = dataclasses.replace(experiment.docids, schemes=(scheme,))
    experiment = dataclasses.replace(experiment, seed=seed, docids=docids, rows=(*rows, *BASELINES[:1]))
    run_experiment(experiment, root)
    path = root / "moved.npy"
    if not path.is_file():
        np.save(path, moved_docids(open_run(root), scheme, "half"))
    docids = dataclasses.replace(docids, schemes=(scheme, Given("moved", str(path))))
    further = (
        Continued("kept", scheme.name, of="half", steps_factor=0.5),
        Continued("moved", "moved", of="half", steps_factor=0.5),
    )
    experiment = dataclasses.replace(experiment, docids=docids, rows=(*experiment.rows, *further))
    print(f"seed {seed}\n{run_experiment(experiment, root)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--scheme", default="rq")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    experiment = load_experiment(options.config)
    scheme = next(scheme for scheme in experiment.docids.schemes if scheme.name == options.scheme)
    for seed in options.seeds:
        measure(experiment, scheme, options.workdir / f"seed{seed}", seed)


if __name__ == "__main__":
    main()
