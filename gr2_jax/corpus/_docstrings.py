"""Parses docstrings (numpydoc's and Google's style) into plain text and links."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gr2_jax.corpus.sentences import paragraphs

SIGNATURE = re.compile(r"^[\w.]+\s?\(.*\)(\s*->\s*.+)?(\n--)?$", re.DOTALL)
_TABLE_RULE = re.compile(r"^\s*={2,}(\s+={2,})+\s*$")
_UNDERLINE = re.compile(r"^\s*([-=~^])\1{2,}\s*$")
_GOOGLE_HEADINGS = frozenset(
    {
        "args",
        "arguments",
        "parameters",
        "params",
        "returns",
        "return",
        "yields",
        "raises",
        "attributes",
        "example",
        "examples",
        "note",
        "notes",
        "warning",
        "references",
        "usage",
        "see also",
        "keyword args",
    }
)
_FIELD_SECTIONS = frozenset({"parameters", "other parameters", "args", "arguments", "returns", "attributes", "yields"})
_FIELD = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::|$)")

_ROLE = re.compile(r"(?::[a-z+]+)?:([a-z]+):`([^`]+)`")
_BACKTICKS = re.compile(r"(?<![`:\w])`([^`\n]+)`(?![`_])")
_TARGET = re.compile(r"^[~.!]?([A-Za-z_][\w.]*?)(?:\(\))?$")
_ITEM = r"(?:(?::[a-z:+]+:)?`[^`]+`|[A-Za-z_][\w.]*)"
# "name", "name : description", "name1, name2" or "- :func:`name`: description".
_SEE_ALSO_HEAD = re.compile(rf"^(?:[-*]\s+)?({_ITEM}(?:\s*,\s*{_ITEM})*)\s*,?\s*(?::\s.*|:|--?\s.*|)$")


@dataclass(frozen=True)
class Section:
    """One part of a docstring; the part before the first heading has the heading ""."""

    heading: str
    body: str


@dataclass(frozen=True)
class Links:
    """The targets (as written, without `~`) that a docstring refers to, by the part that holds the reference."""

    see_also: tuple[str, ...]
    summary: tuple[str, ...]
    elsewhere: tuple[str, ...]


def parse(docstring: str) -> tuple[Section, ...]:
    """Splits a docstring into sections and drops signature lines; the first section is the summary part."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    while blocks and SIGNATURE.match(blocks[0].strip()):
        blocks.pop(0)
    lines = "\n\n".join(blocks).split("\n")
    # A signature may also stand directly above the summary.
    if len(lines) > 1 and SIGNATURE.match(lines[0]):
        lines.pop(0)
    sections, heading, body = [], "", []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        title = _heading(line, following)
        if title is not None:
            sections.append(Section(heading, inspect.cleandoc("\n" + "\n".join(body))))
            heading, body = title, []
        elif not _UNDERLINE.match(line) and not _TABLE_RULE.match(line):
            body.append(line)
    return (*sections, Section(heading, inspect.cleandoc("\n" + "\n".join(body))))


def _heading(line: str, following: str) -> str | None:
    stripped = line.strip()
    if stripped and _UNDERLINE.match(following) and not _UNDERLINE.match(line):
        return stripped.rstrip(":")
    if stripped.startswith(".. seealso::"):
        return "See Also"
    if stripped.endswith(":") and stripped[:-1].lower() in _GOOGLE_HEADINGS:
        return stripped[:-1]
    return None


# The substitutions of `plain`, in order: whole lines first, then text within lines.
_REDUCTIONS = (
    # Directives that do not describe the object are dropped with their line; others keep their words.
    (r"(?m)^\s*\.\. (?:versionadded|versionchanged|_[^:\n]+|plot|testsetup|index|only|currentmodule):.*$", ""),
    (r"(?m)^(\s*)\.\. ([\w-]+)::[ \t]*", r"\1"),
    (r"(?m)^(\s*)\.\. (?=\[)", r"\1"),
    (r"(?m)^\s*:[\w-]+:(?:\s[^`\n]*)?$", ""),
    (r"(?m)::$", ":"),
    (_ROLE, lambda match: _display(match[2])),
    (r"(?s)``(.+?)``", r"\1"),
    (r"`([^`]+?)\s*<[^`>]*>`_{0,2}", r"\1"),
    (r"`([^`]+)`_{0,2}", lambda match: _display(match[1])),
    (r"(?<![\w*])\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*(?![\w*])", r"\1"),
    (r"(?<![\w*])\*(?=\w)([^*\n]+?)(?<=[\w.])\*(?![\w*])", r"\1"),
    (r"(\[\w+\])_", r"\1"),
)


def plain(markup: str) -> str:
    """Returns reStructuredText as plain paragraphs: roles, quotes and directives reduced to their words."""
    for pattern, replacement in _REDUCTIONS:
        markup = re.sub(pattern, replacement, markup)
    return "\n\n".join(paragraphs(markup))


def _display(target: str) -> str:
    """The text that a rendered page shows for a role: the text of `text <target>`, the last part of `~a.b.c`."""
    label = re.sub(r"\s*<[^>]*>$", "", target, flags=re.DOTALL)
    return label.rsplit(".", 1)[-1] if label.startswith("~") else label.lstrip("!")


def links(sections: Iterable[Section]) -> Links:
    """Collects the links of a docstring; the names of its own parameters, results and attributes are not links."""
    see_also, summary, elsewhere = [], [], []
    own = _field_names(sections := tuple(sections))
    for section in sections:
        if section.heading.lower() == "see also":
            heads, rest = _see_also(section.body)
            see_also += heads
            elsewhere += [target for target in rest if target not in own]
        else:
            targets = [target for target in _targets(section.body) if target not in own]
            (elsewhere if section.heading else summary).extend(targets)
    return Links(tuple(see_also), tuple(summary), tuple(elsewhere))


def _field_names(sections: Iterable[Section]) -> frozenset[str]:
    names: set[str] = set()
    for section in sections:
        if section.heading.lower() in _FIELD_SECTIONS:
            for line in section.body.split("\n"):
                field = _FIELD.match(line)
                names.update(re.findall(r"\w+", field[1]) if field else ())
    return frozenset(names)


def _targets(markup: str) -> list[str]:
    """All names in roles, then those in single backticks, each in order of appearance."""
    quoted = [match[2] for match in _ROLE.finditer(markup) if match[1] != "math"]
    unquoted = re.sub(r"``.*?``", " ", _ROLE.sub(" ", markup), flags=re.DOTALL)
    return _names(quoted + [match[1] for match in _BACKTICKS.finditer(unquoted)])


def _names(written: Iterable[str]) -> list[str]:
    inner = [re.sub(r"^.*<([^<>]+)>$", r"\1", name.strip(), flags=re.DOTALL) for name in written]
    return [match[1] for name in inner if (match := _TARGET.match(name))]


def _see_also(body: str) -> tuple[list[str], list[str]]:
    """The names that a See Also section lists, and the names mentioned in its descriptions."""
    heads, rest = [], []
    for line in body.split("\n"):
        head = None if line.startswith((" ", "\t")) else _SEE_ALSO_HEAD.match(line.strip())
        if head:
            heads += _names(re.sub(r"^(?::[a-z:+]+:)?`([^`]+)`$", r"\1", item.strip()) for item in head[1].split(","))
            rest += _targets(line.strip()[head.end(1) :])
        elif line.startswith((" ", "\t")):
            rest += _targets(line)
        else:
            heads += _targets(line)  # "See :func:`x` and :func:`y`." in running text
    return heads, rest
