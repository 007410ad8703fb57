import math
import shutil
import subprocess
import sys

import numpy as np
import pytest

from gr2_jax.corpus import read_qrels, read_run
from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import (
    BINARY_MEASURES,
    GRADED_MEASURES,
    default_measures,
    evaluate_run,
    expected_reciprocal_rank,
    per_query,
    recall_by_grade,
)


def _random_task(seed, highest, queries=12, documents=40):
    """Runs of many lengths over judgements with grades from -2 up, some documents unjudged."""
    rng = np.random.default_rng(seed)
    run, qrels = {}, {}
    for q in range(1, queries + 1):
        qrels[str(q)] = {f"d{d}": int(rng.integers(-2, highest + 1)) for d in rng.permutation(documents)[:25]}
        qrels[str(q)]["d0"] = highest
        found = rng.permutation(documents)[: rng.integers(0, documents)]
        scores = np.sort(rng.normal(size=len(found)))[::-1]
        run[str(q)] = [(f"d{d}", float(score)) for d, score in zip(found, scores, strict=True)]
    return run, qrels


def _loop_ndcg(docs, grades, k):
    dcg = ideal = 0.0
    for i, doc in enumerate(docs[:k]):
        dcg += max(grades.get(doc, 0), 0) / math.log2(i + 2)
    for i, grade in enumerate(sorted(grades.values(), reverse=True)[:k]):
        ideal += max(grade, 0) / math.log2(i + 2)
    return dcg / ideal


def _loop_err(docs, grades, k, highest):
    total = 0.0
    for r in range(min(k, len(docs))):
        not_before = 1.0
        for i in range(r):
            not_before *= 1 - (2 ** max(grades.get(docs[i], 0), 0) - 1) / 2**highest
        total += not_before * (2 ** max(grades.get(docs[r], 0), 0) - 1) / 2**highest / (r + 1)
    return total


@pytest.mark.parametrize("highest", [1, 2, 4, 16])
def test_measures_equal_plain_loops(highest):
    run, qrels = _random_task(highest, highest)
    values = per_query(run, qrels, ("nDCG@5", "nDCG@20", "P@20", "ERR@20", "ERR", "MRR@3", "Hits@10"))
    for q, grades in qrels.items():
        docs = [doc for doc, _ in run[q]]
        relevant = [grades.get(doc, 0) >= 1 for doc in docs]
        assert values["nDCG@5"][q] == pytest.approx(_loop_ndcg(docs, grades, 5))
        assert values["nDCG@20"][q] == pytest.approx(_loop_ndcg(docs, grades, 20))
        assert values["P@20"][q] == pytest.approx(sum(relevant[:20]) / 20)
        assert values["ERR@20"][q] == pytest.approx(_loop_err(docs, grades, 20, highest))
        assert values["ERR"][q] == pytest.approx(_loop_err(docs, grades, 1000, highest))
        assert values["MRR@3"][q] == pytest.approx(1 / (1 + relevant.index(True)) if any(relevant[:3]) else 0)
        assert values["Hits@10"][q] == float(any(relevant[:10]))
    means = evaluate_run(run, qrels, ("nDCG@20", "ERR@20"))
    assert means == pytest.approx({name: np.mean(list(values[name].values())) for name in means})


@pytest.mark.parametrize("factor", [500, 250_000])
def test_grades_that_the_library_cannot_take_have_the_same_measures(factor):
    """nDCG does not change when all gains are multiplied; a threshold is multiplied with them."""
    run, qrels = _random_task(3, 4)
    high = {q: {doc: grade * factor for doc, grade in grades.items()} for q, grades in qrels.items()}
    names = ("nDCG@5", "nDCG@20", "nDCG", "P@20", "AP", "Hits@10")
    assert per_query(run, high, names) == {
        name: pytest.approx(values, abs=1e-12) for name, values in per_query(run, qrels, names).items()
    }
    over, expected = per_query(run, high, [f"P(rel={2 * factor})@5"]), per_query(run, qrels, ["P(rel=2)@5"])
    assert list(over.values()) == list(expected.values())
    # on so long a scale a reader stops at the first document of the highest grade, and at no other
    best = {q: [high[q].get(doc, 0) == 4 * factor for doc, _ in run[q]] for q in high}
    ranks = {q: 1 / (1 + found.index(True)) if any(found) else 0.0 for q, found in best.items()}
    assert per_query(run, high, ["ERR"])["ERR"] == pytest.approx(ranks)
    with pytest.raises(UserError, match="reads the grades themselves"):
        per_query(run, high, ["nDCG(dcg='exp-log2')@20"])


def test_err_by_hand():
    # Grades 2, 1 of at most 2: R = 3/4, 1/4; 3/4 + 1/2 * 1/4 * 1/4.
    assert expected_reciprocal_rank([2, 1], 2) == 0.75 + 0.03125
    assert expected_reciprocal_rank([2, 1], 2, cutoff=1) == 0.75
    assert expected_reciprocal_rank([], 2) == 0.0


