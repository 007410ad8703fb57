"""A study: one experiment, changed along axes, and what is compared over all of its points."""

import abc
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from gr2_jax.errors import SettingError, UserError, check_name, nearest
from gr2_jax.experiment.experiment import Experiment
from gr2_jax.experiment.fields import fields_of
from gr2_jax.experiment.loading import override

Overlay = Callable[[Experiment], Experiment]

BASE = "base"
"""The name of the point that no axis changes."""


class Value(NamedTuple):
    """A place on an axis: its name, its number where the axis has numbers, and the changed experiment."""

    name: str
    number: float | None
    experiment: Experiment


@dataclasses.dataclass(frozen=True)
class Axis(abc.ABC):
    """What a study varies.

    name    in the names of points, in the table and on the figure
    """

    name: str

    def __post_init__(self):
        check_name(self, "name", self.name)

    def over(self, base: Experiment) -> Experiment:
        """What the axis makes of the base itself, for all points alike."""
        return base

    @abc.abstractmethod
    def values(self, base: Experiment) -> list[Value]:
        """The places of the axis; `UserError` for a value that the base cannot take."""

    def own(self, base: Experiment) -> Value | None:
        """The place of the base itself, where the axis has numbers and the base one that is not among the values."""
        return None

    def is_for(self, base: Experiment) -> bool:
        """Whether the base has what the axis varies."""
        return True


@dataclasses.dataclass(frozen=True)
class Rows(Axis):
    """Rows that overlays add to the table. All are rows of one run: such an axis has no points of its own.

    overlays    each adds rows, from left to right
    """

    overlays: tuple[Overlay, ...]

    def __post_init__(self):
        super().__post_init__()
        _check_filled(self, "overlays", self.overlays)

    def over(self, base: Experiment) -> Experiment:
        for overlay in self.overlays:
            base = _laid_over(overlay, base, self.name)
        return base

    def values(self, base: Experiment) -> list[Value]:
        return []


@dataclasses.dataclass(frozen=True)
class Setting(Axis):
    """A field of the experiment, as the command line names it, with several values.

    field       such as retrieval.objective.temperature
    given       its values, or a function of the base that chooses them
    also        other fields -> the values that they have at these points
    optional    left out of studies over a base that has no such row or docid scheme
    """

    field: str
    given: tuple[Any, ...] | Callable[[Experiment], tuple[Any, ...]]
    also: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    optional: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not callable(self.given):
            self._check(self.given)

    def _check(self, given: Any) -> None:
        _check_filled(self, "given", given)
        if twice := next((_written(value) for value in given if list(given).count(value) > 1), None):
            raise SettingError(self, "given", f"of {self.name} has {twice} twice")

    def is_for(self, base: Experiment) -> bool:
        return not self.optional or any(field.path == self.field for field in fields_of(base))

    def values(self, base: Experiment) -> list[Value]:
        given = self.given(base) if callable(self.given) else self.given
        self._check(given)
        numeric = all(map(_is_number, given))
        return [Value(_written(value), float(value) if numeric else None, self._at(base, value)) for value in given]

    def own(self, base: Experiment) -> Value | None:
        values = self.values(base)
        at = next((field.value for field in fields_of(base) if field.path == self.field), None)
        if self.also or not _is_number(at) or any(value.number in (None, float(at)) for value in values):
            return None
        return Value(_written(at), float(at), base)

    def _at(self, base: Experiment, value: Any) -> Experiment:
        changes = {self.field: value} | dict(self.also)
        return override(base, [word for path, at in changes.items() for word in (f"--{path}", _written(at))])


@dataclasses.dataclass(frozen=True)
class Changes(Axis):
    """Overlays, each a point of its own.

    overlays    name -> function from the base to the changed experiment
    """

    overlays: Mapping[str, Overlay]

    def __post_init__(self):
        super().__post_init__()
        _check_filled(self, "overlays", self.overlays)
        for name in self.overlays:
            check_name(self, "overlays", name)

    def values(self, base: Experiment) -> list[Value]:
        return [Value(name, None, _laid_over(change, base, name)) for name, change in self.overlays.items()]


@dataclasses.dataclass(frozen=True)
class Pair(Axis):
    """Two settings, each value of the one with each of the other: a heat map.

    first, second    along the map's width and its height
    """

    first: Setting
    second: Setting

    def is_for(self, base: Experiment) -> bool:
        return self.first.is_for(base) and self.second.is_for(base)

    def values(self, base: Experiment) -> list[Value]:
        return [value for _, _, value in self.cells(base)]

    def cells(self, base: Experiment) -> Iterator[tuple[str, str, Value]]:
        """The names of both values, and the place."""
        for across in self.first.values(base):
            for up in self.second.values(across.experiment):
                name = f"{across.name},{self.second.name}={up.name}"
                yield across.name, up.name, Value(name, None, up.experiment)


class Point(NamedTuple):
    """An experiment of a study. `name` is in its table, `folder` its place in points/."""

    name: str
    folder: str
    experiment: Experiment


class Place(NamedTuple):
    """Where a point lies on an axis: its coordinates, one or, of a pair, two, and its number where it has one."""

    point: str
    names: tuple[str, ...]
    number: float | None


