"""Every reader under atheris: `python readers.py KIND... -runs=1000000` gives each kind of file so many inputs; without
KIND all kinds. An input fails that raises anything but `UserError`, takes ten seconds, or needs more than 2 GiB: it is
kept, and the exit code is 1."""

import dataclasses
import io
import json
import os
import shutil
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import atheris

HERE = Path(__file__).parent
sys.path += [str(HERE.parent), str(HERE.parent / "corpus"), str(HERE.parent / "corpus" / "wikipedia")]

with atheris.instrument_imports(include=["gr2_jax"], enable_loader_override=False):
    import numpy as np
    import test_any_bytes as sound
    import tiny_encoder
    from test_any_wikitext import TOKENS
    from test_dump import document, page
    from wikitext_articles import article

    from gr2_jax import lock, progress
    from gr2_jax.array_files import load_all_arrays, load_arrays, map_array
    from gr2_jax.corpus import open_collection
    from gr2_jax.corpus.wikipedia.dump import Part, cut
    from gr2_jax.corpus.wikipedia.siteinfo import read_site
    from gr2_jax.corpus.wikipedia.xml_pages import read_pages
    from gr2_jax.data.example_files import ExampleFiles, TokenisedExample, write_example_files
    from gr2_jax.data.vocabulary import Tokenizer, train_vocabulary
    from gr2_jax.decoding.trie_arrays import STORED
    from gr2_jax.docids import DocidTrie
    from gr2_jax.errors import UserError
    from gr2_jax.files import read_json, reading
    from gr2_jax.models import T5, T5Config, load_hf_t5, load_t5, save_hf_t5, save_t5
    from gr2_jax.models.huggingface.record import RECORD, Record
    from gr2_jax.pipeline.bundle.contents import read_record
    from gr2_jax.pipeline.open_run import open_run
    from gr2_jax.pipeline.stage import Stage
    from gr2_jax.search.text_encoder import TextEncoder
    from gr2_jax.serving.requests import explain_request, fields_of, search_request
    from gr2_jax.training import checkpoints
    from gr2_jax.training.checkpoints import Checkpoints, restore_params

CONFIG = T5Config(vocab_size=11, d_model=6, d_kv=4, d_ff=5, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)
LONGEST = 1 << 12  # bytes of an input, where its seeds are no longer


class Fuzzed(NamedTuple):
    """`read` takes the bytes of an input; `seeds` are sound, and `words` are where the reader looks for them."""

    read: Callable[[bytes], object]
    seeds: list[bytes]
    words: Sequence[str] = ()


def one_file(name: str, read: Callable[[Path], object], seeds: list[bytes], words: Sequence[str] = ()) -> Fuzzed:
    """The input is the file, in a folder of its own."""
    folder = Path(tempfile.mkdtemp())

    def write_and_read(data: bytes) -> None:
        (folder / name).write_bytes(data)
        read(folder / name)

    return Fuzzed(write_and_read, seeds, words)


def one_of(folder: Path, read: Callable[[Path], object], *, sign: Callable[[Path], None] | None = None) -> Fuzzed:
    """The first byte says which file of a sound folder changes. By the second byte the rest replaces it, or is a list
    of changes to it, since atheris does not see how far a library's own code came with an input."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = {path: path.read_bytes() for path in files}

    def replace_and_read(data: bytes) -> None:
        if len(data) < 2:
            return
        path = files[data[0] % len(files)]
        path.write_bytes(data[2:] if data[1] % 4 == 0 else changed(whole[path], data[2:]))
        try:
            if sign is not None:
                sign(folder)
            read(folder)
        finally:
            for file in [path] if sign is None else files:
                file.write_bytes(whole[file])

    seeds = [bytes([i, 0]) + whole[path] for i, path in enumerate(files)]
    return Fuzzed(replace_and_read, [*seeds, *(bytes([i, 1]) + bytes(range(16)) for i in range(len(files)))])


def changed(content: bytes, changes: bytes) -> bytes:
    """Four bytes are a change: two and a half for a place, half of one for what happens there, and one for a value."""
    content = bytearray(content)
    for i in range(0, len(changes) - 3, 4):
        place = int.from_bytes(changes[i : i + 2], "big") << 4 | changes[i + 2] >> 4
        place %= len(content) + 1
        match changes[i + 2] & 15:
            case 0:
                del content[place:]
            case 1:
                del content[place : place + changes[i + 3]]
            case 2:
                content[place:place] = bytes([changes[i + 3]])
            case 3:
                content[place : place + 8] = bytes(7) + bytes([changes[i + 3]])
            case 4:
                content[place : place + 8] = b"\xff" * 7 + bytes([changes[i + 3]])
            case _:
                content[place : place + 1] = bytes([changes[i + 3]])
    return bytes(content)


def changes_of(name: str, content: bytes, read: Callable[[Path], object]) -> Fuzzed:
    folder = Path(tempfile.mkdtemp())
    (folder / name).write_bytes(content)
    return one_of(folder, lambda folder: read(folder / name))


def corpus_reader(kind: str) -> Callable[[], Fuzzed]:
    """One of the readers whose sound files tests/corpus/test_any_bytes.py has."""

    def make() -> Fuzzed:
        reader = sound.READERS[kind]
        folder = Path(tempfile.mkdtemp())
        for name, text in reader.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text.encode())
        path = folder / reader.broken

        def read(data: bytes) -> None:
            path.write_bytes(data)
            reader.read(folder if reader.takes_a_folder else path)

        words = [word for word in [*reader.words, *sound.ODD] if len(word) < 64]
        return Fuzzed(read, [path.read_bytes()], words)

    return make


DOCUMENTS = {
    "documents.jsonl": b'{"id": "a", "title": "t", "text": "one"}\n"two"\n',
    "documents.json": b'[{"id": "a", "text": ["one", "more"]}, "two", {"body": 3}]',
    "documents.csv": b'id,title,text\na,"t ""q""",one\nb,,"two\nlines"\n',
    "documents.csv ": b"sep=;\na;t;one\nb;;two\n",
    "documents.tsv": b"id\ttext\na\tone\nb\ttwo\n",
    "documents.txt": b"one\ntwo\n",
}


