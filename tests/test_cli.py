"""The command line in this process: what a user's slips lead to. Nothing here trains."""

import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata

import pytest

import gr2_jax
from gr2_jax import cli
from gr2_jax.cli import main
from gr2_jax.commands.search import _first_line
from gr2_jax.evaluation.few_queries import rough_means
from gr2_jax.experiment.loading import load_experiment, to_record
from gr2_jax.lock import holding
from gr2_jax.training.mesh import devices_in_words

DOCUMENTS = ['{"doc_id": "d1", "title": "one", "text": "sort an array"}', '{"doc_id": "d2", "text": "a norm"}']
QUERIES = ["q1\tsorting", "q2\tnorms", "q3\tarrays"]
QRELS = ["q1 0 d1 2", "q2 0 d2 1", "q3 0 d1 1"]


@pytest.fixture
def gr2(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        return exit_.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def refused(gr2):
    """Calls what must be refused, and returns the sentence."""

    def call(*arguments):
        code, out, err = gr2(*arguments)
        assert code == 2
        assert out == ""
        assert err.startswith("gr2: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        return err.removeprefix("gr2: ").rstrip("\n")

    return call


@pytest.fixture
def config(tmp_path):
    """A config file over a small folder, with the lines of one file put in place of the good ones."""

    def write(documents=DOCUMENTS, queries=QUERIES, qrels=QRELS):
        folder = tmp_path / "collection"
        folder.mkdir()
        for name, lines in (("documents.jsonl", documents), ("queries.tsv", queries), ("qrels.txt", qrels)):
            (folder / name).write_text("".join(f"{line}\n" for line in lines))
        path = tmp_path / "small.py"
        path.write_text(
            "from gr2_jax.experiment import CorpusConfig, DocidConfig, Experiment, VocabularyConfig\n"
            "from gr2_jax.pipeline.rows import System\n"
            "from gr2_jax.pipeline.schemes import Titles\n"
            "experiment = Experiment(\n"
            f"    name='small', workdir={str(tmp_path / 'run')!r},\n"
            f"    corpus=CorpusConfig({str(folder)!r}, validation_queries=0, test_queries=1),\n"
            "    vocabulary=VocabularyConfig(size=60, extra_ids=12), docids=DocidConfig(schemes=(Titles(),)),\n"
            "    rows=(System('GR2S', 'title'), System('MLE', 'title')))\n"
        )
        return path

    return write


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], *([name, "--help"] for name in cli.COMMANDS)])
def test_help(gr2, arguments):
    code, out, err = gr2(*arguments)
    assert code == 0
    assert out.startswith("usage: gr2")
    assert err == ""
    if len(arguments) == 1:
        listed = [words[0] for line in out.splitlines() if line.startswith("    ") and (words := line.split())]
        assert set(cli.COMMANDS) <= set(listed)


def test_help_is_a_word_too(gr2):
    assert gr2("help") == gr2("--help")
    assert gr2("help", "metrics") == gr2("metrics", "--help")


@pytest.mark.parametrize("words", [["--help"], ["help"], ["--version"]])
def test_the_list_of_commands_and_the_versions_load_no_library_that_takes_seconds(words):
    """Nor NumPy or anything that a command imports for its own arguments."""
    program = (
        "import json, sys\nfrom gr2_jax.cli import main\n"
        f"try:\n    main({words})\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "json.dump(sorted(sys.modules), sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stderr)}
    assert not loaded & {"jax", "jaxlib", "jaxtyping", "flax", "tensorflow", "numpy"}


