"""The built-in collection: the documentation of installed libraries, by default numpy, scipy and jax, read from the
running interpreter.

One document per public function or class, with the URL of its page in its library's manual. Its query is one sentence
of its summary, held out of the indexed text. Grades: 4 the object itself, 3 an object in its See Also section, 2 one
linked in the summary part (before the first section), 1 one linked elsewhere; the highest grade of a pair counts.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gr2_jax.corpus import _docstrings
from gr2_jax.corpus._api_objects import ApiObject, public_objects
from gr2_jax.corpus.collection import Collection, Document
from gr2_jax.corpus.sentences import paragraphs, sentences
from gr2_jax.errors import UserError, nearest

LIBRARIES = ("numpy", "scipy", "jax")
GRADE_ITSELF, GRADE_SEE_ALSO, GRADE_SUMMARY, GRADE_ELSEWHERE = 4, 3, 2, 1

_MANUALS = {
    "numpy.random.": "https://numpy.org/doc/stable/reference/random/generated/",
    "numpy.": "https://numpy.org/doc/stable/reference/generated/",
    "scipy.": "https://docs.scipy.org/doc/scipy/reference/generated/",
    "jax.": "https://docs.jax.dev/en/latest/_autosummary/",
    "sklearn.": "https://scikit-learn.org/stable/modules/generated/",
    "matplotlib.": "https://matplotlib.org/stable/api/_as_gen/",
    "pandas.": "https://pandas.pydata.org/docs/reference/api/",
    "pyarrow.": "https://arrow.apache.org/docs/python/generated/",
}
_MIN_QUERY_WORDS = 3
_MIN_REMAINING_WORDS = 5
_SHORTHANDS = {
    **{"np": "numpy", "jnp": "jax.numpy", "sp": "scipy", "lax": "jax.lax"},
    **{"plt": "matplotlib.pyplot", "pd": "pandas", "pa": "pyarrow", "pc": "pyarrow.compute", "tf": "tensorflow"},
}
# Sentences about a function's origin or deprecation instead of what it does; and formulas.
_NOT_DESCRIPTIVE = re.compile(
    r"(?i)^(?:(?:jax|lax(?:-backend)?|python|c|scipy-style) implementation\b|alias (?:of|for)|deprecated|see\b"
    r"|refer to\b|>>>|note\b|warning\b|this (?:docstring|function) (?:was|is) (?:copied|deprecated)|experimental\b"
    r"|unstable\b|as an instance of\b|\\)"
)
_INTRODUCES_FORMULA = re.compile(r"(?::|\b(?:as|is|by))$")


def read_apidocs(libraries: Sequence[str] = LIBRARIES) -> Collection:
    """Returns the documentation of the installed libraries as a collection, in a deterministic order.

    An object has no query if its summary has no descriptive sentence of at least three words, or if fewer than five
    words of its text would remain without that sentence. Objects with the same sentence (by `normalised`) share one
    query, in the spelling of the first, with grade 4 for each.

    Raises UserError for a library that is not installed or cannot be imported.
    """
    versions = library_versions(libraries)
    objects = public_objects(tuple(versions))
    names = {alias: one.name for one in objects for alias in one.aliases}
    documents, held_out, asked, links = [], {}, {}, {}
    for one in objects:
        sections = _docstrings.parse(one.docstring)
        title = title_of(one.name)
        query, text = _hold_out(sections, title)
        if not text and not query:
            continue  # nothing but a signature
        documents.append(Document(one.name, title, text, url_of(one.name)))
        links[one.name] = graded_links(one, sections, names)
        if query:
            held_out[one.name] = query
            asked.setdefault(normalised(query), []).append(one.name)
    kept = {document.doc_id: document.title for document in documents}
    links = {doc: {target: grade for target, grade in found.items() if target in kept} for doc, found in links.items()}
    entities = {doc: tuple(kept[target] for target in sorted(found)) for doc, found in links.items() if found}
    queries = {f"q:{owners[0]}": held_out[owners[0]] for owners in asked.values()}
    qrels = {f"q:{owners[0]}": _judgements(owners, links) for owners in asked.values()}
    provenance = {
        "source": "apidocs:" + ",".join(versions),
        "python": platform.python_version(),
        **versions,
        "notes": "grades: 4 the object, 3 See Also, 2 linked in its summary, 1 linked elsewhere; "
        "a query is a sentence of the summary that the document's text lacks",
    }
    return Collection("apidocs", tuple(documents), queries, qrels, provenance, entities)


def library_versions(libraries: Sequence[str]) -> dict[str, str]:
    """Returns the installed version of each library, sorted by name, without importing it: Python's own for a module of
    its standard library, a checksum of its source for one that no distribution installed.

    Raises UserError for a library that is not installed.
    """
    return {library: _version(library) for library in sorted(set(libraries))}


def _version(library: str) -> str:
    if library in sys.stdlib_module_names:
        return platform.python_version()
    distributions = [library] if library in LIBRARIES else _distributions().get(library, ())
    try:
        if distributions:
            return importlib.metadata.version(distributions[0])
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(f"the API documentation of {library} needs the library: pip install {library}") from error
    try:
        spec = importlib.util.find_spec(library) if library.isidentifier() else None
    except ValueError:  # of `__main__`
        spec = None
    if spec is None:
        raise UserError(f"apidocs finds no installed library {library!r}: {_nearest_library(library)}")
    return _checksum(spec.submodule_search_locations or [spec.origin])


@functools.cache
def _distributions() -> Mapping[str, Sequence[str]]:
    return importlib.metadata.packages_distributions()


def _checksum(places: Sequence[str]) -> str:
    seen = hashlib.sha256()
    for place in map(Path, places):
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            seen.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{seen.hexdigest()[:12]}"


def _nearest_library(name: str) -> str:
    packages = [package for package in _distributions() if not package.startswith("_")]
    if own := [package for package in packages if name in _distributions()[package]]:
        return f"did you mean '{own[0]}', as `import` has it?"
    hints = (nearest(name, names) for names in (LIBRARIES, (*packages, *sys.stdlib_module_names)))
    return next((hint for hint in hints if hint.startswith("did")), "name one that is installed, as `import` does")


def title_of(name: str) -> str:
    """Returns the words of a qualified name, the last part first: `numpy.linalg.matrix_rank` gives
    `matrix rank linalg numpy`."""
    return " ".join(" ".join(_words(part)) for part in reversed(name.split(".")))


def url_of(name: str) -> str:
    """Returns the URL of an object's page in its library's manual; some objects have no page there. "" for a library
    whose manual is not known here."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return f"https://docs.python.org/3/library/{name.rpartition('.')[0]}.html#{name}"
    folder = next((folder for package, folder in _MANUALS.items() if name.startswith(package)), None)
    return "" if folder is None else f"{folder}{name}.html"


