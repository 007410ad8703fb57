import gzip
from collections import Counter

import pytest

from gr2_jax.corpus import read_qrels, read_run
from gr2_jax.corpus.qrels import read_beir_qrels
from gr2_jax.errors import UserError
from gr2_jax.evaluation import evaluate_run


def test_grades_of_any_sign_blanks_tabs_and_line_ends(tmp_path):
    (tmp_path / "qrels").write_bytes(b"1  0  a   -2\r\n1\tQ0\tb\t16\r\n\r\n2 0 a 0\n2 0 a 0")
    assert read_qrels(tmp_path / "qrels") == {"1": {"a": -2, "b": 16}, "2": {"a": 0}}


def test_whole_grades_may_be_written_as_floats(tmp_path):
    (tmp_path / "qrels").write_text("1 0 a 3.0\n1 0 b -2.\n1 0 c 1e0\n1 0 d +4\n1 0 a 3\n1 0 e -0.0\n")
    assert repr(read_qrels(tmp_path / "qrels")) == "{'1': {'a': 3, 'b': -2, 'c': 1, 'd': 4, 'e': 0}}"
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1.0\n")
    assert read_beir_qrels(tmp_path / "test.tsv") == {"q1": {"d1": 1}}


@pytest.mark.parametrize("grade", ["2.5", "1_0", "1_0.0", "\u0661", "nan", "inf", "1e999", "0x1", "1,0", "9" * 5000])
def test_other_grades_are_refused(tmp_path, grade):
    (tmp_path / "qrels").write_text(f"1 0 b 1\n1 0 a {grade}\n")
    with pytest.raises(UserError, match=r"qrels, line 2: the grade (must be a whole number, found '|is )") as error:
        read_qrels(tmp_path / "qrels")
    assert len(str(error.value)) < 300


def test_the_prels_of_2009_are_refused(tmp_path):
    (tmp_path / "prels").write_text("1 clueweb09-en0003-55-31884 0 2 0.5\n")
    with pytest.raises(UserError, match=r"prels, line 1: 5 fields are TREC's prels"):
        read_qrels(tmp_path / "prels")


def test_several_files_must_agree(tmp_path):
    (tmp_path / "a").write_text("1 0 x 2\n")
    (tmp_path / "b").write_text("2 0 x 1\n1 0 x 2\n")
    (tmp_path / "c").write_text("1 0 y 1\n1 0 x 1\n")
    assert read_qrels(tmp_path / "a", tmp_path / "b") == {"1": {"x": 2}, "2": {"x": 1}}
    with pytest.raises(UserError, match=r"c, line 2: query '1' judges 'x' as 1, but as 2 above"):
        read_qrels(tmp_path / "a", tmp_path / "c")


def test_a_truncated_file_is_named(tmp_path):
    packed = gzip.compress("".join(f"{line} 0 d{line * 7919 % 10007} 1\n" for line in range(5000)).encode())
    (tmp_path / "qrels.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UserError, match=r"qrels.gz cannot be unpacked after line \d+"):
        read_qrels(tmp_path / "qrels.gz")
    with pytest.raises(UserError, match="there is no none in"):
        read_qrels(tmp_path / "none")


def test_beir_tables(tmp_path):
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n")
    assert read_beir_qrels(tmp_path / "test.tsv") == {"q1": {"d1": 1, "d2": 0}}
    for row, words in (
        ("q1 d1 1", "expected 3 fields"),
        ("q1\td1\t1.5", "whole number"),
        ("q 1\td1\t1", "white space"),
    ):
        (tmp_path / "bad.tsv").write_text(f"query-id\tcorpus-id\tscore\n{row}\n")
        with pytest.raises(UserError, match=f"bad.tsv, line 2: .*{words}"):
            read_beir_qrels(tmp_path / "bad.tsv")


# Judged topics, and judgements by grade as `awk` counts them.
@pytest.mark.parametrize(
    ("names", "queries", "grades"),
    [
        (["terabyte04.701-750", "terabyte05.751-800", "terabyte06.801-850"], 149, {0: 108435, 1: 22566, 2: 4351}),
        (["robust05"], 50, {0: 31237, 1: 3771, 2: 2790}),
        (["web.101-150"], 50, {-2: 1019, 0: 15205, 1: 2038, 2: 711, 3: 408}),
        (["web.151-200"], 50, {-2: 858, 0: 11674, 1: 2208, 2: 405, 3: 52, 4: 858}),
        (["dl19-passage"], 43, {0: 5158, 1: 1601, 2: 1804, 3: 697}),
        (["dl20-passage"], 54, {0: 7780, 1: 1940, 2: 1020, 3: 646}),
    ],
)
def test_real_judgements_have_the_expected_counts(shared_data, names, queries, grades):
    qrels = read_qrels(*(shared_data / "trec" / "qrels" / f"qrels.{name}.txt.gz" for name in names))
    assert len(qrels) == queries
    assert Counter(grade for judged in qrels.values() for grade in judged.values()) == grades


@pytest.mark.parametrize(("year", "published"), [("19", 0.5058), ("20", 0.4796)])
def test_judgements_read_here_give_the_published_scores(shared_data, year, published):
    run = read_run(shared_data / "trec" / "runs" / f"BM25.dl{year}.top100.txt.gz")
    qrels = read_qrels(shared_data / "trec" / "qrels" / f"qrels.dl{year}-passage.txt.gz")
    assert round(evaluate_run(run, qrels, ["nDCG@10"])["nDCG@10"], 4) == published