class Points(NamedTuple):
    """A study over a base.

    points      in the order in which they are run; no two are the same experiment
    places      axis -> where points lie on it
    against     the row with which all rows are compared; "": each with itself
    left_out    axes of which the base has nothing to vary
    """

    points: tuple[Point, ...]
    places: dict[str, tuple[Place, ...]]
    against: str
    left_out: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """An experiment and what is varied about it, one axis at a time.

    name             of the study
    base             the experiment; `gr2 study --base` takes another
    axes             what is varied
    overlay          changes every base before the axes do
    seeds            of every point; the command line can name others
    measure          that is drawn and tested; "": nDCG@20, or the first where it is not measured
    rows             that are drawn; (): all
    reference        the point with which the others are compared, such as "tau=0.1"; by default the base, which is a
                     point for that reason
    reference_row    the row with which all rows are compared, or a function of the base that names it; "": each is
                     compared with itself at the reference
    """

    name: str
    base: Experiment
    axes: tuple[Axis, ...]
    overlay: Overlay | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    measure: str = ""
    rows: tuple[str, ...] = ()
    reference: str = BASE
    reference_row: str | Callable[[Experiment], str] = ""

    def __post_init__(self):
        check_name(self, "name", self.name)
        if not isinstance(self.base, Experiment):
            raise SettingError(self, "base", f"is a {type(self.base).__name__}: a study is over an Experiment")
        _check_filled(self, "axes", self.axes)
        _check_filled(self, "seeds", self.seeds)
        names = [axis.name for axis in self.axes]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise SettingError(self, "axes", f"has two axes named '{twice}': give one another name")

    def over(self, base: Experiment) -> Points:
        """The points over a base, by default the study's own; each is checked as its sections check themselves. Raises
        `UserError`, which names the axis, for a value that cannot be, and for a reference or row that no point has."""
        base = base if self.overlay is None else _laid_over(self.overlay, base, self.name)
        axes = [axis for axis in self.axes if axis.is_for(base)]
        for axis in axes:
            base = axis.over(base)
        points = [Point(BASE, BASE, base)] if self.reference == BASE else []
        places: dict[str, tuple[Place, ...]] = {}
        for axis in axes:
            places[axis.name] = tuple(_places(axis, base, points))
        if not points:
            raise SettingError(self, "axes", f"have no value for {base.name}: nothing would be run")
        against = self.reference_row(base) if callable(self.reference_row) else self.reference_row
        self._check_names(points, against)
        left_out = tuple(axis.name for axis in self.axes if axis not in axes)
        return Points(tuple(points), places, against, left_out)

    def _check_names(self, points: list[Point], against: str) -> None:
        names = [point.name for point in points]
        if self.reference not in names:
            raise SettingError(self, "reference", f"is '{self.reference}', no point: {nearest(self.reference, names)}")
        folders = [point.folder for point in points]
        if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
            raise SettingError(self, "axes", f"have two points that would lie in '{twice}': give an axis another name")
        rows = dict.fromkeys(row.name for point in points for row in point.experiment.rows)
        own = [row.name for row in points[names.index(self.reference)].experiment.rows]
        for field, wanted, known in (("rows", self.rows, rows), ("reference_row", (against,), own)):
            if missing := next((name for name in wanted if name and name not in known), None):
                raise SettingError(self, field, f"has '{missing}', a row of no such point: {nearest(missing, known)}")


def _places(axis: Axis, base: Experiment, points: list[Point]) -> Iterator[Place]:
    """Where points lie on the axis. Those that are new are added: of equal experiments the first is the point."""
    try:
        if isinstance(axis, Pair):
            values = [((across, up), value) for across, up, value in axis.cells(base)]
        else:
            own = axis.own(base) if points and points[0].experiment == base else None
            values = [((value.name,), value) for value in [*axis.values(base), *([] if own is None else [own])]]
            values.sort(key=lambda place: place[1].number or 0.0)
    except UserError as error:
        raise UserError(f"axis {axis.name}: {error}") from error
    prefix = axis.first.name if isinstance(axis, Pair) else axis.name
    for names, value in values:
        experiment = dataclasses.replace(value.experiment, name=base.name, workdir=base.workdir)
        point = next((point for point in points if point.experiment == experiment), None)
        if point is None:
            name = f"{prefix}={value.name}"
            point = Point(name, re.sub(r"[^\w.+=,-]", "_", name), experiment)
            points.append(point)
        yield Place(point.name, names, value.number)


def _laid_over(overlay: Overlay, base: Experiment, name: str) -> Experiment:
    """With the base's own name and place: a study says where its points lie."""
    try:
        changed = overlay(base)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    if not isinstance(changed, Experiment):
        raise UserError(f"{name}: the overlay must return an Experiment, not {type(changed).__name__}")
    return dataclasses.replace(changed, name=base.name, workdir=base.workdir)


def _check_filled(section: object, field: str, value: Any) -> None:
    if not isinstance(value, tuple | dict) or not value:
        raise SettingError(section, field, f"is {value!r}: give one or more")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _written(value: Any) -> str:
    """As the command line takes it."""
    if isinstance(value, tuple | list):
        return ",".join(map(_written, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