def document_file(name: str) -> Callable[[], Fuzzed]:
    words = ["id", "_id", "text", "title", "sep=", '"', ",", ";", "\t", "null", "NaN", "[", "{", "\\ud83d", "\x1f\x8b"]
    return lambda: one_file(name.strip(), lambda path: open_collection(str(path)).hold(), [DOCUMENTS[name]], words)


def dump(path: Path) -> None:
    with suppress(UserError):
        read_site(str(path))
    for part in cut(str(path), path.stat().st_size, chunk=200):
        list(read_pages(part, on_warning=lambda _: None))
    list(read_pages(Part(str(path)), on_warning=lambda _: None))


def wikipedia_dump() -> Fuzzed:
    words = ["<page>", "</page>", "<text>", "<ns>", "<id>", "<redirect title=", "<siteinfo>", "</siteinfo>", "&#0;"]
    text = document(page(1), page(2, "#REDIRECT [[Goal]]", extra="<redirect />"))
    return one_file("dump.xml", dump, [text.encode(), document(page(3), end="").encode()], [*words, "<!ENTITY", "]]>"])


def wikipedia_dump_in_bz2() -> Fuzzed:
    import bz2

    whole = [bz2.compress(text.encode(), 1) for text in (document(page(1), end=""), page(2), "</mediawiki>")]
    seeds = [b"".join(whole), bz2.compress(document(page(1)).encode(), 1)]  # 1: level 9 would fill 4 MB for each input
    return one_file("dump.xml.bz2", dump, seeds, ["BZh1", "BZh9"])


def wikitext() -> Fuzzed:
    def read(data: bytes) -> None:
        article(data.decode("utf-8", "replace"))

    return Fuzzed(read, ["".join(TOKENS[:40]).encode(), "".join(TOKENS[40:]).encode()], TOKENS)


def weights(config: T5Config = CONFIG) -> dict:
    import jax

    tokens = np.zeros((1, 1), np.int32)
    shapes = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


def safetensors() -> Fuzzed:
    folder = Path(tempfile.mkdtemp())
    save_hf_t5(folder, CONFIG, weights())

    def read(folder: Path) -> None:
        load_hf_t5(folder)
        Record.of(folder)

    return one_of(folder, read)


def safetensors_header() -> Fuzzed:
    """The length of the header is right, so that what it says is read."""
    folder = Path(tempfile.mkdtemp())
    save_hf_t5(folder, CONFIG, weights())
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")

    def read(data: bytes) -> None:
        path.write_bytes(len(data).to_bytes(8, "little") + data + whole[8 + size :])
        load_hf_t5(folder)

    words = ['"dtype":', '"F32"', '"BF16"', '"shape":', '"data_offsets":', "__metadata__", "9223372036854775807"]
    return Fuzzed(read, [whole[8 : 8 + size]], words)


def text_encoder() -> Fuzzed:
    return one_of(tiny_encoder.write_encoder(Path(tempfile.mkdtemp()) / "encoder"), TextEncoder.load)


