"""NumPy's files of a stranger: numbers or one sentence, in no more memory than the file has bytes."""

import ast
import contextlib
import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.array_files import load_all_arrays, load_arrays, map_array, parse_array
from gr2_jax.errors import UserError

ROWS = np.arange(12, dtype=np.int32).reshape(3, 4)
HUGE = 10**15


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def with_header(text: str, data: bytes = bytes(48)) -> bytes:
    """A .npy file whose header says this."""
    header = (text + "\n").encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def npz(folder: Path, *, compress=zipfile.ZIP_STORED, **files: bytes) -> Path:
    path = folder / "x.npz"
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.npy", content)
    return path


def test_what_numpy_wrote_is_read(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    mapped = map_array(tmp_path / "x.npy", ndim=2)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, ROWS)
    np.testing.assert_array_equal(parse_array(npy(ROWS), tmp_path, ndim=2), ROWS)
    np.savez(tmp_path / "x.npz", a=ROWS, b=ROWS[0].astype(float), none=np.zeros((0, 5), np.int32))
    found = load_arrays(tmp_path / "x.npz", {"a": 2, "b": 1, "none": 2})
    assert [(array.dtype, array.shape) for array in found.values()] == [("i4", (3, 4)), ("f8", (4,)), ("i4", (0, 5))]
    assert load_all_arrays(tmp_path / "x.npz", (1, 2)).keys() == {"a", "b", "none"}


CLAIMS = [
    f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({HUGE}, 4)}}",
    f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({HUGE}, {HUGE})}}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (13, 1)}",  # one more than there are
    f"{{'descr': '<U{HUGE}', 'fortran_order': False, 'shape': (1, 1)}}",
    f"{{'descr': '|V0', 'fortran_order': False, 'shape': ({HUGE}, 1)}}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1, 1)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (12,)}",  # another number of axes
    "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1, 1)}",
    "(" * 200,
    "",
]


@pytest.mark.parametrize("text", CLAIMS)
def test_a_header_that_claims_what_is_not_there_is_refused_before_memory_is_taken(tmp_path, text):
    content = with_header(text)
    (tmp_path / "x.npy").write_bytes(content)
    path = npz(tmp_path, a=content)
    tracemalloc.start()
    try:
        for read in (
            lambda: map_array(tmp_path / "x.npy", ndim=2),
            lambda: parse_array(content, tmp_path / "x.npy", ndim=2),
            lambda: load_arrays(path, {"a": 2}),
            lambda: load_all_arrays(path, (2,)),
        ):
            with pytest.raises(UserError, match=r"x.np[yz] is damaged"):
                read()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_pickles_are_never_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    trapped = np.array([[Trap()]], object)
    np.save(tmp_path / "x.npy", trapped, allow_pickle=True)
    np.savez(tmp_path / "x.npz", a=trapped)
    for read in (
        lambda: map_array(tmp_path / "x.npy", ndim=2),
        lambda: parse_array((tmp_path / "x.npy").read_bytes(), tmp_path / "x.npy", ndim=2),
        lambda: load_arrays(tmp_path / "x.npz", {"a": 2}),
    ):
        with pytest.raises(UserError, match="not numbers"):
            read()


RUNS_CODE = {"eval", "exec", "compile", "__import__", "execfile"}
UNPICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "runpy", "yaml"}
LOADS = {"load", "fromfile", "loadtxt", "genfromtxt", "read_pickle"}  # attributes of np and others that may unpickle


def runs_or_unpickles(tree):
    """(line, what) of every call or import that can run what a file holds."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names if name.name.split(".")[0] in UNPICKLES)
            case ast.ImportFrom(module="joblib", names=[ast.alias(name="cpu_count")]):
                pass
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in UNPICKLES:
                yield node.lineno, module
            case ast.Call(func=ast.Name(id=name)) if name in RUNS_CODE:
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(attr="exec_module" | "run_path" | "run_module" as name)):
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(attr=name, value=ast.Name(id="np" | "numpy" | "torch" | "pd"))) if (
                name in LOADS
            ):
                yield node.lineno, f"np.{name}"
            case ast.Call(keywords=keywords) if any(word.arg == "allow_pickle" for word in keywords):
                value = next(word.value for word in keywords if word.arg == "allow_pickle")
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield node.lineno, "allow_pickle"


def test_the_scan_finds_what_it_seeks():
    code = (
        "import pickle\nfrom joblib import load\neval('1')\nnp.load(x)\nnp.save(x, y, allow_pickle=True)\n"
        "exec('')\nimport os.path, shelve\nf(allow_pickle=z)\nloader.exec_module(x)\n"
        "re.compile('')\njson.load(x)\nnp.save(x, allow_pickle=False)"
    )
    found = sorted(runs_or_unpickles(ast.parse(code)))
    assert [line for line, _ in found] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_nothing_that_a_file_holds_is_run():
    """No pickle is read, no code but that of config files, which are Python that the user wrote."""
    package = Path(__file__).parents[1] / "gr2_jax"
    found = {
        (path.relative_to(package).as_posix(), what)
        for path in package.rglob("*.py")
        for _, what in runs_or_unpickles(ast.parse(path.read_text("utf-8")))
    }
    through_pipes = ("pipeline/workers.py", "pickle")  # from programs that it has started itself
    assert found == {("array_files.py", "np.load"), ("experiment/loading.py", "exec_module"), through_pipes}


def test_no_module_reads_arrays_elsewhere():
    """`np.load` and pickles of files are in `array_files` alone."""
    package = Path(__file__).parents[1] / "gr2_jax"
    others = [path for path in package.rglob("*.py") if path.name not in ("array_files.py", "workers.py")]
    sources = {path: path.read_text("utf-8") for path in others}
    wrong = [
        f"{path}: {word}"
        for path, text in sources.items()
        for word in ("np.load(", "import pickle", "allow_pickle=True", "read_array(", "np.fromfile(", "marshal")
        if word in text.replace("`np.load(path", "")  # a docstring says what a caller may have done
    ]
    assert not wrong


def test_a_compressed_archive_is_refused(tmp_path):
    """A gigabyte of zeros is a megabyte when compressed; we write none."""
    path = npz(tmp_path, compress=zipfile.ZIP_DEFLATED, a=npy(np.zeros((1000, 1000))))
    with pytest.raises(UserError, match="compressed"):
        load_arrays(path, {"a": 2})


def test_a_missing_array_is_named(tmp_path):
    with pytest.raises(UserError, match="no array 'b'"):
        load_arrays(npz(tmp_path, a=npy(ROWS)), {"a": 2, "b": 2})
    with pytest.raises(UserError, match=r"cannot read .*none.npz: No such file"):
        load_arrays(tmp_path / "none.npz", {"a": 2})


@settings(max_examples=60)
@given(st.data())
def test_damaged_bytes_are_numbers_or_one_sentence(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    np.savez(folder / "x.npz", a=ROWS, b=ROWS[0])
    np.save(folder / "x.npy", ROWS)
    tracemalloc.start()
    try:
        for path, read in (
            (folder / "x.npz", lambda path: load_arrays(path, {"a": 2, "b": 1}).values()),
            (folder / "x.npy", lambda path: [map_array(path, ndim=2)]),
        ):
            content = bytearray(path.read_bytes())
            for _ in range(data.draw(st.integers(1, 5))):
                content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
            path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
            with contextlib.suppress(UserError):
                assert all(array.dtype.kind in "biuf" and array.nbytes <= len(content) for array in read(path))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
