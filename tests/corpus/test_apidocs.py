import os
import re
import subprocess
import sys

import pytest

from gr2_jax.corpus import apidocs
from gr2_jax.corpus._api_objects import stable
from gr2_jax.corpus._docstrings import links, parse, plain
from gr2_jax.errors import UserError


@pytest.fixture(scope="module")
def numpy_docs():
    return apidocs.read_apidocs(["numpy"])


@pytest.fixture(scope="module")
def documents(numpy_docs):
    return {document.doc_id: document for document in numpy_docs.documents}


# Read by eye in the docstrings of numpy 2.4: the query, the grades that it must give, and documents without a grade.
EXPECTED = {
    "numpy.argsort": (
        "Returns the indices that would sort an array.",
        {"numpy.argsort": 4, "numpy.sort": 3, "numpy.lexsort": 3, "numpy.argpartition": 3, "numpy.take_along_axis": 3},
        {"numpy.searchsorted"},
    ),
    "numpy.linalg.inv": (
        "Compute the inverse of a matrix.",
        # LinAlgError is plain text under Raises, and in backticks in the Notes.
        {"numpy.linalg.inv": 4, "numpy.linalg.cond": 3, "numpy.linalg.svd": 3, "numpy.linalg.LinAlgError": 1},
        {"numpy.linalg.solve"},
    ),
    "numpy.linspace": (
        "Return evenly spaced numbers over a specified interval.",
        # `num`, `start`, `stop` and `endpoint` are its parameters; `linspace` is mentioned in its own See Also.
        {"numpy.linspace": 4, "numpy.arange": 3, "numpy.geomspace": 3, "numpy.logspace": 3},
        {"numpy.size", "numpy.shape", "numpy.ndarray"},
    ),
    "numpy.random.normal": (
        "Draw random samples from a normal (Gaussian) distribution.",
        # The note before the first section links `numpy.random.Generator.normal`, a method, and Generator itself.
        {"numpy.random.normal": 4, "numpy.random.Generator": 2},
        {"numpy.size", "numpy.random.Generator.normal"},
    ),
    "numpy.matmul": (
        "Matrix product of two arrays.",
        # A ufunc, with its signature in the first line.
        {"numpy.matmul": 4, "numpy.dot": 3, "numpy.einsum": 3, "numpy.tensordot": 3, "numpy.vecdot": 3},
        {"numpy.where"},
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_judgements_as_read_by_eye(numpy_docs, name):
    query, judged, unjudged = EXPECTED[name]
    assert numpy_docs.queries[f"q:{name}"] == query
    found = numpy_docs.qrels[f"q:{name}"]
    assert {doc: found.get(doc) for doc in judged} == judged
    assert not unjudged & set(found)


def test_counts_are_sane(numpy_docs, documents):
    assert 700 < len(documents) == len(numpy_docs.documents) < 1300
    assert 0.8 * len(documents) < len(numpy_docs.queries) <= len(documents)
    assert 100_000 < sum(len(document.contents.split()) for document in numpy_docs.documents) < 500_000
    grades = [grade for judged in numpy_docs.qrels.values() for grade in judged.values()]
    assert set(grades) == {1, 2, 3, 4} == {numpy_docs.max_grade, *grades}
    assert grades.count(3) > 1000


def holds(text, sentence):
    """Whether the sentence's tokens follow each other in the text, ignoring case, white space and the final stop."""
    tokens, wanted = (re.findall(r"\w+|[^\w\s]", part.lower()) for part in (text, sentence.rstrip(". ")))
    return f" {' '.join(wanted)} " in f" {' '.join(tokens)} "


def test_every_query_is_held_out_of_the_text_of_its_documents(numpy_docs, documents):
    for query, judged in numpy_docs.qrels.items():
        owners = [doc for doc, grade in judged.items() if grade == 4]
        assert owners
        for doc in owners:
            assert not holds(documents[doc].contents, numpy_docs.queries[query]), doc
            assert len(documents[doc].text.split()) >= 5
    assert "It returns an array of indices of the same shape as a" in documents["numpy.argsort"].text


def test_queries_are_sentences_and_distinct(numpy_docs):
    texts = list(numpy_docs.queries.values())
    assert len({" ".join(text.lower().split()).rstrip(". ") for text in texts}) == len(texts)
    assert all(len(text.split()) >= 3 for text in texts)
    assert not [text for text in texts if "::" in text or "``" in text or ">>>" in text]


def test_all_occurrences_are_held_out_but_no_parts_of_words():
    sections = parse("""The beta\n    function.

    Unlike THE  BETA\n    FUNCTION it is so. Values of the beta function . The beta functions are the beta function.lib,
    or breathe beta function, or the\n\n    Beta function""")
    query, text = apidocs._hold_out(sections, "beta special")
    assert query == "The beta function."
    assert text == ("Unlike it is so. Values of The beta functions are .lib, or breathe beta function, or")


def test_a_sentence_that_is_the_title_is_no_query():
    sections = parse("Module deprecation warning.\n\nIt warns of things. Five words are left here.")
    query, text = apidocs._hold_out(sections, "module deprecation warning exceptions numpy")
    assert query == "It warns of things."
    assert text == "Module deprecation warning.\n\nFive words are left here."


def test_spellings_of_one_sentence_are_one_query_in_the_first_spelling(monkeypatch):
    rest = "It has five more words here."
    spellings = {
        "numpy.a": "Compute the Variance",
        "numpy.b": "compute the  variance.",
        "numpy.c": "Compute variances of it.",
    }
    objects = [apidocs.ApiObject(name, (name,), f"{first}\n\n{rest}") for name, first in spellings.items()]
    monkeypatch.setattr(apidocs, "public_objects", lambda libraries: objects)
    collection = apidocs.read_apidocs(["numpy"])
    assert collection.queries == {"q:numpy.a": "Compute the Variance", "q:numpy.c": "Compute variances of it."}
    assert collection.qrels == {"q:numpy.a": {"numpy.a": 4, "numpy.b": 4}, "q:numpy.c": {"numpy.c": 4}}
    assert [document.text for document in collection.documents] == [rest] * 3


def test_names_are_canonical_and_aliases_merged(documents):
    assert {"numpy.linalg.inv", "numpy.ma.median", "numpy.fft.fft", "numpy.add", "numpy.absolute"} <= set(documents)
    assert not {"numpy.abs", "numpy.linalg.linalg.inv", "numpy.ma.extras.median", "numpy.char.add"} & set(documents)
    assert not [name for name in documents if "._" in name or ".testing." in name]
    assert list(documents) == sorted(documents)


def test_two_reads_are_equal_and_name_their_versions(numpy_docs):
    assert apidocs.read_apidocs(["numpy"]) == numpy_docs
    import numpy

    assert numpy_docs.provenance["numpy"] == numpy.__version__


@pytest.mark.slow
def test_all_libraries_are_read_equally_in_two_processes_and_jax_is_linked():
    code = (
        "import hashlib; from gr2_jax.corpus import read_apidocs; c = read_apidocs();"
        "assert c.qrels['q:jax.numpy.argsort']['numpy.argsort'] == 2, c.qrels['q:jax.numpy.argsort'];"
        "assert c.qrels['q:jax.numpy.argsort']['jax.lax.sort'] == 3;"
        "print(len(c.documents), hashlib.sha256(repr(c).encode()).hexdigest())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert 3000 < int(outputs[0].split()[0]) < 4500


def test_titles_put_the_last_part_first():
    assert apidocs.title_of("numpy.linalg.solve") == "solve linalg numpy"
    assert apidocs.title_of("numpy.linalg.matrix_rank") == "matrix rank linalg numpy"
    assert apidocs.title_of("scipy.interpolate.BSpline") == "b spline interpolate scipy"
    assert apidocs.title_of("scipy.integrate.RK45") == "rk45 integrate scipy"
    assert apidocs.title_of("numpy.float64") == "float64 numpy"


def test_every_document_has_the_url_of_its_page_in_the_manual(numpy_docs, documents):
    # Copied from the address bar of a browser.
    argsort = "https://numpy.org/doc/stable/reference/generated/numpy.argsort.html"
    assert documents["numpy.argsort"].url == argsort
    normal = "https://numpy.org/doc/stable/reference/random/generated/numpy.random.normal.html"
    assert documents["numpy.random.normal"].url == normal
    assert len({document.url for document in numpy_docs.documents}) == len(documents)
    scipy = "https://docs.scipy.org/doc/scipy/reference/generated/scipy.linalg.solve.html"
    assert apidocs.url_of("scipy.linalg.solve") == scipy
    assert apidocs.url_of("jax.numpy.dot") == "https://docs.jax.dev/en/latest/_autosummary/jax.numpy.dot.html"


def test_an_unknown_library_gets_a_hint():
    with pytest.raises(UserError, match="'nunpy': did you mean 'numpy'"):
        apidocs.read_apidocs(["nunpy"])


GOOGLE_STYLE = """Computes the thing.

  JAX implementation of :func:`numpy.thing`, see ``np.other`` and `a`.

  Args:
    a: input for :func:`~jax.lax.sort`
    b: another.

  See also:
    - :func:`jax.numpy.sort`: unlike :class:`jax.Array` it sorts.
    - :func:`jax.numpy.lexsort`, :func:`one`
  """

NUMPYDOC_STYLE = """
    thing(a, b=(1, 2),
          c=None) -> d

    Computes the thing with `helper`.

    Parameters
    ----------
    a, size : int
        Uses `size` of :py:func:`other`.

    See Also
    --------
    first, second
    third : Unlike `fourth`.
        More on `fifth`.
    :func:`~pkg.sixth`
    """


def test_links_of_both_styles():
    google = links(parse(GOOGLE_STYLE))
    assert google.see_also == ("jax.numpy.sort", "jax.numpy.lexsort", "one")
    assert google.summary == ("numpy.thing",)
    assert google.elsewhere == ("jax.lax.sort", "jax.Array")
    numpydoc = links(parse(NUMPYDOC_STYLE))
    assert numpydoc.see_also == ("first", "second", "third", "pkg.sixth")
    assert numpydoc.summary == ("helper",)
    assert numpydoc.elsewhere == ("other", "fourth", "fifth")


def test_sections_of_both_styles_and_the_dropped_signature():
    assert [section.heading for section in parse(GOOGLE_STYLE)] == ["", "Args", "See also"]
    assert [section.heading for section in parse(NUMPYDOC_STYLE)] == ["", "Parameters", "See Also"]
    assert parse(NUMPYDOC_STYLE)[0].body == "Computes the thing with `helper`."


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("Use ``x`` or `y`, *not* **z**, see [1]_.", "Use x or y, not z, see [1]."),
        (":func:`~numpy.foo` :class:`the name <a.b>` :math:`x + y`", "foo the name x + y"),
        ("`Numerical study\n<https://x.org>`_ says", "Numerical study says"),
        (".. versionadded:: 1.2\n.. note:: Mind this::\n\n   code", "Mind this:\n\ncode"),
        ("f(*args, **kwargs) and 2 * 3 * 4", "f(*args, **kwargs) and 2 * 3 * 4"),
        (".. [1] A book", "[1] A book"),
    ],
)
def test_markup_is_reduced_to_words(markup, expected):
    assert plain(markup) == expected


def test_text_that_libraries_generate_in_set_order_is_made_stable():
    one, other = "Use of argument(s) ``{'b', 'a'}`` is.", "Use of argument(s) ``{'a', 'b'}`` is."
    assert stable(one) == stable(other) == other
    generated = "X.\n\n    Examples\n    --------\n    To use the distribution class, it must be\n    X(a=0.3)\n"
    assert stable(generated).strip() == "X."
    kept = "X.\n\n    Examples\n    --------\n    >>> X(a=0.3)\n"
    assert stable(kept) == kept


def test_the_collection_does_not_depend_on_what_was_imported_before():
    """scipy.signal adds a section to numpy.sinc's docstring when it is imported."""
    program = (
        "from gr2_jax.corpus._api_objects import public_objects\n"
        "before = public_objects(('numpy',))\nimport scipy.signal\nassert public_objects(('numpy',)) == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
