"""Docids from URLs: the readable words of a URL."""

import re
from urllib.parse import unquote, urlparse

_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_SERVER = re.compile(r"(?:.*@)?(?:www\d*\.)?(.*?)(?::\d*)?", re.IGNORECASE)  # without user, www and port
_ENDING = re.compile(r"\.(?:[sx]?html?|php\d?|aspx?|jspx?|cfm|cgi|pdf|txt|xml)$", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_./+\s]+")


def url_text(url: str) -> str:
    """Returns the words of a URL for a tokenizer: the segments of its path, the last first, and then its host.

    Drops scheme, user, "www.", port, parameters, query, fragment and common file endings, decodes percent escapes
    (UTF-8), turns `-_./+` into spaces and keeps upper case. A path without scheme and host is read the same way. A URL
    that cannot be parsed, or of which nothing is left, gives "".

    `https://numpy.org/doc/stable/numpy.argsort.html?x#y` gives `numpy argsort stable doc numpy org`.
    """
    url = url.strip()
    try:
        # Without the slashes, `host:80/path` would parse as the scheme `host`.
        parsed = urlparse(url if _SCHEME.match(url) else f"//{url}")
    except ValueError:  # such as unbalanced brackets
        return ""
    server = _SERVER.fullmatch(parsed.netloc)[1]
    segments = [unquote(segment, errors="ignore") for segment in (server, *parsed.path.split("/")) if segment]
    if segments:
        segments[-1] = _ENDING.sub("", segments[-1])
    return _SEPARATORS.sub(" ", " ".join(reversed(segments))).strip()