def trie() -> Fuzzed:
    """Its checksums match, as a stranger's may."""
    folder = Path(tempfile.mkdtemp()) / "trie"
    DocidTrie.from_sequences([[2, 3], [2], [70_000, 4, 5], *([2, 6, token] for token in range(10, 90))]).save(folder)

    def sign(folder: Path) -> None:
        with suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError):  # no header to be signed
            header = json.loads((folder / "trie.json").read_bytes())
            del header["checksum"]
            for name in header["crc32"].keys() & STORED:
                header["crc32"][name] = zlib.crc32((folder / f"{name}.npy").read_bytes())
            header["checksum"] = zlib.crc32(json.dumps(header).encode())
            (folder / "trie.json").write_text(json.dumps(header, indent=1) + "\n")

    def read(folder: Path) -> None:
        assert len(DocidTrie.load(folder).sequences()) == 83

    return one_of(folder, read, sign=sign)


def numpy_array() -> Fuzzed:
    file = io.BytesIO()
    np.save(file, np.arange(12, dtype=np.int32).reshape(3, 4))

    def read(path: Path) -> None:
        array = map_array(path, ndim=2)
        assert array.nbytes <= path.stat().st_size
        array.sum()

    return changes_of("x.npy", file.getvalue(), read)


def numpy_archive() -> Fuzzed:
    file = io.BytesIO()
    np.savez(file, a=np.arange(12).reshape(3, 4), b=np.ones(2))

    def read(path: Path) -> None:
        with suppress(UserError):
            load_all_arrays(path, (1, 2))
        load_arrays(path, {"a": 2, "b": 1})

    return changes_of("x.npz", file.getvalue(), read)


def our_t5() -> Fuzzed:
    """With checksums that match: none are on record. With few arrays, of which Orbax reads one after the other."""
    folder, config = Path(tempfile.mkdtemp()) / "t5", dataclasses.replace(CONFIG, num_encoder_layers=0)
    save_t5(folder, config, weights(config))
    path = folder / "t5.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(raw | {"files": {}, "crc32": {}, "checksum": 0}).replace(', "checksum": 0', ""))
    return one_of(folder, load_t5)


def our_t5_record() -> Fuzzed:
    folder, theirs = Path(tempfile.mkdtemp()) / "t5", Path(tempfile.mkdtemp())
    save_hf_t5(theirs, CONFIG, weights())
    save_t5(folder, CONFIG, weights(), theirs)
    return one_file("record", Record.load, [(folder / RECORD).read_bytes()])


def checkpoint() -> Fuzzed:
    """A step of a training, without checksums, as an earlier version left it."""
    folder = Path(tempfile.mkdtemp())
    params = {"layer": {"kernel": np.ones((3, 4), np.float32)}, "b": np.zeros(2, np.float32)}
    with Checkpoints(folder) as saved:
        saved.save(20, params, {"count": np.zeros(())}, {"step": 20})
    (folder / "20" / "checksums.json").unlink()
    shutil.rmtree(folder / "20" / "opt_state")
    return one_of(folder, lambda folder: restore_params(folder, params))


def checksums_of_a_checkpoint() -> Fuzzed:
    """Which is read before any of the checkpoint's files is opened."""

    def read(path: Path) -> None:
        with reading(path.parent):
            checkpoints._check_files(path.parent, ("params", "meta"))

    return one_file("checksums.json", read, [b'{"params/a": 1, "meta/checksums.json": 2}'], ["params/", "meta/", ".."])


def vocabulary() -> Fuzzed:
    file = Path(tempfile.mkdtemp()) / "spiece.model"
    train_vocabulary(["heron lake fish water bird"] * 9, file, size=40)

    def read(path: Path) -> None:
        tokenizer = Tokenizer(path, extra_ids=2)
        tokenizer.decode(tokenizer.encode_batch(["heron fish"])[0])

    return changes_of("x.model", file.read_bytes(), read)


def examples() -> Fuzzed:
    folder = Path(tempfile.mkdtemp()) / "files"
    rows = [TokenisedExample([i, 2], [i], [1], [[3, 4]]) for i in range(5)]
    write_example_files(folder, rows, shards=2)

    def read(folder: Path) -> None:
        files = ExampleFiles.open(folder)
        files.take(np.arange(min(len(files), 50)))

    return one_of(folder, read)


def config_of_a_run() -> Fuzzed:
    from gr2_jax.experiment.loading import to_record
    from gr2_jax.recipes.quickstart import PROFILES

    record = {"experiment": to_record(PROFILES["tiny"]), "trainings": {"GR2S": "0" * 16}, "fold": None}
    text = json.dumps(json.loads(json.dumps(record, default=str)))
    return one_file("config.json", lambda path: open_run(path.parent), [text.encode()], ['"seeds":', '"folds":'])


def record_of_a_stage() -> Fuzzed:
    return one_file("stage.json", lambda path: Stage(path.parent, "a").meta, [b'{"fingerprint": "a", "checksum": 1}'])


