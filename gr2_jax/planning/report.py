"""The cost of a compiled program on a chip, as figures and as a table."""

import dataclasses
import math
import re
import time
from typing import Any

import jax

from gr2_jax.planning import gpus
from gr2_jax.planning.collectives import OVER_NETWORK, by_kind, collectives
from gr2_jax.training.chips import Chip
from gr2_jax.training.step import Step

_SIZE = re.compile(r"(?:Used |\()([\d.]+)([KMGT])(?: of |\) exceeds available HBM \()([\d.]+)([KMGT])")
_ARRAY = re.compile(r"tensor<((?:\d+x)+(?:b?f|u?i)\d+)>")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
EFFICIENCY = 0.5
"""Share of the chip's peak that products of this size are assumed to reach; a pure roofline assumes all of it."""


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A program compiled for a pod: bytes are per chip; `peak` is its peak memory, even if it does not fit."""

    fits: bool
    seconds: float
    peak: float
    text: str = ""
    largest: tuple[str, ...] = ()
    """The largest arrays, if it does not fit."""


def compile_for(lowered: jax.stages.Lowered, chip: Chip, *, quick: bool = False) -> Compiled:
    """Compiles. A program that the compiler rejects for its size does not fit; other compiler errors are raised."""
    started = time.monotonic()
    try:
        compiled = lowered.compile(compiler_options=_options(chip, quick))
    except jax.errors.JaxRuntimeError as error:
        size = _SIZE.search(str(error))
        if size is None:
            raise
        used = float(size[1]) * _UNITS[size[2]]
        named = largest(str(error)) or largest_arrays(lowered.as_text())
        return Compiled(False, time.monotonic() - started, used, largest=tuple(named))
    peak = _peak(compiled.memory_analysis(), chip)
    fits = peak <= chip.hbm  # the compiler for GPUs refuses no program
    named = () if fits else tuple(largest_arrays(lowered.as_text()))
    return Compiled(fits, time.monotonic() - started, peak, compiled.as_text(), named)


def _peak(memory: Any, chip: Chip) -> float:
    """On a GPU what is temporary is one block, as large as its arrays lie in it: gaps count."""
    if not chip.is_gpu:
        return memory.peak_memory_in_bytes
    arguments = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return arguments + memory.temp_size_in_bytes


def _options(chip: Chip, quick: bool) -> dict[str, Any]:
    """Effort is the TPU compiler's: a GPU's machine code costs none, and what is left does not ask for it."""
    if chip.is_gpu:
        return gpus.COMPILER_OPTIONS
    options = {"xla_jf_spmd_threshold_for_windowed_einsum_mib": "1000000"}  # else products hide their collectives
    return options | {"exec_time_optimization_effort": -1.0} if quick else options


def state_bytes(step: Step) -> dict[str, float]:
    """Bytes of the parameters and of the optimiser state on one chip."""

    def on_one(tree: Any) -> float:
        return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))

    return {"parameters": on_one(step.abstract.params), "optimiser": on_one(step.abstract.opt_state)}


def largest(message: str, count: int = 5) -> list[str]:
    """The largest allocations that the compiler names if a program does not fit."""
    sizes = re.findall(r"Size: ([\d.]+[KMGT])\s.*?Shape: (\S+)", message, flags=re.S)
    return [f"{size} {shape}" for size, shape in sizes[:count]]


def largest_arrays(text: str, count: int = 5) -> list[str]:
    """The largest arrays of a program before it is split, over all chips: the compiler does not always name them."""
    sizes = {}
    for found in set(_ARRAY.findall(text)):
        *shape, dtype = found.split("x")
        bits = 8 if dtype == "i1" else int(re.sub(r"\D", "", dtype))
        sizes[f"{dtype}[{','.join(shape)}]"] = math.prod(map(int, shape)) * bits / 8
    named = sorted(sizes, key=sizes.get, reverse=True)[:count]
    return [f"{sizes[name] / 2**30:,.2f} GiB over all chips {name}" for name in named]


def training_figures(step: Step, program: Compiled, flops: float, chip: Chip, steps: int) -> dict[str, Any]:
    """Everything that the table shows, in bytes, seconds and FLOPs of one chip; `activations` is the peak without
    parameters and optimiser state, so it includes gradients.

    The estimate is a roofline. Products take their FLOPs at half of the chip's peak, collectives take their bytes over
    the chip's links, and what goes to other slices or hosts over its share of the network. A step takes at least the
    longer of products and exchange (full overlap) and at most their sum (no overlap).
    """
    chips = step.mesh.size
    found = collectives(program.text, _of_first_host(step) if chip.is_gpu else None)
    moved = sum(one.bytes * one.times for one in found if one.kind not in OVER_NETWORK)
    sent = sum(one.bytes * one.times for one in found if one.kind in OVER_NETWORK)
    computing, talking = flops / chips / (chip.flops * EFFICIENCY), moved / chip.links + sent / chip.network
    least, most = max(computing, talking), computing + talking
    return {
        "chips": chips,
        "fits": program.fits,
        **state_bytes(step),
        "activations": program.peak - sum(state_bytes(step).values()),
        "peak": program.peak,
        "hbm": chip.hbm,
        "flops": flops / chips,
        "collectives": {kind: {"times": n, "bytes": size} for kind, (n, size) in by_kind(found).items()},
        "largest_collectives": [f"{one.times} x {one.kind} of {one.shape}" for one in found[:5]],
        "step_seconds": [least, most],
        "mfu": [flops / chips / chip.flops / bound for bound in (most, least)],
        "steps": steps,
        "hours": [bound * steps / 3600 for bound in (least, most)],
        "chip_hours": [bound * steps * chips / 3600 for bound in (least, most)],
        "compile_seconds": program.seconds,
        "largest": program.largest,
    }


def _of_first_host(step: Step) -> int:
    processes = [device.process_index for device in step.mesh.devices.flat]
    return processes.count(processes[0])


def table(title: str, figures: dict[str, Any]) -> str:
    """The figures as text to print."""
    lines = [
        title,
        f"{'':2}{'fits' if figures['fits'] else 'DOES NOT FIT'}: peak {_gib(figures['peak'])} of "
        f"{_gib(figures['hbm'])} on each of {figures['chips']:,} chips",
    ]
    if not figures["fits"]:
        lines += [f"{'':4}{text}" for text in figures["largest"]]
        return "\n".join([*lines, f"  compiled in {figures['compile_seconds']:.0f} s"])
    lines += [f"  {name:<12}{_gib(figures[name]):>12}" for name in ("parameters", "optimiser", "activations")]
    lines += [f"  {'FLOPs':<12}{figures['flops'] / 1e12:>9.2f} T a chip and step"]
    for kind, one in figures["collectives"].items():
        lines.append(f"  {kind:<20}{one['times']:>6} times {one['bytes'] / 2**20:>10,.0f} MiB")
    lines += [f"    {text}" for text in figures["largest_collectives"]]
    for name, unit, scale in (
        ("step_seconds", "ms a step", 1e3),
        ("mfu", "% MFU", 100),
        ("hours", "h", 1),
        ("chip_hours", "chip-hours", 1),
    ):
        low, high = figures[name]
        lines.append(f"  {low * scale:,.1f} to {high * scale:,.1f} {unit}")
    lines.append(
        f"  (products at {EFFICIENCY:.0%} of the peak; collectives at the links' and the network's full speed, behind "
        f"the products or not; {figures['steps']:,} steps; compiled in {figures['compile_seconds']:.0f} s)"
    )
    return "\n".join(lines)


def search_table(figures: dict[str, Any]) -> str:
    """The figures of a search as text to print."""
    how = "sharded over them" if figures["divided"] else "whole on each"
    lines = [
        f"constrained search on a host's {figures['chips']} chips, model and trie {how}; "
        f"{figures['queries']} queries of 20 beams on each",
        f"  {'fits' if figures['fits'] else 'DOES NOT FIT'}: peak {_gib(figures['peak'])} of {_gib(figures['hbm'])}",
        f"  parameters {_gib(figures['parameters'])}, trie of {figures['documents']:,} docids {_gib(figures['trie'])}",
        f"  about {figures['ms_per_query']:,.2f} ms a query (the decoder's weights read, gathered and multiplied at "
        f"each token; compiled in {figures['compile_seconds']:.0f} s)",
    ]
    if figures["collectives"]:
        counted = ", ".join(f"{times} {kind}" for kind, times in figures["collectives"].items())
        lines.insert(3, f"  collectives in the program: {counted}")
    return "\n".join(lines)


def _gib(size: float) -> str:
    return f"{size / 2**30:,.2f} GiB"
