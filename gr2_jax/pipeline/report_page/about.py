"""What the run cost, what it was asked for, and what it ran with."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.evaluation.report_page.markup import Html, foreign, note, sentence, table, tag, together
from gr2_jax.evaluation.table import cell_of
from gr2_jax.experiment.fields import REQUIRED, fields_of
from gr2_jax.files import reading
from gr2_jax.pipeline.report_page.findings import Findings
from gr2_jax.pipeline.run import Run
from gr2_jax.training.metrics_log import FILE, read_lines

COSTS, SETTINGS = ("costs", "Costs"), ("settings", "Settings and versions")
COLUMNS = ("index MB", "model MB", "train s", "ms/query")
_OF_NO_INTEREST = ("name", "workdir")  # the page's title and place


def costs(found: Findings) -> Html:
    trained = dict(_trained(found.detail))
    rows = [
        [name, *(cell_of(found.row(name).get(column)) for column in COLUMNS), *trained.get(name, (None, None, None))]
        for name in (row.name for row in found.run.rows)
        if name in trained or found.row(name)
    ]
    if not rows:
        raise UserError("no row of the run was trained or searched yet")
    headings = ["row", *COLUMNS, "training began", "ended", "devices"]
    about = (
        "Index: what a search keeps of the corpus; model: the weights; train s includes compilation; ms/query is for "
        "batches, after compilation. Times and devices are those that the training recorded"
    )
    return together(table(headings, rows, words=(0, 5, 6, 7)), note(f"{about}{found.whose}; - where it recorded none."))


def _trained(run: Run) -> Iterator[tuple[str, tuple[str | None, str | None, str | None]]]:
    """Row -> when its training began and ended, and on which devices."""
    for row in run.rows:
        if row.name not in run.trainings:
            continue
        stage = run.training(row.name)
        with reading(stage.directory / FILE):
            lines = [line for line in read_lines(stage.directory / FILE) if isinstance(line.get("time"), int | float)]
            began = _moment(lines[0]["time"] - lines[0].get("wall", 0.0)) if lines else None
            ended = _moment(lines[-1]["time"]) if lines else None
        try:
            devices = stage.meta.get("devices")
        except UserError:  # killed before it wrote its record
            devices = None
        yield row.name, (began, ended, None if devices is None else str(devices))


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def settings(found: Findings) -> Html:
    changed = [
        [tag("code", field.path), foreign(_value(field.value)), foreign(_value(field.default))]
        for field in fields_of(found.run.experiment)
        if field.is_changed and field.path not in _OF_NO_INTEREST and not field.path.endswith(".name")
    ]
    kinds = [
        f"{field.path.rpartition('.')[2]} ({field.value})"
        for field in fields_of(found.run.experiment)
        if field.default is REQUIRED
        and field.path.startswith(("rows.", "docids.schemes."))
        and "." not in _after(field.path)
    ]
    parts = [
        sentence("Rows and docid schemes: ", ", ".join(kinds), ".") if kinds else None,
        sentence(f"Seed {found.run.experiment.seed}; seed of the split {found.run.experiment.corpus.split_seed}."),
        table(["setting", "value", "default"], changed, words=(0, 1, 2)) if changed else None,
        note("Settings that are not listed have their defaults, see ", tag("code", "gr2 config show"), "."),
    ]
    return together(*parts, *_provenance(found))


def _after(path: str) -> str:
    """The name, and what follows, in the path of a row or a docid scheme."""
    return path.removeprefix("rows.").removeprefix("docids.schemes.")


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(_value, value)) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _provenance(found: Findings) -> list[Html]:
    try:
        about: Mapping[str, Any] = found.provenance
    except UserError:
        return [note("Versions are noted with the table, and there is none yet.")]
    rows = [["Python", str(about.get("python"))]]
    rows += [[name, str(version)] for name, version in (about.get("versions") or {}).items() if version is not None]
    if "seeds" in about:
        rows.insert(0, ["seeds", ", ".join(map(str, about["seeds"]))])
    corpus = about.get("corpus")
    described = corpus.items() if isinstance(corpus, dict) else [("provenance", corpus)]
    rows += [[f"corpus: {name}", foreign(str(value))] for name, value in described if value is not None]
    conventions = [note(foreign(str(about[key]), 2000)) for key in ("topics", "conventions") if key in about]
    return [tag("h3", "Versions and corpus"), table(["name", "value"], rows, words=(0, 1)), *conventions]
