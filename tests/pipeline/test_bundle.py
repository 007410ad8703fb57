"""Bundles: a row of a run in a folder to hand on. The run's lists; what is refused; nothing heavy is imported."""

import dataclasses
import inspect
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax import open_retriever
from gr2_jax.checksums import crc32_of, sealed
from gr2_jax.cli import main
from gr2_jax.corpus.collection import Document
from gr2_jax.docids import DocidTrie
from gr2_jax.errors import UserError
from gr2_jax.experiment import EvaluationConfig, RetrievalObjective
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline.bundle.writing import write_bundle
from gr2_jax.pipeline.open_run import open_row
from gr2_jax.pipeline.rows import BM25Row, System
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.search.searcher import SearchOptions

EXPERIMENT = small_experiment(
    rows=(BM25Row(), System("GR2S", "title"), System("MLE", "title", RetrievalObjective(gamma=0.0))),
    evaluation=EvaluationConfig(beams=5, nearest=8, weights=(0.5, 4.0)),
)
QUERIES = ["how to sort", "a sparse matrix", "root"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundled")
    documents = [Document(f"d{i}", text.title(), f"{text}\n\nagain", "u" * (i % 2)) for i, text in enumerate(TEXTS)]
    write_folder(folder / "corpus", documents, TEXTS)
    run_experiment(over(EXPERIMENT, folder / "corpus"), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def made(finished):
    """The bundle of the joint row."""
    write_bundle(open_row(finished, "GR2S"), finished.parent / "made")
    return finished.parent / "made"


@pytest.fixture
def bundle(made, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def command(*arguments):
    """Exit code of `gr2 ...`."""
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return stop.value.code


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(bundle, change):
    """Changes bundle.json as its writer could, with a checksum that fits."""
    record = read_json(bundle / "bundle.json")
    change(record)
    write_json(bundle / "bundle.json", sealed(record))


def list_again(bundle, *names):
    """Enters other bytes of files as if they had always been so: what is left is what the bytes say."""

    def change(record):
        for name in names:
            size = (bundle / name).stat().st_size
            record["files"][name] = {"bytes": size, "crc32": crc32_of(bundle / name)}

    edit(bundle, change)


def refused(bundle, *parts):
    """The one sentence, which says all of the parts."""
    with pytest.raises(UserError) as error:
        open_retriever(str(bundle))
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


# the same lists


@pytest.mark.parametrize("row", ["GR2S", "MLE"])
def test_a_bundle_finds_what_its_run_finds(finished, tmp_path, row):
    assert command("export", finished, tmp_path / "out", "--row", row) == 0
    run, bundle = open_retriever(finished, row), open_retriever(tmp_path / "out")
    assert bundle.search(QUERIES, k=7) == run.search(QUERIES, k=7)
    assert bundle.search(QUERIES[0]) == run.search(QUERIES[0])
    exact = open_retriever(tmp_path / "out", exact="exhaustive")
    assert exact.search(QUERIES, 4) == run.with_options(exact="exhaustive").search(QUERIES, 4)
    assert bundle.searcher.options == run.searcher.options
    assert [bundle.document(f"d{i}") for i in range(60)] == [run.document(f"d{i}") for i in range(60)]
    assert repr(bundle) == f"<{row} over 60 documents, {tmp_path / 'out'}>"
    assert (tmp_path / "out/vectors").is_dir() == (row == "GR2S")


def test_the_chosen_weight_goes_with_it(finished, made):
    assert open_retriever(made).searcher.options.weight == read_json(finished / "weights/GR2S/weight.json")["weight"]


def test_int8_vectors_go_with_their_scales(finished, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    record = read_json(run / "config.json")
    record["experiment"]["evaluation"]["vectors"] = "int8"
    write_json(run / "config.json", record)
    write_bundle(open_row(run, "GR2S"), tmp_path / "out")
    assert (tmp_path / "out/vectors/scales.npy").is_file()
    assert open_retriever(tmp_path / "out").search(QUERIES) == open_retriever(run, "GR2S").search(QUERIES)


def test_the_command_line_opens_a_bundle_like_a_run(finished, made, capsys):
    def printed(place, *options):
        assert command("search", "how to sort", "--workdir", place, *options, "--json") == 0
        return capsys.readouterr().out

    assert printed(made) == printed(finished, "--row", "GR2S")
    assert command("search", "x", "--workdir", made, "--row", "MLE") == 2
    assert "no row 'MLE': a bundle has one, here GR2S" in capsys.readouterr().err
    assert command("search", "x", "--workdir", made, "--beams", 0) == 2
    assert "--beams is 0" in capsys.readouterr().err
    assert command("evaluate", made) == 2
    assert "is a bundle" in capsys.readouterr().err


def test_without_documents_there_are_ids_alone(finished, tmp_path, capsys):
    assert command("export", finished, tmp_path / "out", "--row", "GR2S", "--no-documents") == 0
    assert not (tmp_path / "out/documents.jsonl").exists()
    assert not any(
        b"Sort Array" in bytes_ for name, bytes_ in contents(tmp_path / "out").items() if name.suffix != ".model"
    )
    bundle = open_retriever(tmp_path / "out")
    (hit, *_), (known, *_) = bundle.search("root"), open_retriever(finished, "GR2S").search("root")
    assert (hit.doc_id, hit.score, hit.title, hit.text) == (known.doc_id, known.score, "", "")
    assert bundle.document("d3") == Document("d3", "", "")
    with pytest.raises(UserError, match="there is no document 'x'"):
        bundle.document("x")
    capsys.readouterr()
    assert command("search", "root", "--workdir", tmp_path / "out", "-k", 2) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


# the folder


def test_the_same_run_gives_the_same_bytes_and_replaces_an_older_bundle(finished, made, tmp_path):
    write_bundle(open_row(finished, "GR2S"), tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == contents(made)
    write_bundle(open_row(finished, "MLE"), tmp_path / "elsewhere")
    assert open_retriever(tmp_path / "elsewhere").row == "MLE"
    assert not (tmp_path / "elsewhere/vectors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in tmp_path.rglob("*"))


def test_the_card_has_the_table_and_the_lines_that_open_it(finished, made):
    text = (made / "README.md").read_text()
    assert (finished / "report/test.md").read_text().strip() in text
    assert 'gr2 search "a query" --workdir .' in text
    assert 'gr2_jax.open_retriever(".")' in text
    assert str(finished.parent) not in "".join(path.read_text() for path in (made / "README.md", made / "bundle.json"))


def test_what_is_not_a_bundle_is_never_replaced(finished, bundle, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/bundle.json").write_text('{"format": "another"}')
    (bundle / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    for place, told in ((tmp_path, "not empty"), (tmp_path / "mine", "is not the bundle.json"), (bundle, "notes.txt")):
        assert command("export", finished, place, "--row", "GR2S") == 2
        assert told in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_folders_beside_the_bundle_are_nobodys_but_their_owners(finished, tmp_path):
    for beside in ("out.old", "out.partial"):
        (tmp_path / beside).mkdir()
        (tmp_path / beside / "mine.txt").write_text("mine")
    for _ in range(2):
        assert command("export", finished, tmp_path / "out", "--row", "MLE") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.old", "out.partial"]
    assert (tmp_path / "out.old/mine.txt").read_text() == (tmp_path / "out.partial/mine.txt").read_text() == "mine"


def test_a_failed_export_leaves_nothing(finished, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gr2_jax.pipeline.bundle.writing.write_record", full)
    with pytest.raises(UserError, match=r"cannot write .*out: No space left"):
        write_bundle(open_row(finished, "GR2S"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_only_rows_that_write_docids_are_exported(finished, tmp_path, capsys):
    assert command("export", finished, tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        "gr2: row BM25 cannot be exported, because it has no model that writes docids: give --row GR2S\n"
    )
    assert command("export", finished, tmp_path / "out", "--row", "GR2") == 2
    assert "did you mean 'GR2S'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# what a stranger may send


NAMES = ["model.safetensors", "spiece.model", "documents.jsonl", "trie/token.npy", "vectors/vectors.npy", "bundle.json"]


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_byte(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    place = content.index(b'"row"') + 1 if name == "bundle.json" else len(content) // 2
    content[place] ^= 1
    (bundle / name).write_bytes(content)
    refused(bundle, str(bundle / name), "damaged")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_or_missing(bundle, name, capsys):
    path = bundle / name
    path.write_bytes(path.read_bytes()[:-20])
    refused(bundle, str(path))
    path.unlink()
    if name == "bundle.json":
        refused(bundle, "holds no run")
    else:
        refused(bundle, f"{name} is missing")
    assert command("search", "root", "--workdir", bundle) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def put(name, value):
    return lambda record: record.update({name: value})


def put_in(section, name, value):
    return lambda record: record[section].update({name: value})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("version", 2), "has version 2, and this gr2_jax reads version 1"),
        (put("format", "x"), "is not the bundle.json of a bundle"),
        (put("depth", 3), "the unknown setting 'depth'"),
        (put_in("search", "beam", 3), "unknown setting 'beam': did you mean 'beams'?"),
        (put_in("search", "beams", "many"), "SearchOptions.beams is 'many'"),
        (put_in("search", "exact", "yes"), "SearchOptions.exact is 'yes'"),
        (put_in("search", "batch", 10**9), "SearchOptions.batch is 1000000000"),
        (put_in("compares", "temperature", 0), "VectorSettings.temperature is 0"),
        (put_in("compares", "docid_reader", "query"), "VectorSettings.docid_reader is 'query'"),
        (lambda record: record["search"].pop("beams"), "lacks the setting 'beams'"),
        (put("search", None), "SearchOptions is None"),
        (put("query_length", 10**9), "Contents.query_length is 1000000000"),
        (put("query_length", "x"), "Contents.query_length is 'x'"),
        (put("query_end", 10**6), "query_end 1000000"),
        (put("extra_ids", 10**9), "Contents.extra_ids is 1000000000"),
        (put("extra_ids", 1_000_000), "Contents.extra_ids is 1000000"),
        (put("extra_ids", 19), "the docid trie"),
        (put_in("model", "d_model", 0), "T5Config.d_model is 0"),
        (put("texts", "no"), "Contents.texts is 'no'"),
        (put("row", "a\nb"), "Contents.row is 'a\\nb'"),
        (put("experiment", 3), "experiment is 3"),
        (put_in("model", "d_model", 64), "has shape"),
        (put_in("model", "d_model", 2**31 - 1), "has shape"),
        (put_in("model", "num_decoder_layers", 1000), "is missing"),
        (put_in("model", "d_model", 2**40), "d_model of a T5 cannot be"),
        (put_in("model", "width", 1), "does not describe a T5"),
        (put("model", 7), "does not describe a T5"),
        (put("files", None), "lists no files"),
        (put_in("files", "../other", {"bytes": 1, "crc32": 1}), "lists '../other', which is no file of such a bundle"),
        (put_in("files", "/etc/passwd", {"bytes": 1, "crc32": 1}), "lists '/etc/passwd'"),
        (put_in("files", "spiece.model", {"bytes": 1}), "lists spiece.model without"),
        (lambda record: record["files"].pop("trie/row.npy"), "does not list trie/row.npy"),
        (put("documents", 61), "it has 60 docids for 61 documents"),
        (put("compares", None), "lists 'vectors/vectors.json'"),
        (put_in("search", "vectors", "bfloat16"), "and bundle.json says bfloat16"),
    ],
)
def test_a_record_that_says_something_else(bundle, change, told):
    edit(bundle, change)
    refused(bundle, str(bundle), told)


def test_a_record_that_is_no_record(bundle):
    for text in ("[]", "{", '{"format": "gr2_jax bundle", "version": 1}', "\x00", "[" * 100_000):
        (bundle / "bundle.json").write_text(text)
        refused(bundle, str(bundle / "bundle.json"))


def test_weights_whose_header_claims_more_than_the_file_has(bundle):
    path = bundle / "model.safetensors"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["t5/embedding/embedding"] = {"dtype": "F32", "shape": [2**40, 128], "data_offsets": [0, 2**49]}
    text = json.dumps(header).encode()
    for broken in (struct.pack("<Q", len(text)) + text + content[8 + length :], struct.pack("<Q", 2**60) + content[8:]):
        path.write_bytes(broken)
        list_again(bundle, "model.safetensors")
        refused(bundle, str(path), "damaged")


def test_weights_of_other_shapes_names_or_types(bundle):
    from safetensors.numpy import load_file, save_file

    path, values = bundle / "model.safetensors", load_file(bundle / "model.safetensors")
    bias = "head/projection/bias"
    for changed, told in (
        (values | {bias: np.zeros(3, np.float32)}, f"'{bias}' has shape (3,)"),
        (values | {"more": np.zeros(3, np.float32)}, "'more'"),
        ({name: value for name, value in values.items() if name != bias}, f"'{bias}' is missing"),
        (values | {bias: values[bias].astype(np.int64)}, "is of type I64"),
    ):
        save_file(changed, path)
        list_again(bundle, "model.safetensors")
        refused(bundle, str(path), told)


def test_arrays_whose_header_claims_more_than_the_file_has(bundle):
    path = bundle / "vectors/vectors.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 128)})
    list_again(bundle, "vectors/vectors.npy")
    refused(bundle, str(path), "promises")


def test_a_pickle_is_not_read(bundle):
    np.save(bundle / "vectors/vectors.npy", np.array([{}], object), allow_pickle=True)
    list_again(bundle, "vectors/vectors.npy")
    refused(bundle, "vectors.npy", "not numbers")


def test_a_trie_with_tokens_outside_of_the_vocabulary_or_other_docids(bundle):
    docids = DocidTrie.load(bundle / "trie")
    sequences = docids.sequences()
    for changed, told in (
        ([[*sequences[0][:-1], 30_000], *sequences[1:]], "the token 30000, which has no meaning"),
        ([*sequences, [5, 5, 5, 5, 5, 5]], "61 docids for 60 documents"),
        (sequences[:-1], "59 docids for 60 documents"),
        ([[5] * 2000, *sequences[1:]], "only after 1024"),
    ):
        DocidTrie.from_sequences(changed, vocabulary=docids.vocabulary).save(bundle / "trie")
        list_again(bundle, *(f"trie/{path.name}" for path in (bundle / "trie").iterdir()))
        refused(bundle, str(bundle / "trie"), told)


@pytest.mark.parametrize("change", [lambda lines: lines[:-1], lambda lines: [*lines[:-1], lines[0]]])
def test_documents_fewer_than_docids_or_twice(bundle, change):
    path = bundle / "documents.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(change(lines)))
    list_again(bundle, "documents.jsonl")
    refused(bundle, str(path), "it has 59 documents")


def test_documents_that_are_not_documents(bundle):
    path = bundle / "documents.jsonl"
    path.write_text("[1]\n")
    list_again(bundle, "documents.jsonl")
    refused(bundle, str(path))


def test_a_vocabulary_that_is_another(bundle):
    (bundle / "spiece.model").write_bytes(b"junk")
    list_again(bundle, "spiece.model")
    refused(bundle, str(bundle / "spiece.model"))


# what it needs

LIGHT = """
import importlib.abc, sys
HEAVY = {"tensorflow", "seqio", "transformers", "ir_datasets", "sklearn", "scipy", "tensorflow_datasets", "orbax",
         "huggingface_hub", "bm25s", "matplotlib", "ir_measures"}

def asks():
    # the package that imports
    frame = sys._getframe(2)
    while frame.f_globals["__name__"].startswith("importlib"):
        frame = frame.f_back
    return frame.f_globals["__name__"].partition(".")[0]

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        # jax, which depends on scipy, finds LAPACK there where it calls an exported program
        if name.partition(".")[0] in HEAVY and not (name.startswith("scipy") and asks() in ("jax", "jaxlib", "scipy")):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
import gr2_jax
print([[hit.doc_id, hit.score] for hit in gr2_jax.open_retriever(sys.argv[1]).search("root", k=5)])
assert not (HEAVY - {"scipy"}) & {name.partition(".")[0] for name in sys.modules}
"""


def test_a_bundle_needs_the_core_alone(made):
    done = subprocess.run([sys.executable, "-c", LIGHT, str(made)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.replace("'", '"')) == [
        [hit.doc_id, hit.score] for hit in open_retriever(made).search("root", k=5)
    ]


def test_search_options_are_written_but_for_where_a_search_keeps_its_arrays(made):
    fields = {field.name for field in dataclasses.fields(SearchOptions)}
    assert read_json(made / "bundle.json")["search"].keys() == fields - {"table", "trie", "parameters"}
    assert open_retriever(made).searcher.options.table == "replicated"


def test_a_bundle_of_an_earlier_version_names_the_table_s_place(bundle):
    edit(bundle, put_in("search", "table", "replicated"))
    assert open_retriever(bundle).search("root", k=1)


def test_a_bundle_of_before_smoothing_searches_as_it_did(bundle):
    expected = open_retriever(bundle).search("root", k=5)
    edit(bundle, lambda record: record["search"].pop("smoothing"))
    opened = open_retriever(bundle)
    assert opened.searcher.options.smoothing == 0
    assert opened.search("root", k=5) == expected


# the hub


class FakeHub:
    """A folder in place of the Hugging Face hub, with the calls that we make of its client."""

    def __init__(self, root):
        self.root, self.asked, self.private = root, [], {}

    def snapshot_download(self, name, *, allow_patterns, revision="main"):
        from fnmatch import fnmatch

        self.asked.append((name, revision, tuple(allow_patterns)))
        if not (self.root / name).is_dir():
            raise RuntimeError(f"404 Client Error: {name} is not there\nand more")
        folder = self.root / "cache" / name / "snapshots" / "0123"
        for path in (self.root / name).rglob("*"):
            place = path.relative_to(self.root / name)
            if path.is_file() and any(fnmatch(str(place), pattern) for pattern in allow_patterns):
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / place)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def repo_exists(self, name):
        return (self.root / name).is_dir()

    def list_repo_files(self, name):
        folder = self.root / name
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def create_repo(self, name, *, private):
        if name.startswith("forbidden/"):
            raise RuntimeError("403 Forbidden: you may not")
        self.private[name] = private

    def upload_folder(self, *, repo_id, folder_path, allow_patterns, delete_patterns, commit_message):
        shutil.rmtree(self.root / repo_id, ignore_errors=True)
        shutil.copytree(folder_path, self.root / repo_id)


def takes(call, *arguments, **named):
    """The real client's function has these arguments, too."""
    inspect.signature(call).bind(*arguments, **named)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    library, fake = pytest.importorskip("huggingface_hub"), FakeHub(tmp_path / "hub")
    takes(library.snapshot_download, "a/b", revision="0", allow_patterns=[])
    takes(library.HfApi.create_repo, None, "a/b", private=True)
    takes(library.HfApi.repo_exists, None, "a/b")
    takes(library.HfApi.list_repo_files, None, "a/b")
    paths = {"repo_id": "a/b", "folder_path": "x", "commit_message": "x"}
    takes(library.HfApi.upload_folder, None, **paths, allow_patterns=[], delete_patterns=[])
    monkeypatch.setattr(library, "HfApi", lambda: fake)
    monkeypatch.setattr(library, "snapshot_download", fake.snapshot_download)
    monkeypatch.chdir(tmp_path)
    return fake


def test_to_the_hub_and_back(finished, hub, made, tmp_path, capsys):
    assert command("export", finished, tmp_path / "out", "--row", "GR2S", "--push", "owner/name") == 0
    out = capsys.readouterr().out
    assert "https://huggingface.co/owner/name" in out
    assert 'gr2 search "a query" --workdir owner/name' in out
    assert hub.private == {"owner/name": True}
    (hub.root / "owner/name/pytorch_model.bin").write_bytes(b"a pickle")
    (hub.root / "owner/name/README.md").write_text("edited on the hub")
    assert open_retriever("owner/name").search(QUERIES) == open_retriever(made).search(QUERIES)
    assert not list((hub.root / "cache").rglob("*.bin"))
    assert [revision for _, revision, _ in hub.asked] == ["main", "0123"]
    assert command("search", "root", "--workdir", "owner/name") == 0


def test_a_folder_here_comes_before_the_hub(hub, made):
    shutil.copytree(made, "owner/name")
    assert str(open_retriever("owner/name").place) == "owner/name"
    assert not hub.asked


def test_a_mistyped_folder_here_does_not_ask_the_hub(hub, tmp_path):
    refused("runs/quickstart", "quickstart holds no run")
    (tmp_path / "mine").mkdir()
    refused("mine/quikstart", "quikstart holds no run")
    assert not hub.asked


def test_what_the_hub_lacks_or_refuses(finished, hub, tmp_path, capsys):
    refused(
        "owner/absent", "there is no run and no bundle owner/absent here", "hub did not provide it: 404 Client Error"
    )
    (hub.root / "owner/t5").mkdir(parents=True)
    refused("owner/t5", "'owner/t5' on the Hugging Face hub is no bundle")
    for name in ("./a/b", "/absent/run", "a b/c", "absent"):
        refused(name, "holds no run")
    assert command("export", finished, tmp_path / "out", "--row", "MLE", "--push", "name") == 2
    assert "'name' is no name on the Hugging Face hub" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (hub.root / "owner/t5/model.safetensors").write_bytes(b"weights of another")
    assert command("export", finished, tmp_path / "out", "--row", "MLE", "--push", "owner/t5") == 2
    assert "owner/t5 on the Hugging Face hub holds model.safetensors and no bundle" in capsys.readouterr().err
    assert (hub.root / "owner/t5/model.safetensors").read_bytes() == b"weights of another"
    assert command("export", finished, tmp_path / "out", "--row", "MLE", "--push", "forbidden/name") == 2
    assert "out is written, but the Hugging Face hub refuses forbidden/name: 403" in capsys.readouterr().err


def test_without_the_hubs_library(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path)
    refused("owner/name", "huggingface_hub is needed: pip install -e '.[huggingface]' in the clone")
    assert command("export", finished, "out", "--row", "MLE", "--push", "owner/name") == 2
    assert "huggingface_hub is needed" in capsys.readouterr().err
