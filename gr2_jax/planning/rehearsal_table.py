"""What a rehearsal found, as text to print."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gr2_jax.evaluation.table import format_table
from gr2_jax.pipeline.large import LARGE
from gr2_jax.planning.measuring import Figures
from gr2_jax.planning.rehearsal import BATCHES, STEPS, TRAINING

_HERE = ("seconds", "CPU s", "MiB", "bytes/doc")
_WHOLE = ("all: CPU h", "all: GiB", "all: GB")  # not by the clock: a busy machine would be taken for growth


def rehearsal_lines(name: str, report: Mapping[str, Any]) -> Iterator[str]:
    """The table of stages, and what the reader should know of it."""
    documents, whole = report["documents"], report["statistics"]["documents"]
    measured, half = report["measured"][str(documents)], documents // 2
    yield (
        f"{name}: {documents:,} generated documents, measured; all {whole:,} by the line through {half:,} and "
        f"{documents:,}"
    )
    yield ""
    yield stage_table(measured, report["whole"], documents)
    yield ""
    yield (
        "MiB and GiB are what a stage takes beyond what the process held before; "
        "the last line counts all that the process held."
    )
    rate = report["examples"] / measured[BATCHES]["seconds"]
    yield (
        f"batches: {rate:,.0f} examples a second are read ({STEPS} steps); {STEPS} steps of training at a tiny width "
        f"took {measured[TRAINING]['seconds']:,.0f} s, with compilation"
    )
    tiny, width = report["widths"]
    for part in (part for part in measured if part.startswith("vectors/")):
        size = measured[part]["disk_bytes"] / documents * whole * width / tiny
        yield f"{part} in the model's width, {width}: {size / 1e9:,.0f} GB by arithmetic"
    if report["written"]:
        yield f"{', '.join(report['written'])}: not in the columns of all, since a model works there, here a tiny one"
    if half < LARGE < whole:
        yield (
            f"memory that has a limit (LSA's sample of {LARGE:,} documents, blocks of docids) still grows below "
            f"{2 * LARGE:,} documents: the memory for {whole:,} is far too high, so rehearse with more"
        )


def stage_table(measured: Mapping[str, Figures], whole: Mapping[str, Figures], documents: int) -> str:
    """A row for each part, in the order in which they began, and one for the run, the sum of its stages."""
    parts = sorted(measured, key=lambda part: measured[part]["began"])
    rows = {part: _here(measured[part], documents) | _there(whole.get(part)) for part in parts}
    stages = [part for part in parts if part in whole and not _is_inside(part, measured)]
    total = _here(_sum([measured[part] for part in stages]), documents)
    rows["a run without training"] = total | _there(_sum([whole[part] for part in stages]))
    return format_table(rows, (*_HERE, *_WHOLE), heading="stage")


def _is_inside(part: str, measured: Mapping[str, Figures]) -> bool:
    return any(part.startswith(f"{other}/") for other in measured)


def _sum(figures: Sequence[Figures]) -> Figures:
    added = {name: sum(one[name] for one in figures) for name in ("seconds", "cpu_seconds", "disk_bytes")}
    return added | {"memory_bytes": max(one["process_bytes"] for one in figures)}


def _here(figures: Figures, documents: int) -> dict[str, float]:
    values = figures["seconds"], figures["cpu_seconds"], figures["memory_bytes"] / 2**20
    return dict(zip(_HERE, (*values, figures["disk_bytes"] / documents), strict=True))


def _there(figures: Figures | None) -> dict[str, float]:
    if figures is None:
        return {}
    values = figures["cpu_seconds"] / 3600, figures["memory_bytes"] / 2**30, figures["disk_bytes"] / 1e9
    return dict(zip(_WHOLE, values, strict=True))


def bill_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Chip-hours by training and topology; below it, why some are left out, each reason once."""
    planned = {f"{line['training']}, {line['topology']}": _priced(line) for line in lines if "left_out" not in line}
    columns = ("mesh", "steps", "ms a step", "hours", "chip-hours")
    table = [format_table(planned, columns, heading="training")] if planned else []
    reasons: dict[str, list[str]] = {}
    for line in lines:
        if "left_out" in line:
            reasons.setdefault(line["left_out"], []).append(f"{line['training']}, {line['topology']}")
    return "\n".join([*table, *(f"left out: {'; '.join(names)}: {why}" for why, names in reasons.items())])


def _priced(line: Mapping[str, Any]) -> dict[str, str]:
    mesh = line["mesh"] if line["overlay"] is None else f"{line['mesh']} ({line['overlay']})"
    if not line["fits"]:
        return {"mesh": mesh, "steps": "does not fit"}
    ranges = {"ms a step": [1e3 * bound for bound in line["step_seconds"]], "hours": line["hours"]}
    ranges["chip-hours"] = line["chip_hours"]
    shown = {column: f"{low:,.1f} to {high:,.1f}" for column, (low, high) in ranges.items()}
    return {"mesh": mesh, "steps": f"{line['steps']:,}", **shown}
