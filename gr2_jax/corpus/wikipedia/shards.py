"""The shards of a build's two data sets: their names, their writers, and the note beside each."""

import itertools
from collections import Counter
from collections.abc import Iterable

from gr2_jax.corpus.wikipedia import storage
from gr2_jax.corpus.wikipedia.examples import VERSION, decode_example, shard_name
from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions
from gr2_jax.corpus.wikipedia.parts import read_documents
from gr2_jax.errors import UserError

DOCUMENTS, PAIRS = "documents", "pairs"


def data_path(output: str, dataset: str, shard: int, shards: int) -> str:
    """Returns the path of a shard."""
    return storage.join(output, dataset, VERSION, shard_name(dataset, shard, shards))


def note_path(output: str, name: str) -> str:
    """Returns the path of the note that is written when a shard (such as `pairs-00003`) is complete."""
    return storage.join(output, "shards", name + ".json")


def write_documents(shard: int, pieces: list[dict], output: str, options: WikipediaOptions) -> None:
    """Writes a shard of documents, ordered by page id. A page that occurs twice is recorded in the note as an error."""
    entries = sorted(entry for piece in pieces for entry in read_documents(piece, shard))
    note: dict = {"records": len(entries)}
    for (page_id, record), (following, _) in itertools.pairwise(entries):
        if page_id == following:
            title = decode_example(record[12:-4])["title"][0]
            note["error"] = f"the page {page_id}, {title!r}, occurs twice in the dumps: give each dump only once"
            storage.write_json(note_path(output, f"{DOCUMENTS}-{shard:05d}"), note)
            return
    path = data_path(output, DOCUMENTS, shard, options.shards)
    note["bytes"] = storage.write(path, (record for _, record in entries))
    storage.write_json(note_path(output, f"{DOCUMENTS}-{shard:05d}"), note)


def write_pairs(element: tuple[int, Iterable], output: str, options: WikipediaOptions) -> None:
    """Writes a shard of pairs, ordered by query id; None values are skipped."""
    shard, values = element
    entries = sorted((value for value in values if value is not None), key=lambda entry: entry[0])
    grades: Counter[int] = Counter()
    for _, counts, _ in entries:
        grades.update(counts)
    size = storage.write(data_path(output, PAIRS, shard, options.shards), (record for _, _, record in entries))
    note = {"records": len(entries), "bytes": size, "grades": {str(g): grades[g] for g in sorted(grades)}}
    storage.write_json(note_path(output, f"{PAIRS}-{shard:05d}"), note)


def write_dropped(counts: dict[str, int], output: str) -> None:
    """Writes the number of candidates that led to no pair, by reason."""
    storage.write_json(note_path(output, "dropped"), counts)


def read_note(output: str, name: str) -> dict | None:
    """Returns the note of a complete shard, None if it is incomplete. Raises UserError if the note holds an error."""
    path = note_path(output, name)
    if not storage.exists(path):
        return None
    note = storage.read_json(path)
    if "error" in note:
        raise UserError(note["error"])
    return note
