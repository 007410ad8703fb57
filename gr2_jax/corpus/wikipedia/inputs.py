"""The dump files of a build: found, checked, and cut into parts."""

import hashlib
from collections.abc import Iterable, Sequence

from gr2_jax.corpus.wikipedia import storage
from gr2_jax.corpus.wikipedia.dump import cut
from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions
from gr2_jax.corpus.wikipedia.parts import PartTask
from gr2_jax.corpus.wikipedia.site import Site
from gr2_jax.corpus.wikipedia.xml_pages import read_site
from gr2_jax.errors import UserError, nearest


def dump_files(patterns: Sequence[str]) -> list[tuple[str, int]]:
    """Returns (path, size) of the dump files, sorted, each once, without the index files of multistream dumps.

    Raises UserError for a pattern that matches nothing, or if only index files match.
    """
    files: dict[str, int] = {}
    for pattern in patterns:
        found = storage.find(pattern)
        if not found:
            raise UserError(f"there is no dump file {pattern}; {_neighbours(pattern)}")
        files.update(found)
    dumps = {path: size for path, size in files.items() if "-index" not in _name(path)}
    if not dumps:
        raise UserError(f"{', '.join(map(_name, files))} only holds an index: give the dump that belongs to it")
    return sorted(dumps.items())


def names(files: Iterable[tuple[str, int]]) -> list[dict]:
    """Returns the identity of a build's dumps: their names and sizes, without their folders."""
    return [{"name": _name(path), "bytes": size} for path, size in files]


def read_one_site(paths: Sequence[str]) -> Site:
    """Returns the wiki of the dumps. Raises UserError if they are of several wikis."""
    first = read_site(paths[0], open=storage.open_raw)
    for path in paths[1:]:
        site = read_site(path, open=storage.open_raw)
        if (site.dbname, site.base) != (first.dbname, first.base):
            raise UserError(f"the dumps are of several wikis: {paths[0]} of {first.base}, {path} of {site.base}")
    return first


def part_tasks(files: Sequence[tuple[str, int]], output: str, options: WikipediaOptions) -> list[PartTask]:
    """Cuts the dumps into parts. The name of a part's output holds the dump's size: a resized dump is parsed again."""
    chunk = options.part_megabytes << 20
    tasks = []
    for number, (path, size) in enumerate(files):
        # the number distinguishes dumps of the same name in different folders
        dump = f"{number:05d}-{hashlib.sha256(_name(path).encode()).hexdigest()[:8]}-{size}"
        for part in cut(path, size, chunk=chunk, open=storage.open_raw):
            tasks.append(PartTask(part, storage.join(output, "articles", f"{dump}-{part.start:012d}")))
    return tasks


def _name(path: str) -> str:
    return storage.FileSystems.split(path)[1]


def _neighbours(pattern: str) -> str:
    folder = storage.FileSystems.split(pattern)[0]
    near = [_name(path) for path, _ in storage.find(storage.join(folder, "*"))]
    return nearest(_name(pattern), near) if near else "its folder holds no file"
