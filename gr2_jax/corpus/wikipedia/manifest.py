"""The manifest of a build: its inputs and its contents. A build is complete if its manifest exists."""

import importlib.metadata
import platform
from collections import Counter

from gr2_jax.corpus.wikipedia import storage
from gr2_jax.corpus.wikipedia.metadata import write_tfds_metadata
from gr2_jax.corpus.wikipedia.pairs import ITSELF, WikipediaOptions
from gr2_jax.corpus.wikipedia.shards import DOCUMENTS, PAIRS, read_note
from gr2_jax.corpus.wikipedia.site import Site
from gr2_jax.errors import UserError


def check(output: str, identity: dict) -> dict | None:
    """Returns the manifest of a complete build of this identity; otherwise records the identity and returns None.

    An incomplete build may be resumed with dumps of other sizes: the shards made from all dumps together are deleted.
    Raises UserError, which names the difference, if the output holds another build.
    """
    begun = storage.join(output, "build.json")
    if not storage.exists(begun):
        if storage.find(storage.join(output, "*")):
            raise UserError(f"the folder {output} holds files but no build: give another --output")
        storage.write_json(begun, identity)
        return None
    before = storage.read_json(begun)
    for name in identity["options"]:
        old, new = before["options"].get(name), identity["options"][name]
        if old != new:
            raise UserError(f"{output} holds a build with {name} = {old}, now {new}: give another --output")
    if _less_sizes(before) != _less_sizes(identity):
        held = ", ".join(dump["name"] for dump in before["dumps"])
        raise UserError(f"{output} holds a build of other dumps or of another format ({held}): give another --output")
    path = storage.join(output, "manifest.json")
    complete = storage.exists(path)
    changed = [now for old, now in zip(before["dumps"], identity["dumps"], strict=True) if old != now]
    if changed and complete:
        now = "{name} has {bytes} bytes".format(**changed[0])
        raise UserError(f"{output} holds a finished build of other dumps: {now} now; give another --output")
    if complete:
        _remove(output, "articles", "shards")  # left behind if the build was stopped at its very end
        return storage.read_json(path)
    if changed:
        _remove(output, "shards")  # before the new sizes are recorded: a stop in between must not keep old shards
        storage.write_json(begun, identity)
    return None


def _less_sizes(identity: dict) -> dict:
    return identity | {"dumps": [dump["name"] for dump in identity["dumps"]]}


def _remove(output: str, *folders: str) -> None:
    for folder in folders:
        path = storage.join(output, folder)
        storage.remove([path])
        storage.remove([file for file, _ in storage.find(storage.join(path, "*"))])  # object stores have no folders


def finish(output: str, identity: dict, site: Site, summaries: list[dict], options: WikipediaOptions) -> dict:
    """Writes the metadata of TensorFlow Datasets, then the manifest, and deletes the intermediate files."""
    notes = {
        name: [read_note(output, f"{name}-{shard:05d}") for shard in range(options.shards)]
        for name in (DOCUMENTS, PAIRS)
    }
    counts: Counter[str] = Counter()
    for summary in summaries:
        counts.update(summary["counts"])
    grades: Counter[str] = Counter()
    for note in notes[PAIRS]:
        grades.update(note["grades"])
    manifest = identity | {
        "site": {"dbname": site.dbname, "language": site.language, "base": site.base},
        "versions": {name: importlib.metadata.version(name) for name in ("gr2_jax", "apache-beam")}
        | {"python": platform.python_version()},
        "counts": dict(counts) | {"queries": sum(note["records"] for note in notes[PAIRS]), "pairs": grades.total()},
        "grades": ITSELF,
        "pairs_by_grade": dict(sorted(grades.items(), reverse=True)),
        "dropped_links": read_note(output, "dropped"),
        "warnings": [warning for summary in summaries for warning in summary["warnings"]],
        "shards": notes,
    }
    for name in (DOCUMENTS, PAIRS):
        write_tfds_metadata(output, name, notes[name])
    storage.write_json(storage.join(output, "manifest.json"), manifest)
    _remove(output, "articles", "shards")
    return manifest
