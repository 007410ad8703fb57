"""Characters that stand in for others while wikitext becomes prose.

They are noncharacters of Unicode, which no text holds: neither markup nor letters, blanks or marks for any pattern.
"""

import re

from gr2_jax.corpus.wikipedia.entities import decode_entities

GAP = "\ufde0"  # an unknown template within a line
BLOCK = "\ufde1"  # an unknown template of several lines
VERBATIM = "\ufde2"  # begins a line that is shown as it is, such as in <pre>
EDGE = "\ufde3"  # the beginning or end of a link's text, across which apostrophes do not add up

_BRACKETS = "[]{}|"
_SHOWN = "&='*#:;_!<>" + _BRACKETS  # in markup these mean something, in <nowiki> they do not
_LITERAL = {ord(shown): chr(0xFDD0 + place) for place, shown in enumerate(_SHOWN)}
_BACK = {standin: chr(shown) for shown, standin in _LITERAL.items()} | {VERBATIM: ""}
_STANDINS = re.compile(f"[{''.join(_BACK)}]")
_STANDINS_OF_PROSE = re.compile(f"[{''.join(_LITERAL[ord(shown)] for shown in _SHOWN if shown not in _BRACKETS)}]")


def literal(text: str) -> str:
    """Returns the text, on one line and with its entities resolved, so that nothing in it is markup."""
    return decode_entities(text).translate(_LITERAL).replace("\n", " ")


def shown(text: str) -> str:
    """Returns the text with the characters that were stood in for."""
    return _STANDINS.sub(lambda standin: _BACK[standin[0]], text)


def shown_but_brackets(text: str) -> str:
    """Returns the text with the characters that were stood in for, except `[]{}|`, which are markup that is left over
    if they stand there by themselves."""
    return _STANDINS_OF_PROSE.sub(lambda standin: _BACK[standin[0]], text)
