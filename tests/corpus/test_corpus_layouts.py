"""Folders in BEIR's and TREC's layouts, and TREC's document files."""

import gzip
import json
import os

import pytest

from gr2_jax.corpus import Document, load_collection, open_collection, source_fingerprint
from gr2_jax.errors import UserError

pytest.importorskip("ir_datasets")

TEXT = b"""<DOC>
<DOCNO> FT911-3 </DOCNO>
<HEADLINE>
FT  14 MAY 91 / A headline
</HEADLINE>
<TEXT>
First words of the
text &amp; more.
<P>Second paragraph.</P><P>Third.</P>
</TEXT>
<PUB>Not this</PUB>
</DOC>
<DOC>
<DOCNO>LA-2</DOCNO>
<TEXT>caf\xe9</TEXT>
</DOC>

"""
WEB = b"""<DOC>
<DOCNO>GX000-00-0000001</DOCNO>
<DOCHDR>
http://www.example.gov/a
HTTP/1.1 200 OK
Content-Type: text/html; charset=iso-8859-1
</DOCHDR>
<html><head><title>A
 page</title><style>p {}</style></head><body><h1>Top</h1><p>One<br>two</p><div>caf\xe9</div></body></html>
</DOC>
"""


def write(path, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


@pytest.fixture
def trec(tmp_path):
    folder = tmp_path / "trec"
    write(folder / "documents" / "disk4" / "ft911_1", TEXT)
    write(folder / "documents" / "GX000" / "00.gz", gzip.compress(WEB))
    write(folder / "topics.web.txt", "1\tone\n2\ttwo\n")
    write(folder / "topics" / "robust", "<top>\n<num> Number: 301\n<title> three\n</top>\n")
    write(folder / "qrels.web.txt", "1 0 GX000-00-0000001 2\n2 0 FT911-3 -2\n")
    write(folder / "qrels" / "qrels.robust04.txt.gz", gzip.compress(b"301 0 FT911-3 1\n"))
    return folder


def test_a_trec_folder(trec):
    found = open_collection(str(trec)).hold()
    assert found.name == "trec"
    assert found.queries == {"301": "three", "1": "one", "2": "two"}
    assert found.qrels == {"301": {"FT911-3": 1}, "1": {"GX000-00-0000001": 2}, "2": {"FT911-3": -2}}
    assert found.documents == (
        Document("GX000-00-0000001", "A page", "Top\n\nOne\ntwo\n\ncafé", "http://www.example.gov/a"),
        Document(
            "FT911-3",
            "FT 14 MAY 91 / A headline",
            "First words of the\ntext & more.\n\nSecond paragraph.\n\nThird.",
        ),
        Document("LA-2", "", "café"),
    )
    assert open_collection(str(trec)).hold() == found


def test_judgement_files_are_selected_by_name_and_only_their_queries_kept(trec):
    found = open_collection(f"{trec}#robust04")
    assert (found.queries, found.qrels) == ({"301": "three"}, {"301": {"FT911-3": 1}})
    assert len(open_collection(f"{trec}#robust04+web").queries) == 3
    with pytest.raises(UserError, match="no judgement file 'robust05': did you mean 'robust04'"):
        open_collection(f"{trec}#robust05")


def test_text_with_crlf_line_ends(trec):
    before = open_collection(str(trec)).hold()
    write(trec / "documents" / "disk4" / "ft911_1", TEXT.replace(b"\n", b"\r\n"))
    write(trec / "documents" / "GX000" / "00.gz", WEB.replace(b"\n", b"\r\n"))  # plain, whatever its name
    assert open_collection(str(trec)).hold() == before


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"what is this", "is neither TREC text"),
        (TEXT[:-10], "bad ends inside document 2: there is no </DOC>"),
        (gzip.compress(TEXT * 99, mtime=0)[:-40], "bad cannot be unpacked"),
        (TEXT.replace(b"<DOCNO>LA-2</DOCNO>", b""), "bad, document 2: there is no <DOCNO>"),
        (TEXT.replace(b"LA-2", b"LA 2"), "bad, document 2: the document id 'LA 2' contains white space"),
        (TEXT.replace(b"\n<DOC>\n<DOCNO>LA", b"\n<DOCNO>LA"), "bad, document 2: expected <DOC>"),
        (WEB.replace(b"</DOCHDR>", b""), "bad, document 1: .* must be closed"),
    ],
)
def test_malformed_documents_are_named_with_their_place(trec, contents, words):
    write(trec / "documents" / "bad", contents)
    with pytest.raises(UserError, match=words):
        for _ in open_collection(str(trec)).documents():
            pass


