"""The whole pipeline from a dump to pairs, on a handwritten wiki with one worker in this process."""

import bz2
import dataclasses
import errno
import hashlib
import json
import os
import re

import pytest
from synthetic_wiki import HEADER, pages, write_dump

from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions
from gr2_jax.errors import UserError
from gr2_jax.lock import holding

pytest.importorskip("apache_beam")
pipeline = pytest.importorskip("gr2_jax.corpus.wikipedia.pipeline")

OPTIONS = WikipediaOptions(shards=2, lead_links=9, other_links=9)
ONE = ("--direct_num_workers=1",)


def digests(output) -> dict[str, str]:
    files = (path for path in output.rglob("*") if path.is_file())
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pairs_of(output) -> dict[int, dict]:
    from gr2_jax.corpus.wikipedia.examples import decode_example, read_records

    records = {}
    for path in sorted((output / "pairs/1.0.0").glob("*tfrecord*")):
        with path.open("rb") as file:
            records |= {r["query_id"][0]: r for r in map(decode_example, read_records(file, str(path)))}
    return records


def recording(parse_part, path: str):
    """Records the target of each part in a file, since Beam would give a worker a copy of a list."""

    def parse(task, *rest):
        with open(path, "a") as file:
            print(task.target, file=file)
        return parse_part(task, *rest)

    return parse


def stop(*_):
    raise RuntimeError("stopped")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    dump = write_dump(folder / "small-pages-articles.xml.bz2")
    output = folder / "out"
    return dump, output, pipeline.build_wikipedia([str(dump)], str(output), OPTIONS, ONE)


def test_the_pairs_of_an_article_are_those_found_by_hand(built):
    pair = pairs_of(built[1])[1]
    graded = dict(zip(pair["titles"], pair["grades"], strict=True))
    # Salt, Pharos tower, Haven and Chain one are redirects: Haven to Harbour itself, Chain one by three redirects to
    # Cargo, which the lead links too. Ship is linked in the lead and below, Stone in the body and in See also.
    assert graded == {"Harbour": 4, "Lighthouse": 3, "Stone": 3, "Ship": 2, "Cargo": 2, "Table salt": 2, "Wave": 1}
    assert pair["grades"] == sorted(pair["grades"], reverse=True)
    assert pair["query"][0] in (
        "A harbour is a sheltered place where ships may stay for the night and load their cargo.",
        "The first harbours were built by people who fished near the coast and traded salt with their neighbours.",
    )


def test_references_replace_a_missing_see_also(built):
    pair = pairs_of(built[1])[6]
    assert dict(zip(pair["titles"], pair["grades"], strict=True)) == {"Lighthouse": 4, "Harbour": 3, "Wave": 3}


def test_the_manifest_counts_pages_and_dropped_links(built):
    manifest = built[2]
    counts = manifest["counts"]
    assert counts["pages"] == 19
    assert counts["redirects"] == 9
    assert counts["articles"] == 7
    assert counts["queries"] == 7
    assert (counts["disambiguation pages"], counts["list pages"], counts["pages of other namespaces"]) == (1, 1, 1)
    assert counts["pairs"] == 7 + 6 + 2
    assert manifest["pairs_by_grade"] == {"4": 7, "3": 4, "2": 3, "1": 1}
    assert manifest["dropped_links"] == {
        "missing": 1,
        "disambiguation": 1,
        "list": 1,
        "redirect chain or loop": 1,
        "redirect to another namespace": 1,
        "the article itself": 1,
        "linked twice": 2,
    }
    assert json.loads((built[1] / "manifest.json").read_text()) == manifest


def test_the_same_command_leaves_a_finished_build_alone(built):
    dump, output, manifest = built
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    assert pipeline.build_wikipedia([str(dump)], str(output), OPTIONS, ONE) == manifest
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


def test_another_build_in_the_same_folder_is_refused(built):
    dump, output, _ = built
    with pytest.raises(UserError, match=r"seed = 0, now 1"):
        pipeline.build_wikipedia([str(dump)], str(output), dataclasses.replace(OPTIONS, seed=1), ONE)
    other = write_dump(dump.with_name("other.xml.bz2"))
    with pytest.raises(UserError, match=r"other dumps .*small-pages-articles"):
        pipeline.build_wikipedia([str(other)], str(output), OPTIONS, ONE)


