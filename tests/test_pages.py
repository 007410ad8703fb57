"""The pages for people: their commands parse, settings, configs, names and links exist, and their Python loads."""

import ast
import functools
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

from gr2_jax import experiment
from gr2_jax.cli import COMMANDS, parser
from gr2_jax.errors import UserError
from gr2_jax.experiment.loading import lay_over, load_experiment, override
from gr2_jax.experiment.study_file import load_study
from gr2_jax.pipeline import rows, schemes
from gr2_jax.recipes.quickstart import PROFILES

ROOT = Path(__file__).parents[1]
TOP = ROOT / "README.md"
PAGES = [
    TOP,
    *(ROOT / folder / "README.md" for folder in ("configs", "launch", "tests")),
    *sorted(ROOT.glob("gr2_jax/**/README.md")),
]
MOST_WORDS = 900  # of the top page, outside code and tables
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
MINE = "# configs/mine.py"
SECTIONS = {"experiment", "pipeline", "recipes"}  # of the package: examples that import these alone only make settings
CLASSES = {name: getattr(module, name) for module in (experiment, rows, schemes) for name in module.__all__}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page, language):
    return [text for found, text in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def prose(page):
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def inline(page):
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]


def commands(page):
    """The words after `gr2` of every command on the page; for launch/ scripts, the words after --."""
    lines = [line.strip() for text in blocks(page, "") for line in text.replace("\\\n", " ").splitlines()]
    lines = [part.strip().removeprefix(".venv/bin/") for line in lines for part in line.split("&&")]
    for line in [*lines, *inline(page)]:
        if line.startswith("launch/") and " -- " in line:
            given = shlex.split(line.partition(" -- ")[2])
            yield ["wikipedia", *given] if line.startswith("launch/dataflow.sh") else given
        elif line.startswith("gr2 ") and not re.search(r"\.\.\.|…|<", line):
            yield shlex.split(line.partition(" | ")[0], comments=True)[1:]


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """The config file that the top page writes."""
    path = tmp_path_factory.mktemp("configs") / "mine.py"
    path.write_text(next(text for text in blocks(TOP, "python") if MINE in text))
    return str(path)


@functools.cache
def loaded(*files):
    return load_experiment(*files)


def config_files(words, mine):
    for word in words:
        found = [mine] if word == "configs/mine.py" else sorted(map(str, ROOT.glob(word)))
        assert found, f"there is no {word}"
        yield from found


@every_page
def test_commands_parse_and_their_configs_and_settings_exist(page, mine):
    for words in commands(page):
        if len(words) == 1 and words[0] in COMMANDS:
            continue  # the name of a command
        options, settings = parser().parse_known_args(words)
        configs = [word for word in getattr(options, "config", ()) if word.endswith(".py")]
        if options.command == "study":
            study, *overlays = config_files(options.config, mine)
            base = load_study(study).base if options.base is None else loaded(*config_files([options.base], mine))
            for overlay in overlays:
                base = lay_over(overlay, base)
            load_study(study).over(override(base, settings))
        elif options.command == "quickstart":
            override(PROFILES[options.profile], settings)
        elif configs:
            override(loaded(*config_files(options.config, mine)), settings)
        elif options.command != "wikipedia":  # whose other options are Beam's
            assert not settings, words


@every_page
def test_settings_in_the_text_are_fields(page):
    known = [loaded(str(ROOT / "configs" / f"{name}.py")) for name in ("quickstart", "cranfield", "robust04")]
    for code in inline(page):
        if re.fullmatch(r"--[\w-]+\.[\w.-]+ [^<\s]+", code) and not code.startswith("--section."):
            assert any(accepts(config, code.split()) for config in known), code
        if re.fullmatch(r"(vocabulary|augmentation|retrieval|evaluation|mesh|loop)(\.\w+)+", code):
            functools.reduce(getattr, code.split("."), known[0])


def accepts(config, setting):
    try:
        override(config, setting)
    except UserError:
        return False
    return True


@every_page
def test_python_compiles_and_what_it_imports_exists(page):
    for text in blocks(page, "python"):
        tree = ast.parse(text)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), str(page), "exec"), {})
        modules = [name for node in imports if (name := getattr(node, "module", None) or node.names[0].name)]
        ours = {name.split(".")[1] if "." in name else name for name in modules if name.startswith("gr2_jax")}
        if ours <= SECTIONS:
            exec(compile(tree, str(page), "exec"), {})


@every_page
def test_python_in_the_text_makes_settings(page):
    for code in inline(page):
        call = re.fullmatch(r"(\w+)\(.*\)", code)
        if call and call[1] in CLASSES and "..." not in code:
            eval(code, dict(CLASSES))


@every_page
def test_config_files_on_the_page_load(page, tmp_path):
    for text in blocks(page, "python"):
        if MINE in text:
            (tmp_path / "mine.py").write_text(text)
            assert load_experiment(tmp_path / "mine.py").workdir == "runs/mine"


@every_page
def test_links_files_and_names_exist(page):
    for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(page)):
        if "://" in target:
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), f"{target} does not exist"
        assert not heading or heading in headings(linked), f"{target} has no heading #{heading}"
    for code in inline(page):
        if re.fullmatch(r"(configs|gr2_jax|launch|tests)/[\w./]*", code) and code != "configs/mine.py":
            assert (ROOT / code).exists(), code
        if re.fullmatch(r"gr2_jax(\.\w+)+", code):
            pkgutil.resolve_name(code)


def headings(page):
    """As GitHub names them in links."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_top_page_is_short_and_leads_to_every_other():
    text = prose(TOP)
    words = " ".join(line for line in text.splitlines() if not line.startswith("|")).split()
    assert len(words) <= MOST_WORDS
    linked = {(ROOT / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", text)}
    assert linked >= set(PAGES[1:])