def test_version(gr2):
    code, out, err = gr2("--version")
    assert (code, err) == (0, "")
    python = ".".join(map(str, sys.version_info[:3]))
    assert out == f"gr2_jax {gr2_jax.__version__}, Python {python}, jax {metadata.version('jax')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["quickstrat"], "there is no command 'quickstrat': did you mean 'quickstart'?"),
        (["help", "quickstrat"], "there is no command 'quickstrat': did you mean 'quickstart'?"),
        (["zzz"], "there is no command 'zzz': valid here: "),
        (["run"], "the following arguments are required: config"),
        (["quickstart", "--profile", "tinny"], "--profile is 'tinny': did you mean 'tiny'?"),
        (["quickstart", "--sede", "3"], "--sede: Experiment has no field 'sede': did you mean 'seed'?"),
        (["quickstart", "--profil", "tiny"], "--profil: Experiment has no field 'profil'"),
        (["quickstart", "--retrieval.batch.querys", "3"], "did you mean 'queries'?"),
        (["quickstart", "--seed", "x"], "--seed is 'x', which is not a value of type int"),
        (["quickstart", "--seed"], "--seed needs a value"),
        (["quickstart", "--workdir"], "argument --workdir: expected one argument"),
        (["quickstart", "--seeds"], "argument --seeds: expected one argument"),
        (["quickstart", "--seeds", ""], "--seeds is '', in which a seed is empty: give whole numbers from 0"),
        (["quickstart", "--seeds", "0,,1"], "--seeds is '0,,1', in which a seed is empty: give whole numbers from 0"),
        (["quickstart", "--seeds", "0,1,0"], "--seeds has 0 twice: name each seed once"),
        (["quickstart", "--seeds", "0, 00"], "--seeds has 0 twice: name each seed once"),
        (["quickstart", "--seeds=-1,2"], "--seeds has '-1', which is no seed: give whole numbers from 0"),
        (["quickstart", "--seeds", "1.0"], "--seeds has '1.0', which is no seed: give whole numbers from 0"),
        (["quickstart", "--seeds", "0,two"], "--seeds has 'two', which is no seed: give whole numbers from 0"),
        (["quickstart", "--seeds", "9999999999"], "'9999999999', which is no seed: give whole numbers from 0 to 42949"),
        (["quickstart", "--seeds", "0,1", "--seed", "3"], "--seed and --seeds are both given"),
        (["quickstart", "tiny"], "'tiny' is no option: settings are written --section.field value"),
        (["search", "a query"], "the following arguments are required: --workdir"),
        (["search", "a query", "--workdir", "w", "--jsn"], "'--jsn' is no option of this command; see --help"),
        (["search", "a query", "--workdir", "w", "-k", "ten"], "argument -k: invalid int value: 'ten'"),
        (["metrics", "a", "b", "--measure", "P@5"], "'--measure' is no option of this command; see --help"),
    ],
)
def test_wrong_words(refused, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.parametrize("command", ["run", "prepare", "docids", "train", "evaluate"])
def test_a_config_that_is_not_there(refused, tmp_path, command):
    (tmp_path / "quickstart.py").touch()
    assert refused(command, tmp_path / "quickstrat.py").endswith("did you mean 'quickstart.py'?")


def test_a_config_whose_error_has_several_lines_is_still_one(refused, tmp_path):
    (tmp_path / "x.py").write_text("raise ValueError('first\\nsecond')")
    assert refused("prepare", tmp_path / "x.py").endswith("x.py does not load: ValueError: first second")


OVERLAY = "import dataclasses\ndef overlay(experiment):\n    return dataclasses.replace(experiment, {})\n"


def test_overlays_and_settings_on_one_line(gr2, tmp_path, config):
    (tmp_path / "seed.py").write_text(OVERLAY.format("seed=3"))
    (tmp_path / "name.py").write_text(OVERLAY.format("name=f'{experiment.name}-{experiment.seed}'"))
    words = [config(), tmp_path / "seed.py", tmp_path / "name.py", "--corpus.unjudged_queries", "drop"]
    code, _, err = gr2("prepare", *words, "--workdir", tmp_path / "other")
    assert code == 0, err
    experiment = json.loads((tmp_path / "other" / "config.json").read_text())["experiment"]
    assert (experiment["name"], experiment["seed"], experiment["workdir"]) == ("small-3", 3, str(tmp_path / "other"))
    assert experiment["corpus"]["unjudged_queries"] == "drop"


def test_overlays_out_of_place(refused, tmp_path, config):
    path, overlay = config(), tmp_path / "seed.py"
    overlay.write_text(OVERLAY.format("seed=3"))
    assert refused("run", overlay).endswith("is an overlay, which changes an experiment: give a config file before it")
    assert "seed.py is an overlay" in refused("train", overlay, path)
    assert "small.py is a config of its own" in refused("train", path, path)
    late = "come before the settings"
    assert refused("docids", path, "--seed", "4", overlay).endswith(late)
    assert refused("docids", path, "--workdir", tmp_path / "other", overlay).endswith(late)
    run = tmp_path / "run"
    run.mkdir()
    alone = f"{run} is a run's workdir: it is evaluated alone, as it was trained"
    assert refused("evaluate", run, overlay) == refused("evaluate", path, run) == alone
    assert (
        refused("evaluate", path, overlay, "--step", "3")
        == f"--step is for a run's workdir, and {path} is a config file"
    )


def test_a_workdir_that_is_a_file(refused, tmp_path, config):
    (tmp_path / "file").write_text("mine")
    path = config()
    for command in (["quickstart", "--profile", "tiny"], ["prepare", path], ["run", path, "--seed", "1"]):
        assert refused(*command, "--workdir", tmp_path / "file") == (
            f"the workdir {tmp_path / 'file'} cannot be written (File exists): give another"
        )
    assert (tmp_path / "file").read_text() == "mine"


def test_searching_where_there_is_no_run(refused, tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        message = refused("search", "a query", "--workdir", place)
        assert message.startswith(f"{place} holds no run (no config.json)")
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("row", [[], ["--row", "MLE"]])
def test_searching_a_run_that_is_not_finished(refused, tmp_path, config, row):
    record = {"experiment": to_record(load_experiment(config())), "trainings": {}}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(record))
    message = refused("search", "a query", "--workdir", tmp_path / "run", *row)
    assert message.startswith(f"{(row or ['', 'GR2S'])[1]} is not trained yet in {tmp_path / 'run'}")
    message = refused("search", "a query", "--workdir", tmp_path / "run", "--row", "GR2X")
    assert message.endswith("has no row 'GR2X': did you mean 'GR2S'?")


@pytest.fixture
def ranked(tmp_path):
    """nDCG@5 of the one judged query: (1 + 3 / log2 3) / (3 + 1 / log2 3)."""
    (tmp_path / "my.trec").write_text("q1 Q0 d2 1 2.0 t\nq1 Q0 d1 2 1.0 t\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 3\nq1 0 d2 1\n")
    return tmp_path / "my.trec", tmp_path / "qrels.txt"


def test_metrics(gr2, ranked):
    log = 1.584962500721156
    value = (1 + 3 / log) / (3 + 1 / log)
    code, out, err = gr2("metrics", *ranked, "--measures", "nDCG@5", "P@2", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"nDCG@5": pytest.approx(value), "P@2": 1.0}
    assert out.count("\n") == 1
    code, out, err = gr2("metrics", *ranked)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == ["run", "nDCG@5", "nDCG@20", "P@20", "ERR@20"]
    assert cells[2][:2] == ["my", f"{value:.4f}".lstrip("0")]


def test_metrics_of_query_ids_that_are_no_numbers(gr2, tmp_path):
    """ERR of a list with the one relevant document, of the best grade 2, at rank r is 3/4 of 1/r."""
    ids = {"q-1a": 1, "トピック": 2, "a-1": 3}
    (tmp_path / "qrels.txt").write_text("".join(f"{q} 0 good 2\n" for q in ids), encoding="utf-8")
    lists = {q: [*["bad1", "bad2", "bad3"][: rank - 1], "good"] for q, rank in ids.items()}
    lines = [f"{q} Q0 {doc} {r} {-r} t\n" for q, docs in lists.items() for r, doc in enumerate(docs, 1)]
    (tmp_path / "my.trec").write_text("".join(lines), encoding="utf-8")
    files = [tmp_path / "my.trec", tmp_path / "qrels.txt", "--output", tmp_path / "out"]
    code, out, _ = gr2("metrics", *files, "--measures", "ERR@20", "--json")
    assert code == 0
    assert json.loads(out) == {"ERR@20": pytest.approx(0.75 * (1 + 1 / 2 + 1 / 3) / 3)}
    told = [line.split("\t") for line in (tmp_path / "out" / "my.tsv").read_text(encoding="utf-8").splitlines()]
    assert {query: float(value) for _, query, value in told} == pytest.approx({q: 0.75 / r for q, r in ids.items()})


@pytest.fixture
def compared(tmp_path):
    """Three runs of six queries with one relevant document: found at rank 1, at rank 1 or 2, and never by the third,
    which has nothing for the last query."""
    queries = [f"q{i}" for i in range(6)]
    (tmp_path / "qrels.txt").write_text("".join(f"{q} 0 good 1\n" for q in queries))
    for name, lists in {
        "first": [["good", "bad"]] * 6,
        "second": [["good", "bad"], ["bad", "good"]] * 3,
        "third": [["bad"]] * 5,
    }.items():
        lines = [
            f"{q} Q0 {doc} {r} {-r} t\n"
            for q, docs in zip(queries, lists, strict=False)
            for r, doc in enumerate(docs, 1)
        ]
        (tmp_path / f"{name}.trec").write_text("".join(lines))
    return [tmp_path / f"{name}.trec" for name in ("first", "second", "third")] + [tmp_path / "qrels.txt"]


def test_metrics_of_several_runs(gr2, compared, tmp_path):
    code, out, err = gr2("metrics", *compared, "--test", "randomisation", "--output", tmp_path / "out", "--json")
    assert (code, err) == (0, f"gr2: {compared[2]} has nothing for 1 of 6 judged queries (q5): they count as 0\n")
    result = json.loads(out)
    means = result["measures"]
    assert list(means["first"]) == ["MRR@3", "MRR@20", "Hits@1", "Hits@10"]  # grades are 0 and 1
    assert [means[name]["MRR@3"] for name in ("first", "second", "third")] == [1.0, 0.75, 0.0]
    # three of six queries differ, all in one direction: 2 of 8 ways; six of six: 2 of 64; times 2 runs for the smaller
    assert result["p"]["second"]["MRR@3"] == pytest.approx(2 / 8)
    assert result["p"]["third"]["MRR@3"] == pytest.approx(2 * 2 / 64)
    assert result["p"]["second"]["Hits@10"] == 1.0
    rows = [line.split("\t") for line in (tmp_path / "out/second.tsv").read_text().splitlines()]
    assert [float(value) for name, _, value in rows if name == "MRR@20"] == [1.0, 0.5] * 3
    assert [query for name, query, _ in rows if name == "MRR@20"] == [f"q{i}" for i in range(6)]
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["measures"] == means
    assert summary["significance"]["p"] == result["p"]
    assert summary["significance"]["reference"] == "first"
    digest = hashlib.sha256(compared[1].read_bytes()).hexdigest()
    assert summary["provenance"]["runs"]["second"] == {"file": str(compared[1]), "sha256": digest}
    assert summary["provenance"]["queries"] == {"first": 6, "second": 6, "third": 6}


def test_runs_of_one_name_are_told_apart_by_their_folders(gr2, compared, tmp_path):
    paths = [tmp_path / "a/test.trec", tmp_path / "b/test.trec"]
    for path, source in zip(paths, compared, strict=False):
        path.parent.mkdir()
        path.write_bytes(source.read_bytes())
    arguments = ["metrics", *paths, compared[3], "--reference", paths[1], "--output", tmp_path / "out", "--json"]
    code, out, err = gr2(*arguments)
    assert (code, err) == (0, "")
    assert list(json.loads(out)["measures"]) == ["a/test", "b/test"]
    assert list(json.loads(out)["p"]) == ["a/test"]
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert written == {"a/test.tsv", "b/test.tsv", "summary.json"}


def test_metrics_warns_of_queries_that_have_no_place(gr2, compared, tmp_path):
    strange = tmp_path / "strange.trec"
    strange.write_text("q0 Q0 good 1 1 t\nx1 Q0 good 1 1 t\nx2 Q0 good 1 1 t\n")
    code, out, err = gr2("metrics", strange, compared[3], "--measures", "RR", "--topics", "answered", "--json")
    assert (code, json.loads(out)) == (0, {"RR": 1.0})
    assert err.splitlines() == [
        f"gr2: {strange} has nothing for 5 of 6 judged queries (q1, q2, q3): they are left out",
        f"gr2: {strange} answers 2 queries without judgements (x1, x2): they are left out",
    ]
    code, out, err = gr2("metrics", compared[0], strange, compared[3], "--topics", "answered", "--json")
    assert (code, json.loads(out)["p"]) == (0, {})
    assert err.endswith("gr2: no test of significance: it needs two queries that the runs share\n")


def test_the_table_of_several_runs(gr2, compared):
    code, out, _ = gr2("metrics", *compared, "--measures", "MRR@3", "--reference", "second")
    assert code == 0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines()]
    assert cells[2:5] == [["first", "1.0000*"], ["second", ".7500"], ["third", ".0000"]]
    assert cells[6] == ["against second", "p MRR@3"]
    assert [row[0] for row in cells[8:10]] == ["first", "third"]
    assert out.splitlines()[10].startswith("(paired t-test, two-sided, Holm-corrected")
    assert out.splitlines()[11:] == ["", rough_means(6)]


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_metrics_of_files_that_will_not_do(refused, ranked, tmp_path, json_):
    run, qrels = ranked
    (tmp_path / "short").write_text("q1 Q0 d1 1 2.0 t\n\nq1 Q0 d2\n")
    (tmp_path / "strange").write_text("other 0 d1 1\n")
    (tmp_path / "empty").touch()

    def message(*arguments):
        return refused("metrics", *arguments, *json_)

    there = "it holds: empty, my.trec, qrels.txt, short, strange"
    assert message(tmp_path / "absent", qrels) == f"there is no absent in {tmp_path}; {there}"
    assert tmp_path.name in message(run, tmp_path)  # a folder
    assert message(tmp_path / "short", qrels).startswith(f"{tmp_path / 'short'}, line 3: expected 6 columns")
    assert f"{run} answers none of the 1 queries with relevant judgements" in message(run, tmp_path / "strange")
    assert "hold no relevant document" in message(run, tmp_path / "empty")
    assert message(tmp_path / "empty", qrels) == f"{tmp_path / 'empty'} holds no results: it is empty"
    assert message(run, run, qrels) == f"{run} is given twice"
    assert "--test is 'tt': did you mean 't'?" in message(run, qrels, "--test", "tt")
    assert "--reference is 'your': valid here: my" in message(run, qrels, "--reference", "your")
    assert "did you mean 'nDCG@5'?" in message(run, qrels, "--measures", "ndcg@5")
    assert "expected a form such as" in message(run, qrels, "--measures", "nDCG@five")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"documents": [], "queries": [], "qrels": []}, "the collection collection has no documents"),
        ({"documents": []}, "collection"),
        ({"queries": [], "qrels": []}, "the collection collection has no queries"),
        ({"qrels": QRELS[1:]}, "query 'q1' of collection has no positive judgement; `--corpus.unjudged_queries drop`"),
        (
            {"documents": [DOCUMENTS[0], '{"doc_id": "d2", "text": " "}']},
            "document 'd2' of collection has no text; `--corpus.empty_documents drop`",
        ),
        (
            {"documents": [DOCUMENTS[0], '{"doc_id": "d2"}']},
            "documents.jsonl, line 2: a document needs the field 'text'",
        ),
        ({"documents": [*DOCUMENTS, "{"]}, "documents.jsonl, line 3 is not JSON"),
        ({"queries": ["q1 no tab"]}, "queries.tsv, line 1: expected `id<TAB>text`"),
        ({"qrels": [*QRELS, "q1 d1"]}, "qrels.txt, line 4: expected 4 fields"),
        ({"queries": QUERIES[:1], "qrels": QRELS[:1]}, "leave none of 1 for training"),
    ],
)
def test_prepare_refuses_a_collection_that_will_not_do(gr2, tmp_path, config, changed, message):
    code, out, err = gr2("prepare", config(**changed))
    assert (code, out) == (2, "")
    *story, last = err.splitlines()
    assert last.startswith("gr2: ")
    assert message in last
    assert story == [devices_in_words(), f"reading {tmp_path / 'collection'}"]
    assert not list((tmp_path / "run").iterdir())