def record_of_a_bundle() -> Fuzzed:
    """Signed anew, so that what is behind the checksum is reached."""
    from gr2_jax.checksums import sealed
    from gr2_jax.search.searcher import SearchOptions

    record = {
        "format": "gr2_jax bundle",
        "version": 1,
        "files": {},
        "experiment": "a",
        "row": "GR2S",
        "models": {},
        "model": vars(CONFIG),
        "extra_ids": 1,
        "query_length": 8,
        "query_end": 1,
        "compares": None,
        "search": vars(SearchOptions()),
        "documents": 2,
        "texts": False,
    }

    def read(path: Path) -> None:
        with suppress(ValueError, RecursionError):
            value = json.loads(path.read_bytes())
            if isinstance(value, dict):
                path.write_text(json.dumps(sealed(value)))
        read_record(path.parent)

    return one_file("bundle.json", read, [json.dumps(record).encode()], ['"files":', '"model":', '"search":'])


def http_body() -> Fuzzed:
    def read(data: bytes) -> None:
        fields = fields_of(data)
        for request in (search_request, explain_request):
            with suppress(UserError):
                request(fields)

    seeds = [b'{"queries": ["a"], "k": 3, "row": "x", "characters": 0}', b'{"q": "a", "doc_ids": ["b"]}']
    return Fuzzed(read, seeds, ['"queries":', '"doc_ids":', '"characters":', '"row":', "\\ud800"])


def lock_file() -> Fuzzed:
    me = lock.Holder.here()

    def read(data: bytes) -> None:
        holder = lock._parsed(data.decode("utf-8", "replace"))
        if holder is not None:
            holder.is_gone(me)

    return Fuzzed(read, [json.dumps(dataclasses.asdict(me)).encode()])


KINDS: dict[str, Callable[[], Fuzzed]] = {
    **{kind: corpus_reader(kind) for kind in sound.READERS},
    **{
        f"{name.strip()}{' with semicolons' if name != name.strip() else ''}": document_file(name) for name in DOCUMENTS
    },
    "dump": wikipedia_dump,
    "dump in bz2": wikipedia_dump_in_bz2,
    "wikitext": wikitext,
    "safetensors": safetensors,
    "safetensors' header": safetensors_header,
    "text encoder": text_encoder,
    "trie": trie,
    "npy": numpy_array,
    "npz": numpy_archive,
    "T5": our_t5,
    "T5's record": our_t5_record,
    "checkpoint": checkpoint,
    "checkpoint's checksums": checksums_of_a_checkpoint,
    "vocabulary": vocabulary,
    "tokenised examples": examples,
    "config.json": config_of_a_run,
    "stage.json": record_of_a_stage,
    "bundle.json": record_of_a_bundle,
    "request": http_body,
    "lock": lock_file,
    "any JSON": lambda: one_file("any.json", read_json, [b"[1]"]),
}


def fuzz(kind: str, options: list[str]) -> None:
    """Does not return: atheris leaves the program, with code 0 unless an input failed."""
    progress.be_quiet()
    fuzzed = KINDS[kind]()
    folder = Path(tempfile.mkdtemp())
    (folder / "seeds").mkdir()
    for i, seed in enumerate(fuzzed.seeds):
        (folder / "seeds" / str(i)).write_bytes(seed)
    quoted = ("".join(rf"\x{byte:02x}" for byte in word.encode()) for word in fuzzed.words if word)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in [*quoted, "gr2"]))

    def once(data: bytes) -> None:
        with suppress(UserError):
            fuzzed.read(data)

    longest = max(LONGEST, *map(len, fuzzed.seeds), 0)
    limits = [
        f"-max_len={longest}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={folder}/",
        "-len_control=0",
    ]
    atheris.Setup([sys.argv[0], str(folder / "seeds"), f"-dict={folder / 'words'}", *limits, *options], once)
    atheris.Fuzz()


def fuzz_all(kinds: Sequence[str], options: list[str]) -> int:
    """Each kind in a process of its own, since atheris ends the program; the libraries are loaded once."""
    failed = 0
    for kind in kinds:
        with tempfile.NamedTemporaryFile() as log:
            if (child := os.fork()) == 0:
                os.dup2(log.fileno(), sys.stdout.fileno())
                os.dup2(log.fileno(), sys.stderr.fileno())
                try:
                    fuzz(kind, options)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)  # the log is the parent's to delete
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said = Path(log.name).read_text("utf-8", "replace")
        done = [line for line in said.splitlines() if line.startswith("Done ")]
        print(f"{kind}: {done[-1] if done and code == 0 else f'code {code}'}", flush=True)
        if code or not done:
            print(said[-4000:], flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    asked = [word for word in sys.argv[1:] if not word.startswith("-")]
    sys.exit(fuzz_all(asked or list(KINDS), [word for word in sys.argv[1:] if word.startswith("-")]))
