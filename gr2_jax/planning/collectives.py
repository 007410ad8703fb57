"""The collectives of a compiled program, read from its text."""

import math
import re
from typing import NamedTuple

BETWEEN_SLICES = "sent to other slices"
KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{")
_OPERATION = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(?:-start)?\(")
_SEND = re.compile(r"= \((.*?), u32\[\], token\[\]\) send\(.*xla_megascale")
_WHILE = re.compile(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)")
_CONSTANT = re.compile(r"s32\[\]\S* constant\((\d+)\)")
_CALLED = re.compile(r"(?:calls|to_apply|condition|branch_computations)=\{?%?([\w.\-]+)")
_SHAPE = re.compile(r"(pred|[suf]\d+|bf16|f8\w*)\[([\d,]*)\]")
_CHANNEL = re.compile(r"channel_id=(\d+)")


class Collective(NamedTuple):
    """A collective within a slice, or what a chip sends over the network to other slices, that a step runs `times`
    times, loops included; `bytes` of its largest array, on one chip."""

    kind: str
    shape: str
    bytes: int
    times: int


def collectives(text: str) -> list[Collective]:
    """The collectives of a compiled program, each channel once, the most bytes first."""
    inside, loops = _computations(text)
    found, seen = [], set()
    for name, lines in inside.items():
        for line in lines:
            operation, sent = _OPERATION.search(line), _SEND.search(line)
            if operation is None and sent is None:
                continue
            channel = _CHANNEL.search(line)
            if channel is not None and channel[1] in seen:
                continue
            seen.add(channel[1] if channel else line)
            arrays = _SHAPE.finditer((operation or sent)[1])
            shape, size = max(((m[0], _bytes(m)) for m in arrays), key=lambda pair: pair[1])
            found.append(Collective(operation[2] if operation else BETWEEN_SLICES, shape, size, loops(name)))
    return sorted(found, key=lambda one: -one.bytes * one.times)


def by_kind(found: list[Collective]) -> dict[str, tuple[int, int]]:
    """Kind -> (runs per step, bytes per step)."""
    totals = {}
    for one in found:
        times, size = totals.get(one.kind, (0, 0))
        totals[one.kind] = times + one.times, size + one.times * one.bytes
    return totals


def _bytes(shape: re.Match) -> int:
    width = 1 if shape[1] == "pred" else int(re.sub(r"\D", " ", shape[1]).split()[0]) / 8
    return int(math.prod(int(n) for n in shape[2].split(",") if n) * width)


def _trips(condition: list[str]) -> int:
    """A scan's loop ends where its counter reaches a constant."""
    return max((int(n) for line in condition for n in _CONSTANT.findall(line)), default=1)


def _computations(text: str):
    """The lines of each computation, and a function that counts its runs by the loops around it."""
    inside, current = {}, None
    for line in text.splitlines():
        if begins := _COMPUTATION.match(line.strip()):
            current = inside.setdefault(begins[1], [])
        elif current is not None:
            current.append(line)
    callers = {}
    for name, lines in inside.items():
        for line in lines:
            for condition, body in _WHILE.findall(line):
                callers[body] = name, _trips(inside.get(condition, ()))
            for called in _CALLED.findall(line):
                callers.setdefault(called, (name, 1))

    def loops(name: str) -> int:
        if name not in callers:
            return 1
        caller, trips = callers[name]
        return trips * loops(caller)

    return inside, loops
