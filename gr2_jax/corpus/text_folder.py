"""A folder of text files: each file, in any folder below, is a document."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from gr2_jax.corpus import _files
from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.corpus.document_file import is_record_file, read_records
from gr2_jax.errors import UserError

PAGES = frozenset({".html", ".htm", ".xhtml"})
MARKED = frozenset({".md", ".markdown", ".mdx"})
FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"(?m)^title:[ \t]*([^\s>|].*)$")
_SKIPPED = {"__pycache__", "node_modules"}
_NUL_WITHIN = 8192  # bytes: a file with a NUL at its beginning is no text


def open_text_folder(directory: Path) -> CollectionStream:
    """Opens a folder whose text files are documents, without queries.

    A document's id is its path in the folder, with white space as `%20`. Its title is the heading that a Markdown or
    reStructuredText file begins with, the title of an HTML page, else the words of the names of the file and its
    folder. A folder that holds nothing but files of records (.jsonl, .csv, ...) is the documents of all of them.

    Files that cannot be read, are not UTF-8 text or are empty are left out, as are links to folders; `provenance` says
    how many, and names some. Hidden files and folders, what programs cache or install (`__pycache__`, `node_modules`)
    and the workdirs of runs are not looked at.

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
    records = all(map(is_record_file, kept))
    documents = _files.passes(kept, read_records if records else lambda path: _read(path, directory))
    clean = {name: _files.clean(value) for name, value in provenance.items()}
    return CollectionStream(_files.clean(directory.resolve().name), documents, {}, {}, clean)


def text_files(directory: Path) -> list[Path]:
    """Returns the files of `open_text_folder`, those of a folder before those of the folders in it, each by name."""
    return _text_files(directory)[0]


def _text_files(directory: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """The files that are documents, and those that are not, by the reason."""
    kept: list[Path] = []
    left_out: dict[str, list[Path]] = {}

    def leave_out(why: str, path: Path) -> None:
        left_out.setdefault(why, []).append(path)

    for folder, below, names in os.walk(
        directory, onerror=lambda error: leave_out("not readable", Path(error.filename))
    ):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _SKIPPED)
        for name in [name for name in below if os.path.islink(os.path.join(folder, name))]:
            leave_out("a link to a folder", Path(folder, name))
        below[:] = [name for name in below if not _is_run(Path(folder, name))]
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(folder, name)
            if not path.is_file():  # a broken link, a socket
                continue
            fault = _fault(path)
            if fault is None:
                kept.append(path)
            else:
                leave_out(fault, path)
    return kept, left_out


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run's workdir: its copy of the documents is not one of them."""
    return (folder / "corpus" / "stage.json").is_file() or (folder / "corpus.partial").is_dir()


def _fault(path: Path) -> str | None:
    """Why a file is no document; None where it is one."""
    try:
        with path.open("rb") as file:
            start = file.read(_NUL_WITHIN)
            if b"\0" in start:
                return "binary or UTF-16"
            return None if (start + file.read()).decode("utf-8-sig").strip() else "empty"
    except UnicodeDecodeError:
        return "not UTF-8"
    except OSError:
        return "not readable"


def _read(path: Path, directory: Path) -> Iterator[Document]:
    content = path.read_bytes()
    ending = path.suffix.lower()
    if ending in PAGES:
        from gr2_jax.corpus._markup import words_of_page

        title, text = words_of_page(content, b"")
    else:
        title, text = _titled(content.decode("utf-8-sig", "replace").replace("\r\n", "\n"), ending)
    place = path.relative_to(directory)
    yield Document(id_of_file(place), title or _words_of(place), text.replace("\0", " ").strip())


def _titled(text: str, ending: str) -> tuple[str, str]:
    """The heading that a text begins with, "" where it begins with none, and the rest."""
    title = ""
    if ending in MARKED:
        if front := FRONT_MATTER.match(text):
            text = text[front.end() :]
            if named := _FRONT_TITLE.search(front[1]):
                title = named[1].strip().strip("\"'")
        first, _, rest = text.lstrip().partition("\n")
        heading = first.lstrip("#")
        if first != heading and heading[:1].isspace():
            return title or heading.strip().rstrip("#").rstrip(), rest
    elif ending == ".rst":
        first, _, rest = text.lstrip().partition("\n")
        rule, _, after = rest.partition("\n")
        if len(rule.strip()) > 2 and set(rule.strip()) <= set('=-~^*#"'):
            return first.strip(), after
    return title, text


def _words_of(place: Path) -> str:
    """The words of a file's name and of its folder's; those with a digit are numbers of files and dates."""
    words = re.split(r"[\W_]+", f"{place.stem} {place.parent.name}")
    return " ".join(word for word in words if word and not any(letter.isdigit() for letter in word))


def id_of_file(path: Path) -> str:
    """The path as an id of a run file, which holds no white space or control character; no two are the same."""
    return "".join(map(_quoted, path.as_posix()))


def _quoted(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python reads a byte of a name that is not UTF-8
        return f"%{ord(character) - 0xDC00:02X}"
    return character if _files.fits_a_run(character) and character != "%" else quote(character, safe="")