@pytest.mark.skipif(shutil.which("perl") is None, reason="gdeval is a Perl script")
def test_err_equals_gdeval_where_the_scale_ends_at_4():
    import ir_measures

    run, qrels = _random_task(0, 4)
    scored = {q: dict(hits) for q, hits in run.items()}
    expected = {m.query_id: m.value for m in ir_measures.gdeval.iter_calc([ir_measures.ERR @ 20], qrels, scored)}
    assert per_query(run, qrels, ["ERR@20"])["ERR@20"] == pytest.approx(expected, abs=1e-5)


def test_ties_are_broken_as_by_trec_eval():
    import pytrec_eval

    # 1 + 1e-9 equals 1 in single precision, in which trec_eval keeps scores.
    run = {"q": [("a", 2.0), ("x", 1.0 + 1e-9), ("m", 1.0), ("z", 1.0), ("é", 1.0), ("b", 0.5)]}
    for relevant in "axmzéb":
        qrels = {"q": {relevant: 1}}
        scored = {q: dict(hits) for q, hits in run.items()}
        expected = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(scored)["q"]["recip_rank"]
        values = evaluate_run(run, qrels, ("RR", "MRR@20", "ERR@20"))
        assert values["RR"] == values["MRR@20"] == pytest.approx(expected)
        assert values["ERR@20"] == pytest.approx(expected / 2)  # R = 1/2 at the only relevant document


def test_which_queries_count():
    qrels = {"1": {"a": 1}, "2": {"a": 2}, "3": {"a": 0, "b": -1}, "4": {"b": 1}}
    run = {"9": [("a", 1.0)], "3": [("a", 1.0)], "1": [("a", 1.0)], "4": []}
    values = per_query(run, qrels, ("nDCG@5", "P@1", "ERR@5"))
    assert list(values["nDCG@5"].items()) == [("1", 1.0), ("2", 0.0), ("4", 0.0)]
    assert values["ERR@5"] == {"1": 0.25, "2": 0.0, "4": 0.0}
    assert evaluate_run(run, qrels, ("P@1",)) == pytest.approx({"P@1": 1 / 3})


@pytest.mark.parametrize("complete", [True, False])
def test_topics_as_trec_eval_counts_them(complete):
    import pytrec_eval

    run, qrels = _random_task(5, 3)
    qrels["11"] = dict.fromkeys(qrels["11"], 0)
    del run["12"]
    scored = {q: dict(hits) for q, hits in run.items() if hits}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg"}).evaluate(scored)
    expected = {q: values["ndcg"] for q, values in found.items()}
    if complete:  # trec_eval -c divides by the number of judged queries
        expected |= dict.fromkeys(qrels.keys() - expected.keys(), 0.0)
    values = per_query(run, qrels, ["nDCG", "ERR@20"], topics="judged" if complete else "answered")
    assert values["nDCG"] == pytest.approx(expected)
    assert values["ERR@20"].keys() == expected.keys()
    assert values["ERR@20"]["11"] == 0.0
    assert "11" not in per_query(run, qrels, ["nDCG"])["nDCG"]
    with pytest.raises(UserError, match="topics is 'all'"):
        per_query(run, qrels, ["nDCG"], topics="all")


def test_err_on_the_scale_in_its_name():
    run, qrels = _random_task(2, 2)
    values = per_query(run, qrels, ("ERR(max_rel=4)@20", "ERR(max_rel=2)", "ERR@20", "ERR"))
    for q, grades in qrels.items():
        docs = [doc for doc, _ in run[q]]
        assert values["ERR(max_rel=4)@20"][q] == pytest.approx(_loop_err(docs, grades, 20, 4))
    assert values["ERR(max_rel=2)"] == values["ERR"] != values["ERR@20"]
    with pytest.raises(UserError, match="ERR\\(max_rel=1\\)@20 cannot hold grades up to 2"):
        per_query(run, qrels, ["ERR(max_rel=1)@20"])


def test_ndcg_with_exponential_gain_equals_a_plain_loop():
    run, qrels = _random_task(3, 3)
    values = per_query(run, qrels, ["nDCG(gains={1:1,2:3,3:7})@20"])["nDCG(gains={1:1,2:3,3:7})@20"]
    for q, grades in qrels.items():
        gains = {doc: 2 ** max(grade, 0) - 1 for doc, grade in grades.items()}
        assert values[q] == pytest.approx(_loop_ndcg([doc for doc, _ in run[q]], gains, 20))


def test_default_measures_are_the_paper_s_two_sets():
    assert default_measures({"1": {"a": 1, "b": 0}, "2": {"a": -2}}) == BINARY_MEASURES
    assert default_measures({"1": {"a": 1}, "2": {"b": 2}}) == ("nDCG@5", "nDCG@20", "P@20", "ERR@20")


def test_binary_judgements_with_several_relevant_documents_are_measured_by_whole_lists():
    two = {"1": {"a": 1, "b": 1, "c": 0}, "2": {"a": 1, "d": 1}, "none": {"e": 0, "f": -1}}
    assert default_measures(two) == BINARY_MEASURES
    assert default_measures(two | {"3": {"a": 1, "b": 1, "c": 1}}) == GRADED_MEASURES
    assert default_measures({}) == BINARY_MEASURES