def test_documents_that_cross_the_chunks_of_a_read(trec, monkeypatch):
    before = open_collection(str(trec)).hold()
    monkeypatch.setattr("gr2_jax.corpus._trec_documents._CHUNK", 7)
    assert open_collection(str(trec)).hold() == before


@pytest.mark.parametrize("version", ["0.18", "1.0"])
def test_warc_files(trec, version):
    pytest.importorskip("warc3_wet_clueweb09" if version == "0.18" else "warc")
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>T</title><body><p>One<p>Two</body>\r\n"
    end = b"\n" if version == "0.18" else b"\r\n"

    def record(kind, body, *headers):
        lines = [f"WARC/{version}", f"WARC-Type: {kind}", *headers, f"Content-Length: {len(body)}", ""]
        return end.join(line.encode() for line in lines) + end + body + end + end

    target = ("WARC-TREC-ID: clueweb-1", "WARC-Target-URI: http://a.org/", "WARC-Date: 2009-03-65T08:43:19-0800")
    contents = record("warcinfo", b"software: x" + end, "WARC-Date: 2009-03-65T08:43:19-0800")
    path = write(trec / "documents" / "0.warc.gz", gzip.compress(contents + record("response", page, *target)))
    found = next(open_collection(str(trec)).documents())
    assert found == Document("clueweb-1", "T", "One\n\nTwo", "http://a.org/")
    path.write_bytes(gzip.compress(contents + record("response", page, *target[1:])))
    with pytest.raises(UserError, match="has a response without WARC-TREC-ID"):
        next(open_collection(str(trec)).documents())


def test_a_warc_file_without_its_reader(trec, monkeypatch):
    from ir_datasets import lazy_libs

    def missing():
        raise ImportError("warc")

    monkeypatch.setattr(lazy_libs, "warc", missing)
    write(trec / "documents" / "0.warc", b"WARC/1.0\r\n")
    with pytest.raises(UserError, match=r"pip install 'ir_datasets\[warc\]'"):
        next(open_collection(str(trec)).documents())


def test_trec_folders_without_judgements_or_topics(trec):
    for path in (trec / "qrels.web.txt", trec / "qrels" / "qrels.robust04.txt.gz"):
        path.unlink()
    with pytest.raises(UserError, match="has no judgements: expected files qrels"):
        open_collection(str(trec))
    (trec / "topics.web.txt").unlink()
    (trec / "topics" / "robust").unlink()
    write(trec / "qrels.web.txt", "1 0 d 1\n")
    for call in (open_collection, source_fingerprint):
        with pytest.raises(UserError, match="has no topics: expected files topics"):
            call(str(trec))
    (trec / "qrels.web.txt").unlink()
    with pytest.raises(UserError, match="holds no text file"):  # any folder may have one named documents
        open_collection(str(trec))


