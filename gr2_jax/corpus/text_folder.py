"""A folder of text files: each file, in any folder below, is a document."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from gr2_jax.corpus import _files
from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.errors import UserError

_PAGES = {".html", ".htm", ".xhtml"}
_MARKED = {".md", ".markdown", ".mdx"}
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"(?m)^title:[ \t]*(.+?)[ \t]*$")
_HEADING = re.compile(r"\A\s*#{1,3}[ \t]+(.+?)[ \t]*#*[ \t]*(?:\n|\Z)")
_RULE = re.compile(r"\A\s*([^\n]+)\n([=\-~^*#\"])\2{2,}[ \t]*(?:\n|\Z)")  # a heading of reStructuredText
_SKIPPED = {"__pycache__", "node_modules"}
_NUL_WITHIN = 8192  # bytes: a file with a NUL at its beginning is no text


def open_text_folder(directory: Path) -> CollectionStream:
    """Opens a folder whose text files are documents, without queries.

    A document's id is its path in the folder, with white space as `%20`. Its title is the first heading of a Markdown
    or reStructuredText file, the title of an HTML page, else the words of the
    names of the file and its folder. Files that are not UTF-8
    text and empty ones are left out; `provenance` says how many, and names some. Hidden files and folders, and what
    programs cache or install (`__pycache__`, `node_modules`), are not looked at.

    Raises UserError for a folder without a text file.
    """
    kept, left_out = _text_files(directory)
    if not kept:
        raise UserError(
            f"{directory} holds no text file: give a folder of text files, a .jsonl, .csv, .tsv or .txt file of "
            "documents, or the layout of BEIR or TREC"
        )
    provenance = {"source": str(directory), "files": str(len(kept))}
    for why, paths in left_out.items():
        names = ", ".join(str(path.relative_to(directory)) for path in paths[:3])
        provenance[f"left out, {why}"] = f"{len(paths)} ({names}{', ...' if len(paths) > 3 else ''})"
    documents = _files.passes(kept, lambda path: _read(path, directory))
    return CollectionStream(directory.resolve().name, documents, {}, {}, provenance)


def text_files(directory: Path) -> list[Path]:
    """Returns the files of `open_text_folder`, sorted by their paths."""
    return _text_files(directory)[0]


def _text_files(directory: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """The files that are documents, and those that are not, by the reason."""
    kept: list[Path] = []
    left_out: dict[str, list[Path]] = {}
    for folder, below, names in os.walk(directory):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(folder, name)
            if not path.is_file():  # a broken link, a socket
                continue
            fault = _fault(path)
            if fault is None:
                kept.append(path)
            else:
                left_out.setdefault(fault, []).append(path)
    return kept, left_out


def _fault(path: Path) -> str | None:
    """Why a file is no document; None where it is one."""
    content = path.read_bytes()
    if b"\0" in content[:_NUL_WITHIN]:
        return "binary"
    try:
        return None if content.decode("utf-8-sig").strip() else "empty"
    except UnicodeDecodeError:
        return "not UTF-8"


def _read(path: Path, directory: Path) -> Iterator[Document]:
    content = path.read_bytes()
    ending = path.suffix.lower()
    if ending in _PAGES:
        from gr2_jax.corpus._markup import words_of_page

        title, text = words_of_page(content, b"")
    else:
        title, text = _titled(content.decode("utf-8-sig", "replace").replace("\r\n", "\n"), ending)
    place = path.relative_to(directory)
    title = title or _words_of(place)
    yield Document(_id_of(place), title, text.replace("\0", " ").strip())


def _titled(text: str, ending: str) -> tuple[str, str]:
    """The heading that a text begins with, and the rest."""
    title = ""
    if ending in _MARKED:
        if front := _FRONT_MATTER.match(text):
            text = text[front.end() :]
            if named := _FRONT_TITLE.search(front[1]):
                title = named[1].strip("\"'")
        if heading := _HEADING.match(text):
            return title or heading[1], text[heading.end() :]
    if not title and (heading := _RULE.match(text)):
        return heading[1].strip(), text[heading.end() :]
    return title, text


def _words_of(place: Path) -> str:
    """The words of a file's name and of its folder's; those with a digit are numbers of files and dates."""
    words = re.split(r"[\W_]+", f"{place.stem} {place.parent.name}")
    return " ".join(word for word in words if word and not any(letter.isdigit() for letter in word))


def _id_of(path: Path) -> str:
    """The path as an id of a run file, which holds no white space or control character."""
    name = path.as_posix().encode("utf-8", "replace").decode()
    return "".join(part if _files.fits_a_run(part) else quote(part, safe="") for part in name)
