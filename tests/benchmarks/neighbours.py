"""mteb, ranx and PyTerrier over a row of a run, beside our figures: `python tests/benchmarks/neighbours.py RUN ROW`.

Needs mteb, ranx and python-terrier. Every figure is of the run's test queries.
"""

import sys

import datasets
import mteb
import pandas
import ranx
from ir_measures import parse_measure
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

from gr2_jax import open_retriever
from gr2_jax.evaluation import evaluate_run
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.search.mteb import SearchModel
from gr2_jax.search.pyterrier import transformer

MEASURES = ("nDCG@10", "nDCG@20", "P@20", "RR@10")


class Local(AbsTaskRetrieval):
    """The run's collection and test queries as a task of mteb."""

    metadata = TaskMetadata(
        name="LocalRun",
        description="a run's own collection",
        reference="https://example.org",
        dataset={"path": "local/run", "revision": "1"},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_20",
        date=("2026-01-01", "2026-01-02"),
        domains=["Programming"],
        task_subtypes=[],
        license="not specified",
        annotations_creators="derived",
        dialect=[],
        sample_creation="found",
        bibtex_citation="",
    )

    def load_data(self, *arguments, **options) -> None:
        run = open_run(sys.argv[1])
        documents = [{"id": d.doc_id, "title": d.title, "text": d.text} for d in run.corpus.documents]
        queries = [{"id": query, "text": text} for query, text in run.queries("test").items()]
        self.dataset = {
            "default": {
                "test": {
                    "corpus": datasets.Dataset.from_list(documents),
                    "queries": datasets.Dataset.from_list(queries),
                    "relevant_docs": judged(run),
                    "top_ranked": None,
                }
            }
        }
        self.data_loaded = True


def judged(run) -> dict[str, dict[str, int]]:
    return {query: dict(grades) for query, grades in run.qrels("test").items()}


def main() -> None:
    directory, row = sys.argv[1:]
    run, retriever = open_run(directory), open_retriever(directory, row)
    queries, qrels = run.queries("test"), judged(run)
    found = {
        query: {hit.doc_id: hit.score for hit in hits}
        for query, hits in zip(queries, retriever.search(list(queries.values()), 1000), strict=True)
    }
    ranked = {query: list(hits.items()) for query, hits in found.items()}
    print("ours     ", {name: round(value, 5) for name, value in evaluate_run(ranked, qrels, list(MEASURES)).items()})

    (result,) = mteb.evaluate(SearchModel(retriever), Local(), cache=None, co2_tracker=False).task_results
    (scores,) = result.scores["test"]
    print("mteb     ", {name: scores[name] for name in ("ndcg_at_10", "ndcg_at_20", "precision_at_20", "mrr_at_10")})

    names = ["ndcg@10", "ndcg@20", "precision@20", "mrr@10"]
    print("ranx     ", ranx.evaluate(ranx.Qrels(qrels), ranx.Run(found), names))

    import pyterrier

    topics = pandas.DataFrame({"qid": list(queries), "query": list(queries.values())})
    judgements = [(query, doc, grade) for query, grades in qrels.items() for doc, grade in grades.items()]
    table = pyterrier.Experiment(
        [transformer(retriever, 1000)],
        topics,
        pandas.DataFrame(judgements, columns=["qid", "docno", "label"]),
        [*map(parse_measure, MEASURES)],
        names=[row],
    )
    print("PyTerrier", table.to_dict("records"))


if __name__ == "__main__":
    main()