def test_names_of_the_binary_sets():
    values = evaluate_run({"q": [("b", 2.0), ("a", 1.0)]}, {"q": {"a": 1}}, BINARY_MEASURES)
    assert values == {"MRR@3": 0.5, "MRR@20": 0.5, "Hits@1": 0.0, "Hits@10": 1.0}


IDS = ("q-1a", "a-1", "1-a-1", "トピック", "طلب", "10.5", "-3", "q:1/x", "é")


@pytest.mark.parametrize("highest", [2, 4, 6])
def test_err_of_query_ids_that_are_no_numbers(highest):
    run, qrels = _random_task(highest, highest, queries=len(IDS))
    renamed = dict(zip(qrels, IDS, strict=True))
    run, qrels = ({renamed[q]: own for q, own in task.items()} for task in (run, qrels))
    values = per_query(run, qrels, ("ERR@20", "ERR(max_rel=6)@20"))
    assert set(values["ERR@20"]) == set(IDS)
    for q, grades in qrels.items():
        docs = [doc for doc, _ in run[q]]
        assert values["ERR@20"][q] == pytest.approx(_loop_err(docs, grades, 20, highest))
        assert values["ERR(max_rel=6)@20"][q] == pytest.approx(_loop_err(docs, grades, 20, 6))


def test_gdeval_is_never_asked():
    # It would die on grade 5 and turn "a-1" into "1".
    with pytest.raises(UserError, match="ir_measures cannot compute"):
        evaluate_run({"a-1": [("d", 1.0)]}, {"a-1": {"d": 5}}, ["nDCG(dcg='exp-log2')@5"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ndcg@20", "unknown measure 'ndcg@20': did you mean 'nDCG@20'"),
        ("mrr@3", "did you mean 'MRR@3'"),
        ("Hit@10", "did you mean 'Hits'"),
        ("nDGC@5", "did you mean 'nDCG'"),
        ("P", r"measure 'P': expected .*P takes cutoff \(required\)"),
        ("P@0", "expected a form such as"),  # would abort the process inside trec_eval's library
        ("nDCG@-5", "expected a form such as"),
        ("nDCG@", "expected a form such as"),
        ("P(level=2)@5", "expected a form such as"),
        ("ERR(max_rel=0)@5", "ERR takes cutoff, max_rel"),
        ("ERR(highest=4)@5", "ERR takes cutoff, max_rel"),
        ("", "expected a form such as"),
    ],
)
def test_bad_names(name, says):
    with pytest.raises(UserError, match=says):
        evaluate_run({"q": [("a", 1.0)]}, {"q": {"a": 1}}, [name])


@pytest.mark.parametrize(
    ("run", "qrels", "says"),
    [
        ({}, {"1": {"a": 1}}, "none of the run's 0 queries"),
        ({"q1": [("a", 1.0)]}, {"1": {"a": 1}}, r"none of the run's 1 queries .*\(run: q1; judgements: 1\)"),
        ({"1": [("a", 1.0)]}, {"1": {"a": 0}}, "no relevant document"),
        ({"1": [("a", 1.0), ("a", 0.5)]}, {"1": {"a": 1}}, "twice for query '1'"),
    ],
)
def test_runs_that_cannot_be_judged(run, qrels, says):
    with pytest.raises(UserError, match=says):
        evaluate_run(run, qrels)


@pytest.mark.parametrize(("year", "published"), [("19", 0.5058), ("20", 0.4796)])
def test_published_bm25_runs(shared_data, year, published):
    run = read_run(shared_data / "trec" / "runs" / f"BM25.dl{year}.top100.txt.gz")
    qrels = read_qrels(shared_data / "trec" / "qrels" / f"qrels.dl{year}-passage.txt.gz")
    assert round(evaluate_run(run, qrels, ["nDCG@10"])["nDCG@10"], 4) == published


def test_queries_with_only_grades_below_0_count_as_without_relevant_documents(tmp_path):
    """In a process of its own: it used to crash."""
    program = (
        "from gr2_jax.evaluation.metrics import per_query;"
        "print(per_query({'1': [('a', 1.0)], '2': [('b', 1.0)]}, {'1': {'a': 2}, '2': {'b': -2, 'c': -7}}, ['nDCG@5'], "
        "topics='judged'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "{'nDCG@5': {'1': 1.0, '2': 0.0}}", done.stderr


def test_recall_of_exactly_one_grade():
    """Of each grade's documents the share in the first 3; grade 0 is none, and so is a query without the grade."""
    qrels = {"q": {"a": 3, "b": 3, "c": 1, "d": 0}, "r": {"a": 1}, "s": {"d": 0}}
    run = {"q": [("a", 4.0), ("d", 3.0), ("c", 2.0), ("b", 1.0)], "r": [("b", 1.0)], "s": [("d", 1.0)]}
    assert recall_by_grade(run, qrels, 3) == {3: {"q": 0.5}, 1: {"q": 1.0, "r": 0.0}}
    assert recall_by_grade({"r": [("a", 1.0)]}, qrels, 3) == {3: {"q": 0.0}, 1: {"q": 0.0, "r": 1.0}}