def _words(identifier: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z0-9]+(?![a-z])|[A-Z]?[a-z0-9]+|[^\W_]+", identifier)]


def _hold_out(sections: Sequence[_docstrings.Section], title: str) -> tuple[str, str]:
    """Returns the query, a sentence that the title does not contain ("" if none), and the text without the query."""
    summary, *rest = sections
    text = "\n\n".join(
        [_docstrings.plain(summary.body), *(_docstrings.plain(f"{part.heading}\n{part.body}") for part in rest)]
    )
    candidates = filter(_is_query, sentences(_docstrings.plain(summary.body)))
    query = next((sentence for sentence in candidates if not _occurrences(sentence).search(title)), "")
    if not query:
        return "", text.strip()
    remaining = "\n\n".join(paragraphs(_occurrences(query).sub(" ", text)))
    return (query, remaining) if len(remaining.split()) >= _MIN_REMAINING_WORDS else ("", text.strip())


def normalised(sentence: str) -> str:
    """Returns the sentence case-folded, with single spaces and without the final stop."""
    return " ".join(sentence.casefold().split()).rstrip(". ")


def _occurrences(query: str) -> re.Pattern[str]:
    """Matches every occurrence of the normalised query in whole words, and a full stop after it."""
    words = r"\s+".join(map(re.escape, normalised(query).split()))
    return re.compile(rf"(?<!\w){words}(?!\w)(?:\s*\.(?!\w))?", re.IGNORECASE)


def _is_query(sentence: str) -> bool:
    if (
        _docstrings.SIGNATURE.match(sentence)
        or _NOT_DESCRIPTIVE.match(sentence)
        or _INTRODUCES_FORMULA.search(sentence)
    ):
        return False
    words = [word for word in sentence.split() if re.search(r"[A-Za-z]{2}", word)]
    return len(words) >= _MIN_QUERY_WORDS


def graded_links(one: ApiObject, sections: Sequence[_docstrings.Section], names: Mapping[str, str]) -> dict[str, int]:
    """Returns the other objects that a docstring refers to, with their grades, sorted by name.

    `names` maps every public name to the canonical one. A name is looked up from the object's own module outwards.
    """
    found = _docstrings.links(sections)
    grades: dict[str, int] = {}
    for targets, grade in (
        (found.see_also, GRADE_SEE_ALSO),
        (found.summary, GRADE_SUMMARY),
        (found.elsewhere, GRADE_ELSEWHERE),
    ):
        for target in targets:
            name = _resolve(target, one.name, names)
            if name is not None and name != one.name:
                grades[name] = max(grade, grades.get(name, 0))
    return dict(sorted(grades.items()))


def _resolve(target: str, owner: str, names: Mapping[str, str]) -> str | None:
    first, _, others = target.partition(".")
    if others and first in _SHORTHANDS:
        target = f"{_SHORTHANDS[first]}.{others}"
    packages = owner.split(".")[:-1]
    scopes = [".".join(packages[:depth]) + "." for depth in range(len(packages), 0, -1)]
    absolute_first = [""] if first in LIBRARIES else []
    return next((names[scope + target] for scope in (*absolute_first, *scopes, "") if scope + target in names), None)


def _judgements(owners: Sequence[str], links: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    grades: dict[str, int] = {}
    for owner in owners:
        for target, grade in links[owner].items():
            grades[target] = max(grade, grades.get(target, 0))
    grades |= dict.fromkeys(owners, GRADE_ITSELF)
    return dict(sorted(grades.items(), key=lambda pair: (-pair[1], pair[0])))