def test_the_fingerprint_of_a_trec_folder(trec):
    seen = {source_fingerprint(str(trec)), source_fingerprint(f"{trec}#web"), source_fingerprint(f"{trec}#robust04")}
    assert len(seen) == 3
    assert source_fingerprint(str(trec)) in seen
    write(trec / "topics.web.txt", "1\tone\n2\ttwo!\n")
    seen.add(source_fingerprint(str(trec)))
    document = trec / "documents" / "disk4" / "ft911_1"
    os.utime(document, ns=(0, 0))
    seen.add(source_fingerprint(str(trec)))
    document.rename(document.with_name("renamed"))
    seen.add(source_fingerprint(str(trec)))
    assert len(seen) == 6


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "nf"
    documents = (
        {"_id": "d1", "title": "T", "text": "one", "metadata": {"url": "http://a.org"}},
        {"_id": 2, "text": "half a pair \ud83d", "metadata": {}},
    )
    write(folder / "corpus.jsonl", lines(*documents))
    write(folder / "queries.jsonl", lines(*({"_id": f"q{n}", "text": f"query {n}"} for n in (1, 2, 3))))
    write(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\n")
    write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\nq2\t2\t1\nq2\td1\t0\n")
    return folder


def test_a_beir_folder(beir):
    found = load_collection(str(beir), unjudged_queries="drop")
    assert found.documents == (Document("d1", "T", "one", "http://a.org"), Document("2", "", "half a pair ?"))
    assert found.qrels == {"q1": {"d1": 2}, "q2": {"2": 1, "d1": 0}}
    assert list(open_collection(str(beir)).queries) == ["q1", "q2", "q3"]
    test = load_collection(f"{beir}#test")
    assert (test.queries, test.qrels) == ({"q2": "query 2"}, {"q2": {"2": 1, "d1": 0}})
    assert test.provenance["judgements"] == "test"
    with pytest.raises(UserError, match="no judgement file 'tset': did you mean 'test'"):
        load_collection(f"{beir}#tset")


def test_packed_beir_files(beir):
    before = load_collection(f"{beir}#test")
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        write(beir / f"{name}.gz", gzip.compress((beir / name).read_bytes()))
        (beir / name).unlink()
    assert load_collection(f"{beir}#test") == before


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n{"text": "x"}\n', "corpus.jsonl, line 2: .* field '_id'"),
        ("corpus.jsonl", '{"_id": "d1"}\n', "corpus.jsonl, line 1: .* field 'text'"),
        ("queries.jsonl", '{"_id": "q1", "text": " "}\n', "queries.jsonl, line 1: the query 'q1' has no text"),
        ("queries.jsonl", '{"_id": "q1", "text": "x"}\n' * 2, "queries.jsonl, line 2: .*'q1' is used twice"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\n", "test.tsv, line 2: expected 3 fields"),
    ],
)
def test_malformed_beir_files_are_named_with_their_line(beir, name, contents, words):
    write(beir / name, contents)
    with pytest.raises(UserError, match=words):
        load_collection(str(beir))


def test_the_fingerprint_of_a_beir_folder(beir):
    seen = {source_fingerprint(str(beir)), source_fingerprint(f"{beir}#test"), source_fingerprint(f"{beir}#train")}
    write(beir / "qrels" / "test.tsv", "q2\t2\t2\n")
    assert source_fingerprint(f"{beir}#train") in seen
    seen |= {source_fingerprint(str(beir)), source_fingerprint(f"{beir}#test")}
    write(beir / "corpus.jsonl", lines({"_id": "d1", "text": "two"}))
    seen.add(source_fingerprint(str(beir)))
    assert len(seen) == 6
    (beir / "queries.jsonl").unlink()
    with pytest.raises(UserError, match=r"there is no queries\.jsonl in"):
        source_fingerprint(str(beir))


def test_our_own_folder_has_no_judgement_files_to_select(tmp_path):
    write(tmp_path / "ours" / "documents.jsonl", lines({"doc_id": "d", "text": "x"}))
    with pytest.raises(UserError, match="has one judgement file"):
        open_collection(f"{tmp_path / 'ours'}#test")
    write(tmp_path / "a#b" / "documents.jsonl", lines({"doc_id": "d", "text": "x"}))
    write(tmp_path / "a#b" / "queries.tsv", "q\tx\n")
    write(tmp_path / "a#b" / "qrels.txt", "q 0 d 1\n")
    assert load_collection(str(tmp_path / "a#b")).name == "a#b"
