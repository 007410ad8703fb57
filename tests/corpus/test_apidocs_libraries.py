"""`apidocs:` of any library: small packages on the path, and modules of Python's own."""

import platform
import sys

import pytest

from gr2_jax.corpus import apidocs, source_fingerprint
from gr2_jax.errors import UserError

FILES = {
    "__init__.py": '''
from collections import OrderedDict
from numpy import add, argsort
from numpy.random import normal

def boil(water):
    """Heat water until it boils.

    It takes some minutes, see `pour` and the kettle at home.

    See Also
    --------
    brewing.steep : Waits.
    """

def pour():
    """Move all water into a cup.

    Nothing is lost on the way there.
    """
''',
    "brewing.py": '''
import sys
print("brewing loudly")
print("on both streams", file=sys.stderr)

def steep():
    """Leave the leaves in the water.

    The result of this is called tea.
    """
''',
    "leaving.py": 'raise SystemExit("this module is a program")',
    "broken.py": "import a_module_that_nobody_has",
    "externals/__init__.py": 'def borrowed():\n    """Is of somebody else, and only kept here."""',
}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """`teapot`, a package that no distribution installed."""
    for name, text in FILES.items():
        (tmp_path / "teapot" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "teapot" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "teapot"
    for name in [name for name in sys.modules if name.split(".")[0] == "teapot"]:
        del sys.modules[name]


def test_a_library_is_its_own_functions_alone_with_graded_queries(library, capfd):
    collection = apidocs.read_apidocs(["teapot"])
    # neither numpy's functions and ufuncs nor Python's classes, which the quickstart is tested on
    assert [document.doc_id for document in collection.documents] == [
        "teapot.boil",
        "teapot.brewing.steep",
        "teapot.pour",
    ]
    assert collection.queries["q:teapot.boil"] == "Heat water until it boils."
    assert collection.qrels["q:teapot.boil"] == {"teapot.boil": 4, "teapot.brewing.steep": 3, "teapot.pour": 2}
    assert {document.url for document in collection.documents} == {""}
    assert capfd.readouterr() == ("", "")  # what it prints on import


def test_the_version_of_a_library_without_a_distribution_changes_with_its_source(library):
    before = source_fingerprint("apidocs:teapot")
    assert before.startswith("apidocs:teapot=sha256:")
    (library / "broken.py").write_text("import another_module_that_nobody_has")
    assert source_fingerprint("apidocs:teapot") != before


def test_the_version_is_that_of_the_distribution_that_holds_the_package():
    import sklearn

    assert apidocs.library_versions(["sklearn"]) == {"sklearn": sklearn.__version__}  # of scikit-learn


def test_a_library_that_cannot_be_imported_is_named(library):
    (library / "__init__.py").write_text("import a_module_that_nobody_has")
    with pytest.raises(
        UserError, match="library teapot cannot be imported: No module named 'a_module_that_nobody_has'"
    ):
        apidocs.read_apidocs(["teapot"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scikit-learn", "did you mean 'sklearn', as `import` has it"),
        ("sklaern", "did you mean 'sklearn'"),
        ("statistic", "did you mean 'statistics'"),
        ("", "'': name one that is installed"),
    ],
)
def test_a_library_that_is_not_installed_is_refused(name, message):
    with pytest.raises(UserError, match=f"no installed library.*{message}"):
        source_fingerprint(f"apidocs:json,{name}")


def test_modules_of_python_are_documented_with_the_functions_that_are_written_elsewhere():
    collection = apidocs.read_apidocs(["os", "statistics"])
    documents = {document.doc_id: document for document in collection.documents}
    assert {"os.fsencode", "os.getcwd", "statistics.median"} <= set(documents)  # getcwd is posix's
    assert not [name for name in documents if name.startswith("statistics.") and name.endswith(("Fraction", "Decimal"))]
    assert documents["os.getcwd"].url == "https://docs.python.org/3/library/os.html#os.getcwd"
    assert collection.provenance["statistics"] == platform.python_version()
    assert collection.queries["q:statistics.median"] == "Return the median (middle value) of numeric data."
