import gzip

import numpy as np
import pytest

from gr2_jax.corpus import read_qrels, read_run, write_run
from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import evaluate_run, write_per_query
from gr2_jax.search.searcher import best_first


def _file(tmp_path, data):
    path = tmp_path / "file.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_run_written_and_read_is_equal(tmp_path):
    rng = np.random.default_rng(0)
    scores = np.sort(rng.normal(size=50) * 10.0 ** rng.integers(-30, 30, size=50))[::-1]
    run = {
        "q2": [(f"d{i}", float(score)) for i, score in enumerate(scores)],
        "q1": [("b", np.float32(0.1)), ("a", 0.1), ("é", -0.0)],
    }
    path = tmp_path / "run.trec"
    write_run(path, run, "tag")
    assert read_run(path) == run
    assert list(read_run(path)) == ["q2", "q1"]
    assert [p.name for p in tmp_path.iterdir()] == ["run.trec"]


def test_run_lines(tmp_path):
    path = tmp_path / "run.trec"
    write_run(path, {"7": [("x", 2), ("y", 0.5)], "3": [], "5": [("x", -1e-7)]}, "gr2")
    assert path.read_bytes() == b"7 Q0 x 1 2.0 gr2\n7 Q0 y 2 0.5 gr2\n5 Q0 x 1 -1e-07 gr2\n"


@pytest.mark.parametrize("hits", [[("a", 1.0), ("b", 2.0)], [("a", float("nan"))], [("a", float("-inf"))]])
def test_write_refuses_scores_that_are_not_a_ranking(tmp_path, hits):
    with pytest.raises(ValueError, match="best first"):
        write_run(tmp_path / "run.trec", {"q": hits}, "t")
    assert not (tmp_path / "run.trec").exists()


@pytest.mark.parametrize(("query_id", "doc_id", "tag"), [("q 1", "d", "t"), ("q", "d\n", "t"), ("q", "d", "")])
def test_write_refuses_white_space(tmp_path, query_id, doc_id, tag):
    with pytest.raises(UserError, match="white space"):
        write_run(tmp_path / "run.trec", {query_id: [(doc_id, 1.0)]}, tag)


def test_read_run_orders_by_score_and_ignores_ranks(tmp_path):
    path = _file(tmp_path, "\ufeff1 Q0 a 1 1 t\r\n\r\n2 Q0 a 1 3 t\r\n1\tQ0\tb\t2\t1e1\tt\r\n1 Q0 c 3 1.0 t\r\n")
    assert read_run(path) == {"1": [("b", 10.0), ("a", 1.0), ("c", 1.0)], "2": [("a", 3.0)]}