def test_a_folder_with_other_files_is_refused(built, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="no build"):
        pipeline.build_wikipedia([str(built[0])], str(tmp_path), OPTIONS, ONE)


def test_missing_dump_names_the_nearest(built):
    with pytest.raises(UserError, match=re.escape("did you mean 'small-pages-articles.xml.bz2'?")):
        pipeline.build_wikipedia([str(built[0]).replace("articles", "article")], str(built[1]), OPTIONS, ONE)


def test_index_files_are_left_out(built, tmp_path):
    (tmp_path / "a-multistream-index.txt.bz2").write_bytes(b"x")
    write_dump(tmp_path / "a-multistream.xml.bz2")
    from gr2_jax.corpus.wikipedia.inputs import dump_files

    assert [path.rsplit("/")[-1] for path, _ in dump_files([str(tmp_path / "a-*")])] == ["a-multistream.xml.bz2"]
    with pytest.raises(UserError, match="only holds an index"):
        dump_files([str(tmp_path / "*index*")])


def test_bytes_depend_neither_on_parts_nor_on_the_order_of_work(tmp_path, monkeypatch):
    """Many small parts, each of many pieces, give the same bytes as one part."""
    from gr2_jax.corpus.wikipedia import inputs, parts
    from gr2_jax.corpus.wikipedia.dump import cut

    dump = write_dump(tmp_path / "d.xml.bz2", copies=3, streams=9)
    whole, small = tmp_path / "whole", tmp_path / "small"
    first = pipeline.build_wikipedia([str(dump)], str(whole), OPTIONS, ONE)
    monkeypatch.setattr(inputs, "cut", lambda path, size, *, chunk, open: cut(path, size, chunk=600, open=open))
    monkeypatch.setattr(parts, "_PIECE_BYTES", 700)
    assert len(inputs.part_tasks([(str(dump), dump.stat().st_size)], str(small), OPTIONS)) > 3
    assert pipeline.build_wikipedia([str(dump)], str(small), OPTIONS, ONE) == first
    assert digests(whole) == digests(small)
    assert first["counts"]["pages"] == 57


def test_a_stopped_build_resumes_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    from gr2_jax.corpus.wikipedia import inputs, parts
    from gr2_jax.corpus.wikipedia.dump import cut

    dump = write_dump(tmp_path / "d.xml.bz2", copies=3, streams=9)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    pipeline.build_wikipedia([str(dump)], str(whole), OPTIONS, ONE)
    monkeypatch.setattr(inputs, "cut", lambda path, size, *, chunk, open: cut(path, size, chunk=600, open=open))
    genuine, calls = parts.parse_part, []

    def dies_at_the_third(task, site, options):
        calls.append(task.target)
        if len(calls) == 3:
            raise SystemExit("killed")
        return genuine(task, site, options)

    monkeypatch.setattr(parts, "parse_part", dies_at_the_third)
    with pytest.raises((Exception, SystemExit)):
        pipeline.build_wikipedia([str(dump)], str(stopped), OPTIONS, ONE)
    kept = {path: path.stat().st_mtime_ns for path in (stopped / "articles").glob("*.json")}
    assert len(kept) == 2
    assert not (stopped / "manifest.json").exists()
    monkeypatch.setattr(parts, "parse_part", recording(genuine, str(tmp_path / "parsed")))
    pipeline.build_wikipedia([str(dump)], str(stopped), OPTIONS, ONE)
    parsed = set((tmp_path / "parsed").read_text().splitlines())
    assert parsed
    assert not parsed & {str(path.with_suffix("")) for path in kept}
    assert digests(whole) == digests(stopped)


def test_a_broken_dump_is_named_at_the_end_and_finished_parts_are_kept(tmp_path):
    good, bad = write_dump(tmp_path / "a.xml.bz2"), write_dump(tmp_path / "b.xml.bz2", copies=2, streams=3)
    whole = bad.read_bytes()
    second = whole.index(b"BZh", 500)
    bad.write_bytes(whole[: second + 200] + b"\xff" * 20 + whole[second + 220 :])
    output = tmp_path / "out"
    with pytest.raises(UserError, match=r"b\.xml\.bz2.*byte"):
        pipeline.build_wikipedia([str(good), str(bad)], str(output), OPTIONS, ONE)
    (kept,) = (output / "articles").glob("*.json")
    assert kept.name.startswith("00000-")