def test_prepare_refuses_a_collection_that_is_not_there(gr2, tmp_path, config):
    code, _, err = gr2("prepare", config(), "--corpus.source", tmp_path / "colection")
    assert code == 2
    assert "there is no folder or file" in err.splitlines()[-1]
    assert "did you mean 'collection'?" in err.splitlines()[-1]
    assert not (tmp_path / "run" / "corpus").exists()


def test_prepare_with_the_advice_taken_makes_three_folders_once(gr2, tmp_path, config):
    path = config(qrels=QRELS[1:])
    command = ["prepare", path, "--corpus.unjudged_queries", "drop", "--workdir", tmp_path / "other"]
    code, _, err = gr2(*command)
    assert code == 0, err
    parts = {name: (tmp_path / "other" / name / "stage.json").stat() for name in ("corpus", "vocabulary", "examples")}
    assert sorted(p.name for p in (tmp_path / "other").iterdir()) == ["config.json", *sorted(parts)]
    code, _, err = gr2(*command)
    assert (code, err) == (0, f"{devices_in_words()}\n")
    for name, before in parts.items():
        after = (tmp_path / "other" / name / "stage.json").stat()
        assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert not (tmp_path / "run").exists()


def test_stopping_is_no_traceback(gr2, monkeypatch):
    def stop(options, settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("gr2_jax.commands.metrics.run", stop)
    assert gr2("metrics", "a", "b") == (130, "", "gr2: stopped; the same command resumes from here\n")


SIGNALLED = """
import signal, gr2_jax.commands.metrics
from gr2_jax import cli

def run(options, settings):
    try:
        signal.raise_signal(signal.SIGTERM)
    except Exception:
        pass  # as libraries do that try whether something works
    return 0

gr2_jax.commands.metrics.run = run
cli.main()
"""


def test_a_signal_is_no_fault_that_a_library_may_pass_over():
    done = subprocess.run([sys.executable, "-c", SIGNALLED, "metrics", "a", "b"], capture_output=True, check=False)
    assert done.returncode == 75


INTERRUPTED = """
import atexit, colorsys, gr2_jax.commands.metrics
from gr2_jax import cli
from gr2_jax.errors import Preempted

class Library:
    def __del__(self):
        print("taken apart")

def stop(options, settings):
    raise {raised}

colorsys.library = Library()
atexit.register(print, "in order")
gr2_jax.commands.metrics.run = stop
cli.main()
"""


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("Preempted('stopped')", 75, "in order\n"),
        ("KeyboardInterrupt", 130, "in order\n"),
        ("cli.UserError('no such thing')", 2, "in order\ntaken apart\n"),
    ],
)
def test_after_a_signal_the_interpreter_is_not_taken_apart(raised, code, said):
    """Threads of libraries, which a signal does not stop, would read what is freed."""
    program = [sys.executable, "-c", INTERRUPTED.format(raised=raised), "metrics", "a", "b"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, said), done.stderr


@pytest.mark.parametrize(
    ("text", "line"),
    [("\n\n  first line  \nsecond", "first line"), ("", ""), ("ab cd", "ab cd"), ("abcde fghi", "abcde…")],
)
def test_first_line(text, line):
    assert _first_line(text, width=6 if text == "abcde fghi" else 100) == line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "a/file"), "a/file: Permission denied"),
        (RuntimeError("INTERNAL: No space left on device [os_error_code='28']"), "No space left on device"),
    ],
)
def test_a_disk_that_no_border_named_is_still_one_sentence(refused, monkeypatch, error, said):
    def fail(*_):
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert said in refused("run")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch):
    def fail(*_):
        raise KeyError("a fault")

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(KeyError, match="a fault"):
        main([])


def test_a_second_run_in_a_workdir_is_refused_and_told_of_the_first(refused, tmp_path, config):
    with holding(tmp_path / "w"):
        said = refused("prepare", config(), "--workdir", tmp_path / "w")
        assert [path.name for path in (tmp_path / "w").iterdir()] == [".lock"]
    assert f"w is in use: process {os.getpid()} on this host" in said
