"""Which chips take part in a collective together, read from its line of a compiled program."""

import math
import re

import numpy as np

_EACH = re.compile(r"(?:replica_groups|source_target_pairs)=\{(\{[\d,{} ]*\})\}")
_RANGE = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))? \{([^}]*)\}")
_AXIS = re.compile(r"'(\w+)'=(\d+)")
_ALONG = re.compile(r"'(\w+)'(?::\((\d+)\)(\d+))?")


def groups_of(line: str) -> list[list[int]]:
    """The groups of chips, by their places in the program's mesh; of a permutation its pairs; [] where the line names
    none. The compiler writes groups in three ways: each one, as a reshaped range, or as axes of a mesh."""
    if found := _EACH.search(line):
        return [_numbers(group) for group in re.findall(r"\{([\d, ]+)\}", found[1])]
    if found := _RANGE.search(line):
        shape, places = _numbers(found[1]), _range(found[2], found[3])
        return places.reshape(shape).tolist()
    if found := _MESH.search(line):
        return _along_axes(*found.groups())
    return []


def network_share(line: str, per_host: int) -> float:
    """What a chip sends over its host's network in a collective, as a share of the collective's array: nothing where
    the groups stay within hosts; else the chips of a host that are of one group send the array together, each its
    part."""
    hosts = [[chip // per_host for chip in group] for group in groups_of(line)]
    share = [1 / own.count(own[0]) for own in hosts if len(set(own)) > 1]
    return max(share, default=0.0)


def _along_axes(axes: str, shape: str | None, order: str | None, along: str) -> list[list[int]]:
    """Groups along axes of a mesh such as `'axis_0'=4,'axis_1'=8`, whose chips are in order unless a reshaped range
    says otherwise. `'axis_1':(2)4` is a part of an axis: 4 long, with 2 before it."""
    sizes = {name: int(size) for name, size in _AXIS.findall(axes)}
    places = _range(shape, order) if shape else np.arange(math.prod(sizes.values()))
    wanted = {name: (int(before or 1), int(size or sizes[name])) for name, before, size in _ALONG.findall(along)}
    split, chosen = [], []
    for name, size in sizes.items():
        before, middle = wanted.get(name, (size, 1))
        chosen += [len(split) + 1] if name in wanted else []
        split += [before, middle, size // (before * middle)]
    apart = np.moveaxis(places.reshape(split), chosen, range(-len(chosen), 0))
    return apart.reshape(-1, math.prod(split[axis] for axis in chosen)).tolist()


def _range(shape: str, order: str | None) -> np.ndarray:
    sizes = _numbers(shape)
    places = np.arange(math.prod(sizes)).reshape(sizes)
    return places.transpose(_numbers(order)) if order else places


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.replace(" ", "").split(",")]