@pytest.mark.parametrize("where", ["articles", "documents", "pairs", "manifest"])
def test_a_full_disk_is_one_sentence_and_with_room_the_bytes_are_the_same(built, tmp_path, monkeypatch, capfd, where):
    """Not a fault of the dump: the file that could not be written is named."""
    from gr2_jax.corpus.wikipedia import storage

    dump, whole, _ = built
    rename = storage.FileSystems.rename

    def full(sources, targets):
        if where in targets[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(sources, targets)

    monkeypatch.setattr(storage.FileSystems, "rename", full)
    output = tmp_path / "out"
    with pytest.raises(UserError, match=rf"^cannot write {output}.*: No space left on device"):
        pipeline.build_wikipedia([str(dump)], str(output), OPTIONS, ONE)
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.undo()
    pipeline.build_wikipedia([str(dump)], str(output), OPTIONS, ONE)
    assert digests(output) == digests(whole)


def test_a_second_build_of_the_same_folder_is_refused_and_no_lock_stays(built, tmp_path):
    dump, _, _ = built
    with (
        holding(tmp_path / "out", tmp_path / "out.lock"),
        pytest.raises(UserError, match=r"out is in use: process \d+ on this host"),
    ):
        pipeline.build_wikipedia([str(dump)], str(tmp_path / "out"), OPTIONS, ONE)
    assert list(tmp_path.iterdir()) == []


def write_two_dumps(folder):
    """Writes two dumps with different pages: all in one stream, and one page per stream."""
    streams = [HEADER, *pages(2)[len(pages()) :], "</mediawiki>\n"]
    second = folder / "b.xml.bz2"
    second.write_bytes(b"".join(bz2.compress(text.encode()) for text in streams))
    return write_dump(folder / "a.xml.bz2"), second


def test_a_truncated_dump_is_replaced_and_the_build_resumes(tmp_path, monkeypatch):
    from gr2_jax.corpus.wikipedia import inputs, parts
    from gr2_jax.corpus.wikipedia.dump import cut

    dumps = [str(path) for path in write_two_dumps(tmp_path)]
    whole, mended = tmp_path / "whole", tmp_path / "mended"
    pipeline.build_wikipedia(dumps, str(whole), OPTIONS, ONE)
    monkeypatch.setattr(inputs, "cut", lambda path, size, *, chunk, open: cut(path, size, chunk=2000, open=open))
    second = tmp_path / "b.xml.bz2"
    complete = second.read_bytes()
    second.write_bytes(complete[: complete.rindex(b"BZh", 0, -100) + 90])
    with pytest.raises(UserError, match=r"b\.xml\.bz2.*copy it again"):
        pipeline.build_wikipedia(dumps, str(mended), OPTIONS, ONE)
    finished = list((mended / "articles").glob("*.json"))
    assert {path.name[:6] for path in finished} == {"00000-", "00001-"}
    second.write_bytes(complete)
    monkeypatch.setattr(parts, "parse_part", recording(parts.parse_part, str(tmp_path / "parsed")))
    pipeline.build_wikipedia(dumps, str(mended), OPTIONS, ONE)
    parsed = sorted(line.split("/")[-1].split("-") for line in (tmp_path / "parsed").read_text().splitlines())
    assert [int(start) for *_, start in parsed] == list(range(0, len(complete), 2000))
    assert {(number, int(size)) for number, _, size, _ in parsed} == {("00001", len(complete))}
    assert digests(whole) == digests(mended)
    second.write_bytes(complete[:-1])
    with pytest.raises(UserError, match=rf"finished build of other dumps: b\.xml\.bz2 has {len(complete) - 1} bytes"):
        pipeline.build_wikipedia(dumps, str(mended), OPTIONS, ONE)


def test_shards_of_a_truncated_dump_are_not_kept(tmp_path, monkeypatch):
    """A dump that ends between two pages only gives a warning, so phase 2 runs before the dump is replaced."""
    from gr2_jax.corpus.wikipedia import manifest

    dump, complete = tmp_path / "d.xml", HEADER + "".join(pages()) + "</mediawiki>\n"
    dump.write_text(complete)
    pipeline.build_wikipedia([str(dump)], str(tmp_path / "whole"), OPTIONS, ONE)
    dump.write_text(HEADER + "".join(pages()[:5]))
    mended = tmp_path / "mended"
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write_tfds_metadata", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            pipeline.build_wikipedia([str(dump)], str(mended), OPTIONS, ONE)
    assert len(list((mended / "shards").iterdir())) == 5
    dump.write_text(complete)
    pipeline.build_wikipedia([str(dump)], str(mended), OPTIONS, ONE)
    assert digests(mended) == digests(tmp_path / "whole")


def test_files_left_by_a_stop_at_the_very_end_are_removed(built, tmp_path, monkeypatch):
    from gr2_jax.corpus.wikipedia import manifest

    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "_remove", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            pipeline.build_wikipedia([str(built[0])], str(output), OPTIONS, ONE)
    assert (output / "articles").is_dir()
    assert pipeline.build_wikipedia([str(built[0])], str(output), OPTIONS, ONE) == built[2]
    assert digests(output) == digests(built[1])


def test_a_build_without_queries_gives_a_warning(tmp_path, capsys):
    dump = tmp_path / "d.xml"
    dump.write_text(HEADER + pages()[6] + "</mediawiki>\n")
    manifest = pipeline.build_wikipedia([str(dump)], str(tmp_path / "out"), OPTIONS, ONE)
    assert manifest["counts"]["queries"] == 0
    assert "no article had a usable sentence" in capsys.readouterr().err


def test_a_page_given_twice_is_named(tmp_path):
    dumps = [str(write_dump(tmp_path / name)) for name in ("a.xml.bz2", "b.xml.bz2")]
    with pytest.raises(UserError, match=r"the page \d+, '.*', occurs twice"):
        pipeline.build_wikipedia(dumps, str(tmp_path / "out"), OPTIONS, ONE)


def test_dumps_of_two_wikis_are_refused(tmp_path):
    first = write_dump(tmp_path / "a.xml.bz2")
    second = tmp_path / "b.xml"
    second.write_text(HEADER.replace("small", "other") + "".join(pages()) + "</mediawiki>\n")
    with pytest.raises(UserError, match="several wikis"):
        pipeline.build_wikipedia([str(first), str(second)], str(tmp_path / "out"), OPTIONS, ONE)
    assert not (tmp_path / "out").exists()


def test_tensorflow_datasets_loads_documents_and_pairs(built):
    tfds = pytest.importorskip("tensorflow_datasets")
    pairs = {
        int(e["query_id"]): e for e in tfds.load("pairs", data_dir=str(built[1]), split="train").as_numpy_iterator()
    }
    assert {title.decode() for title in pairs[6]["titles"]} == {"Lighthouse", "Harbour", "Wave"}
    documents = list(tfds.load("documents", data_dir=str(built[1]), split="train").as_numpy_iterator())
    assert len(documents) == 7
    assert {d["url"].decode() for d in documents} >= {"https://small.example.org/wiki/Table_salt"}


def test_a_build_is_read_as_a_collection(built):
    from gr2_jax.corpus.wikipedia.reader import read_wikipedia

    stream = read_wikipedia(built[1])
    documents = {document.doc_id: document for document in stream.documents()}
    assert len(documents) == 7
    assert documents["2"].title == "Ship"
    assert stream.qrels["6"] == {"6": 4, "1": 3, "5": 3}
    assert set(stream.queries) == set(stream.qrels)
    assert all(doc in documents for grades in stream.qrels.values() for doc in grades)
    with pytest.raises(UserError, match="no build"):
        read_wikipedia(built[0].parent)


def test_a_misspelt_option_of_beam_is_refused(built):
    with pytest.raises(UserError, match=re.escape("did you mean '--direct_num_workers'?")):
        pipeline.build_wikipedia([str(built[0])], str(built[1]), OPTIONS, ["--direct_num_worker=1"])


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(built, tmp_path):
    pipeline.build_wikipedia([str(built[0])], str(tmp_path / "out"), OPTIONS, ("--direct_num_workers=2",))
    assert digests(tmp_path / "out") == digests(built[1])
