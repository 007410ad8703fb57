"""The collectives of a compiled program, read from its text."""

import math
import re
from typing import NamedTuple

from gr2_jax.planning.device_groups import network_share

BETWEEN_SLICES, BETWEEN_HOSTS = "sent to other slices", "sent to other hosts"
OVER_NETWORK = (BETWEEN_SLICES, BETWEEN_HOSTS)
KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{")
_OPERATION = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(")
_SEND = re.compile(r"= \((.*?), u32\[\], token\[\]\) send\(.*xla_megascale")
_WHILE = re.compile(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)")
_KNOWN_TRIPS = re.compile(r"\"known_trip_count\":\{\"n\":\"(\d+)\"\}")
_CONSTANT = re.compile(r"s32\[\]\S* constant\((\d+)\)")
_CALLED = re.compile(r"(?:calls|to_apply|condition|branch_computations)=\{?%?([\w.\-]+)")
_SHAPE = re.compile(r"(pred|[suf]\d+|bf16|f8\w*)\[([\d,]*)\]")
_CHANNEL = re.compile(r"channel_id=(\d+)")


class Collective(NamedTuple):
    """A collective within a slice, or what a chip sends over the network to other slices or hosts, that a step runs
    `times` times, loops included; `bytes` of its arrays, on one chip; `shape` of the largest, and how many more."""

    kind: str
    shape: str
    bytes: int
    times: int


def collectives(text: str, per_host: int | None = None) -> list[Collective]:
    """The collectives of a compiled program, each channel once, the most bytes first.

    per_host    chips of a host, where hosts are joined by a network alone and the program does not say what is sent
                over it: of GPUs. A collective over several hosts then counts for the links, and its part of the network
                on its own.
    """
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
            kind = operation[2] if operation else BETWEEN_SLICES
            shape, size = _arrays((operation or sent)[1], bool(operation and operation[3] and kind != "all-reduce"))
            found.append(Collective(kind, shape, size, loops(name)))
            if per_host and (share := network_share(line, per_host)):
                found.append(Collective(BETWEEN_HOSTS, shape, int(size * share), loops(name)))
    return sorted(found, key=lambda one: -one.bytes * one.times)


def _arrays(result: str, began: bool) -> tuple[str, int]:
    """The largest array of a collective's result, with how many more there are, and the bytes of all: several arrays
    may go together. What has only begun has its operands beside its results: the larger of the two count."""
    parts = [list(_SHAPE.finditer(part)) for part in (_elements(result)[:2] if began else [result])]
    size, arrays = max(((sum(map(_bytes, part)), part) for part in parts), key=lambda pair: pair[0])
    largest, more = max(arrays, key=_bytes)[0], len(arrays) - 1
    return f"{largest} and {more} more" if more else largest, size


def _elements(result: str) -> list[str]:
    """The elements of a tuple such as `((f32[2]{0}, f32[3]{0}), f32[8]{0})`."""
    elements, depth = [""], 0
    for letter in result:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 1:
            elements.append("")
        else:
            elements[-1] += letter
    return elements


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
                known = _KNOWN_TRIPS.search(line)
                callers[body] = name, int(known[1]) if known else _trips(inside.get(condition, ()))
            for called in _CALLED.findall(line):
                callers.setdefault(called, (name, 1))

    def loops(name: str) -> int:
        if name not in callers:
            return 1
        caller, trips = callers[name]
        return trips * loops(caller)

    return inside, loops