def test_qrels(tmp_path):
    text = "101 0 x -2\r\n\n101  0  y   4\n101 Q0 z 16\n101 0 x -2\n  \nq-2 0 x 0"
    expected = {"101": {"x": -2, "y": 4, "z": 16}, "q-2": {"x": 0}}
    assert read_qrels(_file(tmp_path, text)) == expected
    assert read_qrels(_file(tmp_path, gzip.compress(text.encode()))) == expected


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (read_run, "1 Q0 a 1 2.0 t\n\n1 Q0 b 2.0 t\n", r"file.txt, line 3: expected 6 columns, .*found 5"),
        (read_run, "1 Q0 a 1 high t\n", r"file.txt, line 1: expected a finite number as score, found 'high'"),
        (read_run, "1 Q0 a 1 nan t\n", r"file.txt, line 1: expected a finite number"),
        (read_run, "1 Q0 a 1 2 t\n1 Q0 a 2 1 t\n", r"file.txt, line 2: document 'a' is listed twice for query '1'"),
        (read_run, "1 Q0 a 1 1_0.5 t\n", r"file.txt, line 1: expected a finite number as score, found '1_0.5'"),
        (read_run, "1 Q0 a 1 \u0661 t\n", r"file.txt, line 1: expected a finite number as score"),
        (read_run, "1 Q0 a 1 1e400 t\n", r"file.txt, line 1: expected a finite number as score"),
        (read_run, "1 Q0 a 1 2 t\n1 Q0 b\0 2 1 t\n", r"line 2: the document id 'b\\x00' contains a control"),
        (read_run, "1\x1b Q0 a 1 2 t\n", r"line 1: the query id '1\\x1b' contains a control character"),
        (read_run, "1 Q0 a 1 2 t\n\ufeff1 Q0 a 1 2 t\n", r"line 2: the query id '\\ufeff1' contains a control"),
        (read_qrels, "1 0 a\0 1\n1 0 b 2\n", r"line 1: the document id 'a\\x00' contains a control character"),
        (read_qrels, "1 0 a 1\n1 a 1\n", r"file.txt, line 2: expected 4 fields .*found 3"),
        (read_qrels, "1 0 a 1.5\n", r"file.txt, line 1: .*whole number, found '1.5'"),
        (read_qrels, "1 0 a 1\n1 0 a 2\n", r"file.txt, line 2: .*'a' as 2, but as 1"),
        (read_qrels, b"1 0 a\xff 1\n", r"file.txt, line 1: not UTF-8"),
        (read_qrels, gzip.compress(b"1 0 a 1\n" * 100, mtime=0)[:-12], r"file.txt cannot be unpacked"),
        (read_qrels, b"\x1f\x8bnot gzip at all", r"file.txt cannot be unpacked"),
    ],
)
def test_malformed_lines_are_named(tmp_path, read, text, says):
    with pytest.raises(UserError, match=says):
        read(_file(tmp_path, text))


def test_per_query_lines(tmp_path):
    write_per_query(tmp_path / "new" / "a.tsv", {"nDCG@5": {"q2": 0.1, "q1": 1 / 3}, "P@1": {"q2": 0.0, "q1": 1.0}})
    assert (tmp_path / "new" / "a.tsv").read_text() == (
        "nDCG@5\tq2\t0.1\nnDCG@5\tq1\t0.3333333333333333\nP@1\tq2\t0.0\nP@1\tq1\t1.0\n"
    )


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"there is no none\.txt"):
        read_run(tmp_path / "none.txt")


def test_best_first_keeps_document_order_in_ties():
    scores = np.array([1.0, 2.0, 0.0, 1.0, 2.0, -1.0], np.float32)
    assert best_first("abcdef", scores, 3) == [("b", 2.0), ("e", 2.0), ("a", 1.0)]
    assert best_first("abcdef", scores, 9) == [("b", 2.0), ("e", 2.0), ("a", 1.0), ("d", 1.0)]


def test_real_judgements(shared_data):
    qrels = read_qrels(shared_data / "trec" / "qrels" / "qrels.web.151-200.txt.gz")
    grades = [grade for by_doc in qrels.values() for grade in by_doc.values()]
    assert (len(qrels), min(grades), max(grades)) == (50, -2, 4)


def test_scores_too_large_for_single_precision_are_kept_and_named_once(tmp_path, capsys):
    path = _file(tmp_path, "1 Q0 a 1 3.5e38 t\n1 Q0 b 2 3.4e38 t\n2 Q0 a 1 5 t\n2 Q0 b 2 -1e39 t\n")
    assert read_run(path) == {"1": [("a", 3.5e38), ("b", 3.4e38)], "2": [("a", 5.0), ("b", -1e39)]}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"gr2: {path}, line 1: the score '3.5e38' (and 1 more) is too large for the single precision"
    )


def test_scores_too_large_for_single_precision_are_equal_in_the_measures(recwarn):
    run = {"q": [("a", 1e300), ("b", 1e40), ("c", 1.0), ("d", -1e40), ("e", -1e41)]}
    ranks = {doc: evaluate_run(run, {"q": {doc: 1}}, ["RR"])["RR"] for doc in "abcde"}
    assert ranks == {"b": 1, "a": 1 / 2, "c": pytest.approx(1 / 3), "e": 1 / 4, "d": 1 / 5}
    assert not [warning for warning in recwarn if "overflow" in str(warning.message)]
