"""`gr2 wikipedia` from end to end: MB of XML a second with one and two workers, and what that makes of 100 GB.

    python tests/benchmarks/wikipedia_pipeline.py enwiki-sample.xml.bz2 [--copies 10] [--workers 1 2]

The sample is repeated, with other titles and ids, as a multistream dump in a temporary folder. Wall-clock time is that
of the whole build with the start of its processes; processor time (all processes) is what other load does not change.
"""

import argparse
import bz2
import re
import resource
import tempfile
import time
from pathlib import Path

from gr2_jax.corpus.wikipedia import pipeline
from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions

_PAGES_IN_A_STREAM = 100
_FULL_BYTES = 100e9


def repeat(sample: Path, target: Path, copies: int) -> int:
    """Writes the repeated dump; returns the size of its XML in bytes."""
    xml = bz2.decompress(sample.read_bytes())
    start, end = xml.index(b"  <page>"), xml.rindex(b"</page>") + len(b"</page>\n")
    pages = re.findall(rb"  <page>.*?</page>\n", xml[start:end], re.DOTALL)
    size = 0
    with target.open("wb") as file:
        for chunk in (xml[:start], *_streams(pages, copies), b"</mediawiki>\n"):
            size += len(chunk)
            file.write(bz2.compress(chunk))
    return size


def _streams(pages: list[bytes], copies: int):
    for copy in range(copies):
        changed = [_change(page, copy) for page in pages] if copy else pages
        for start in range(0, len(changed), _PAGES_IN_A_STREAM):
            yield b"".join(changed[start : start + _PAGES_IN_A_STREAM])


def _change(page: bytes, copy: int) -> bytes:
    page = page.replace(b"</title>", b" copy %d</title>" % copy, 1)
    return re.sub(rb"<id>(\d+)</id>", lambda match: b"<id>%d</id>" % (int(match[1]) + copy * 10**8), page, count=1)


def processor_seconds() -> float:
    """What this process and its finished children have used."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(dump: Path, output: Path, workers: int) -> tuple[dict, dict[str, float], float]:
    """Builds once; returns the manifest, wall seconds by phase, and processor seconds."""
    seconds: dict[str, float] = {}

    def timed(name, function):
        def call(*arguments):
            begun = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                seconds[name] = time.perf_counter() - begun

        return call

    phases = {name: getattr(pipeline, name) for name in ("_parse", "_write")}
    for name, function in phases.items():
        setattr(pipeline, name, timed(name.strip("_"), function))
    used, options = processor_seconds(), WikipediaOptions(part_megabytes=2, shards=8)
    arguments = [f"--direct_num_workers={workers}"]
    manifest = timed("all", pipeline.build_wikipedia)([str(dump)], str(output), options, arguments)
    for name, function in phases.items():
        setattr(pipeline, name, function)
    return manifest, seconds, processor_seconds() - used


def main() -> None:
    """Prints the table; a core's rate is that of what the repeated sample takes beyond the sample alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large = (repeat(arguments.sample, folder / f"{n}.xml.bz2", n) / 1e6 for n in (1, arguments.copies))
        begun = processor_seconds()
        bz2.decompress((folder / f"{arguments.copies}.xml.bz2").read_bytes())
        print(f"{large:.0f} MB of XML; bz2 alone {large / (processor_seconds() - begun):.1f} MB/s per core")
        for workers in arguments.workers:
            _, _, start = measure(folder / "1.xml.bz2", folder / f"small-{workers}", workers)
            dump = folder / f"{arguments.copies}.xml.bz2"
            manifest, seconds, used = measure(dump, folder / f"large-{workers}", workers)
            report(workers, large, large - small, manifest["counts"]["pages"], seconds, used, used - start)


def report(workers, size, more, pages, seconds, used, more_used) -> None:
    """Prints what one number of workers did; sizes in MB."""
    wall, per_core = seconds["all"], more / more_used
    print(f"{workers} workers: {wall:.1f} s (parse {seconds['parse']:.1f}, write {seconds['write']:.1f})", end="")
    print(f" = {size / wall:.1f} MB/s, {pages / wall:.0f} pages/s with the start of the processes")
    print(
        f"  processor: {used:.1f} s, {used - more_used:.1f} s of it for the sample alone, mostly start; beyond it ",
        end="",
    )
    print(f"{per_core:.1f} MB/s and {per_core / size * pages:.0f} pages/s per core")
    hours = _FULL_BYTES / 1e6 / per_core / 3600
    print(f"  100 GB of XML at that: {hours:.1f} h on 1 worker, {hours * 60 / 100:.1f} min on 100")


if __name__ == "__main__":
    main()
