"""Who imports whom: rooms in order, no circles, Flax's modules in one place, and entries that load little."""

import ast
import functools
import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gr2_jax.cli import COMMANDS

PACKAGE = Path(__file__).parents[1] / "gr2_jax"
TOP = (
    "errors",
    "terminal",
    "progress",
    "files",
    "checksums",
    "array_files",
    "buckets",
    "hosts",
    "heartbeat",
    "roll_call",
    "lock",
    "memory",
    "compilation_cache",
)
ROOMS = (
    TOP,
    ("corpus",),
    ("losses",),
    ("decoding",),
    ("models",),
    ("data",),
    ("docids",),
    ("objectives",),
    ("training",),
    ("search",),
    ("evaluation",),
    ("experiment",),
    ("pipeline",),
    ("recipes",),
    ("planning",),
    ("serving",),
    ("commands",),
    ("cli",),
)
"""From the ground up: a room imports its own modules and those of rooms that stand before it."""
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
DOORS = ("gr2_jax", "gr2_jax.__main__")  # which open rooms when they are asked to
NARROWER = {
    "losses": {"errors"},
    "decoding": {"errors"},
    "models": {*TOP},
    "data": {*TOP, "corpus"},
    "docids": {*TOP, "models", "decoding"},
    "objectives": {"errors", "losses", "models"},  # not training: the paper's maths does not know the machine
    "training": {*TOP, "models"},  # nor the machine the maths
    "search": {*TOP, "corpus", "models", "decoding", "docids"},
    "evaluation": {*TOP, "corpus", "docids", "search"},
}
"""Rooms that import less than all that stands before them."""
LINEN = {
    "gr2_jax.training.mesh": "the rules from a parameter's logical axes to those of the mesh are a context of Linen's",
    "gr2_jax.pipeline.schemes.pseudo_queries": "signatures name nn.Module: a T5 or a fusion model",
}
"""Modules outside gr2_jax.models that import flax.linen, and why."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


class Imports(ast.NodeVisitor):
    """(module, line) of each import, inside functions too; not those for type checkers alone."""

    def __init__(self):
        self.found: list[tuple[str, int]] = []

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(alias.name, node.lineno) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, f"line {node.lineno}: a relative import"
        for alias in node.names:
            self.found.append((f"{node.module}.{alias.name}", node.lineno))


@functools.cache
def imports(module: str) -> list[tuple[str, int]]:
    """What a module imports of anybody, names included (`a.b.name`), with the lines."""
    visitor = Imports()
    visitor.visit(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    return visitor.found


def own_imports(module: str) -> Iterator[tuple[str, int]]:
    """The modules of the package that a module imports, with the lines."""
    for name, line in imports(module):
        if name.split(".")[0] == "gr2_jax":
            while name not in MODULES:  # a name of a module
                name = name.rpartition(".")[0]
            yield name, line


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_imports_are_found_in_functions_and_not_in_blocks_for_type_checkers():
    visitor = Imports()
    visitor.visit(
        ast.parse(
            "import a.b\nif TYPE_CHECKING:\n    import c\nelse:\n    import d\n"
            "def f():\n    from e import f\n    if x:\n        from g.h import i as j\n"
        )
    )
    assert [name for name, _ in visitor.found] == ["a.b", "d", "e.f", "g.h.i"]
    assert {"gr2_jax.pipeline.stages", "gr2_jax.experiment"} <= dict(own_imports("gr2_jax.commands.experiments")).keys()


def test_every_module_is_in_a_room_of_the_order():
    assert {room(module) for module in MODULES if module not in DOORS} == set(FLOOR)


@pytest.mark.parametrize("one", FLOOR)
def test_a_room_imports_what_it_may_and_no_room_that_stands_later(one):
    before = {other for other in FLOOR if FLOOR[other] <= FLOOR[one]}
    allowed = {one, *NARROWER.get(one, before)}
    assert allowed <= before
    wrong = [
        f"{module}, line {line}: {imported}"
        for module in MODULES
        if room(module) == one and module not in DOORS
        for imported, line in own_imports(module)
        if imported != "gr2_jax" and room(imported) not in allowed
    ]
    assert not wrong


def test_no_files_import_each_other_in_a_circle():
    """A module's imports in its functions count, too."""
    graph = {module: sorted({name for name, _ in own_imports(module)} - {module}) for module in MODULES}
    graph["gr2_jax"] = []  # it imports when it is asked
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for imported in graph[module]:
                walk(imported, (*path, module))
            done.add(module)

    for module in graph:
        walk(module, ())


def test_only_models_are_written_in_linen():
    users = {
        module
        for module in MODULES
        for name, _ in imports(module)
        if f"{name}.".startswith("flax.linen.") and room(module) != "models"
    }
    assert users == set(LINEN)


def loaded_by(statements: str) -> set[str]:
    """The modules that a new interpreter has after these statements."""
    program = f"{statements}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_losses_load_themselves_and_errors_alone():
    own = {name for name in loaded_by("import gr2_jax.losses") if name.split(".")[0] == "gr2_jax"}
    assert {name for name in own if room(name) != "losses"} == {"gr2_jax", "gr2_jax.errors"}
    assert "gr2_jax.losses.mgcc" in own


def test_the_parser_of_all_commands_needs_no_library_that_takes_seconds():
    loaded = loaded_by("import gr2_jax.cli\ngr2_jax.cli.parser()")
    assert {f"gr2_jax.commands.{name}" for name in COMMANDS} <= loaded
    assert not {name.split(".")[0] for name in loaded} & {"jax", "flax", "tensorflow"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_its_help_its_arguments_and_its_run_and_no_other_public_name(command):
    module = importlib.import_module(f"gr2_jax.commands.{command}")
    tree = ast.parse(MODULES[module.__name__].read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    defined |= {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    assert {name for name in defined if not name.startswith("_")} == {"HELP", "add_arguments", "run"}
    assert module.HELP
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_every_command_has_a_file_and_every_file_is_a_command_or_what_commands_share():
    files = {path.stem for path in (PACKAGE / "commands").glob("*.py")}
    assert files == {
        *COMMANDS,
        "__init__",
        "ahead",
        "completion",
        "experiments",
        "field_options",
        "prompt",
        "search_options",
    }


BENCHMARKS = sorted((Path(__file__).parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_of_the_package_is_there(path):
    """Benchmarks are started by hand: nothing else would notice that what they import was moved."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gr2_jax":
            module = importlib.import_module(node.module)
            for name in node.names:
                there = hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}")
                assert there, f"{node.module} has no {name.name}"
