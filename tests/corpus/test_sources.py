import subprocess
import sys
from pathlib import Path

import pytest

from gr2_jax.corpus import (
    Document,
    load_collection,
    read_collection,
    source_fingerprint,
    sources,
    write_collection,
)
from gr2_jax.errors import UserError

CRANFIELD = Path(__file__).parents[3] / "shared" / "data" / "cranfield"


def test_a_folder_and_the_options_of_validate(tmp_path):
    (tmp_path / "documents.jsonl").write_text('{"doc_id": "d1", "text": "t"}\n{"doc_id": "d2", "text": ""}\n')
    (tmp_path / "queries.tsv").write_text("q1\tx\nq2\ty\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d2 1\n")
    with pytest.raises(UserError, match="'d2'"):
        load_collection(str(tmp_path))
    collection = load_collection(str(tmp_path), empty_documents="drop", unjudged_queries="drop")
    assert collection.qrels == {"q1": {"d1": 1}}
    write_collection(collection, tmp_path / "copy")
    assert load_collection(str(tmp_path / "copy")).documents == collection.documents


def test_the_built_in_collection_takes_names_of_libraries(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(sources, "read_apidocs", lambda libraries: asked.append(tuple(libraries)) or _tiny())
    load_collection("apidocs")
    load_collection("apidocs:numpy, scipy")
    assert asked == [("numpy", "scipy", "jax"), ("numpy", "scipy")]


def test_the_fingerprint_of_a_folder_depends_on_the_bytes_of_its_files(tmp_path):
    contents = {
        "documents.jsonl": '{"doc_id": "d1", "text": "t"}\n',
        "queries.tsv": "q1\tx\n",
        "qrels.txt": "q1 0 d1 1\n",
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    before = source_fingerprint(str(tmp_path))
    (tmp_path / "notes.txt").write_text("not read")
    (tmp_path / "documents.jsonl.gz").write_bytes(b"not read beside documents.jsonl")
    assert source_fingerprint(str(tmp_path)) == before
    seen = {before}
    for name, text in contents.items():
        (tmp_path / name).write_text(text + "\n")
        seen.add(source_fingerprint(str(tmp_path)))
        (tmp_path / name).write_text(text)
    assert len(seen) == 4
    assert source_fingerprint(str(tmp_path)) == before
    (tmp_path / "documents.jsonl").unlink()
    assert source_fingerprint(str(tmp_path)) not in seen
    (tmp_path / "documents.jsonl").write_text(contents["documents.jsonl"])
    (tmp_path / "qrels.txt").unlink()
    for call in (source_fingerprint, load_collection):
        with pytest.raises(UserError, match=r"no qrels.txt in"):
            call(str(tmp_path))
    with pytest.raises(UserError, match="there is no folder or file"):
        source_fingerprint(str(tmp_path / "none"))


def test_the_fingerprint_of_installed_sources_holds_their_versions(monkeypatch):
    installed = {"numpy": "2.0", "scipy": "1.0", "jax": "0.1", "ir_datasets": "0.5"}
    monkeypatch.setattr("importlib.metadata.version", installed.__getitem__)
    assert source_fingerprint("apidocs:scipy, numpy") == "apidocs:numpy=2.0,scipy=1.0"
    assert source_fingerprint("apidocs") == source_fingerprint("apidocs:numpy,scipy,jax")
    assert source_fingerprint("irds:cranfield") == "irds:cranfield,ir_datasets=0.5"
    before = source_fingerprint("apidocs"), source_fingerprint("irds:cranfield")
    installed |= {"jax": "0.2", "ir_datasets": "0.6"}
    assert source_fingerprint("apidocs") != before[0]
    assert source_fingerprint("irds:cranfield") != before[1]
    with pytest.raises(UserError, match="did you mean 'numpy'"):
        source_fingerprint("apidocs:nunpy")


def _tiny():
    return sources.Collection("tiny", (Document("d", "", "x"),), {"q": "x"}, {"q": {"d": 1}}, {})


@pytest.mark.skipif(not CRANFIELD.is_dir(), reason="needs the Cranfield collection beside the project")
def test_cranfield_has_the_known_counts():
    assert _counts(read_collection(CRANFIELD)) == (1400, 225, [128, 387, 734, 363])
    # Two documents are empty; query 125 judges one of them, 995, with grade 2.
    assert _counts(load_collection(str(CRANFIELD), empty_documents="drop")) == (1398, 225, [128, 387, 733, 363])


def _counts(collection):
    grades = [grade for judged in collection.qrels.values() for grade in judged.values()]
    return len(collection.documents), len(collection.queries), [grades.count(grade) for grade in (4, 3, 2, 1)]


def test_importing_the_package_loads_nothing_heavy():
    heavy = "{'tensorflow', 'ir_datasets', 'seqio', 'jax', 'flax', 'scipy', 'transformers'}"
    code = f"import sys, gr2_jax.corpus; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
