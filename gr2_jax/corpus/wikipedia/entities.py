"""HTML entities."""

import re
from html import unescape

_ENDLESS = re.compile(r"&#(?:[0-9]{20,}|[xX][0-9a-fA-F]{20,});?")


def decode_entities(text: str) -> str:
    """Returns the text with its entities resolved; those that are no character are U+FFFD or left out."""
    if "&" not in text:
        return text
    return unescape(_ENDLESS.sub("\ufffd", text))  # Python refuses to read numbers of thousands of digits
