"""Cutting and reading dumps that the tests write, complete and broken in every way."""

import bz2
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.corpus.wikipedia.dump import Part, cut, read_chunks
from gr2_jax.corpus.wikipedia.siteinfo import read_site
from gr2_jax.corpus.wikipedia.xml_pages import read_pages
from gr2_jax.errors import UserError

HEADER = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-{schema}/" version="{schema}" xml:lang="en">
  <siteinfo>
    <sitename>Test</sitename>
    <base>https://test.example/wiki/Main_Page</base>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Talk</namespace>
      <namespace key="6" case="first-letter">Datei</namespace>
    </namespaces>
  </siteinfo>
"""
END = "</mediawiki>\n"


def page(
    number: int, text: str = "some text", title: str | None = None, extra: str = "", ns: str = "<ns>0</ns>"
) -> str:
    return (
        f"  <page>\n    <title>{title or f'Page {number}'}</title>\n    {ns}\n    <id>{number}</id>{extra}\n    "
        "<revision>"
        f"<id>9{number}</id><contributor><id>7</id></contributor><text>{text}</text></revision>\n  </page>\n"
    )


def document(*pages: str, schema: str = "0.11", end: str = END) -> str:
    return HEADER.format(schema=schema) + "".join(pages) + end


@pytest.fixture
def write(tmp_path):
    def to_file(*streams: bytes | str, compressed: bool = True) -> str:
        path = tmp_path / ("dump.xml.bz2" if compressed else "dump.xml")
        blobs = [stream.encode() if isinstance(stream, str) else stream for stream in streams]
        path.write_bytes(b"".join(map(bz2.compress, blobs) if compressed else blobs))
        return str(path)

    return to_file


def pages(path: str, *parts: Part) -> tuple[list, list[str]]:
    warnings: list[str] = []
    found = [page for part in parts or (Part(path),) for page in read_pages(part, on_warning=warnings.append)]
    return found, warnings


@pytest.mark.parametrize("schema", ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.10", "0.11"])
@pytest.mark.parametrize("compressed", [True, False])
def test_fields_in_every_schema(write, schema, compressed):
    has_namespace, has_title = schema not in ("0.3", "0.4", "0.5"), schema not in ("0.3", "0.4", "0.5")
    ns = "<ns>6</ns>" if has_namespace else ""
    redirect = "" if schema == "0.3" else '<redirect title="Goal" />' if has_title else "<redirect />"
    text = document(
        page(1, "a &lt;b&gt; &amp;amp; &#233;", ns="<ns>0</ns>" if has_namespace else ""),
        page(2, title="Datei:X.png", ns=ns),
        page(3, "#REDIRECT [[Goal#part|x]]", extra=redirect, ns="<ns>0</ns>" if has_namespace else ""),
        page(4).replace("<text>some text</text>", "<model>css</model><text />"),
        schema=schema,
    )
    found, warnings = pages(write(text, compressed=compressed))
    assert warnings == []
    assert [(p.page_id, p.title, p.namespace, p.redirect, p.model, p.is_article) for p in found] == [
        (1, "Page 1", 0, None, "wikitext", True),
        (2, "Datei:X.png", 6, None, "wikitext", False),
        (3, "Page 3", 0, "Goal", "wikitext", False),
        (4, "Page 4", 0, None, "css", False),
    ]
    assert found[0].text == "a <b> &amp; é"
    assert found[3].text == ""


def test_last_of_several_revisions(write):
    revisions = page(1, "old").replace("</revision>", "</revision><revision><id>5</id><text>new</text></revision>")
    found, _ = pages(write(document(revisions)))
    assert [(p.page_id, p.text) for p in found] == [(1, "new")]


def test_redirect_words_of_other_languages(write):
    texts = [
        "#WEITERLEITUNG [[A b]]",
        "#redirección: [[A b]]",
        " #Redirection\n[[A b|x]]",
        "# [[A b]]",
        "#Redirect none",
    ]
    found, _ = pages(write(document(*(page(n, text) for n, text in enumerate(texts)))))
    assert [p.redirect for p in found] == ["A b", "A b", "A b", None, None]


def test_site(write):
    site = read_site(write(document()))
    assert (site.language, site.base, site.first_letter) == ("en", "https://test.example/wiki/Main_Page", True)
    assert site.url("A é/b?") == "https://test.example/wiki/A_%C3%A9/b%3F"
    wanted = {
        " foo_ bar ": (0, "Foo bar"),
        "a#b": (0, "A"),
        "#b": (0, ""),
        "AT&amp;T": (0, "AT&T"),
        "x%C3%A9%20y": (0, "Xé y"),
        "Datei:a b.png": (6, "A b.png"),
        ":image:a.png": (6, "A.png"),
        ": Talk : x": (1, "X"),
        "fr:Paris": (-3, "Paris"),
        "wikt:word": (-3, "Word"),
        "2001: A Space Odyssey": (0, "2001: A Space Odyssey"),
        "ßa": (0, "ßa"),
        "éa": (0, "Éa"),
    }
    assert {target: site.normalise(target) for target in wanted} == wanted


def multistream(count: int, size: int = 2) -> list[str]:
    made = [page(n, f"text {n} " * (n % 7 * 20)) for n in range(1, count + 1)]
    return [HEADER.format(schema="0.11"), *("".join(made[i : i + size]) for i in range(0, count, size)), END]


@pytest.mark.parametrize("chunk", [1, 37, 200, 1000, 1 << 20])
def test_parts_give_each_page_once(write, chunk):
    streams = multistream(23)
    path = write(*streams)
    whole, warnings = pages(path)
    size = sum(len(bz2.compress(stream.encode())) for stream in streams)
    found, more = pages(path, *cut(path, size, chunk=chunk))
    assert [p.page_id for p in whole] == list(range(1, 24))
    assert (found, warnings + more) == (whole, [])


@pytest.mark.parametrize("length", [1, 3, 50, 333])
@pytest.mark.parametrize("compressed", [True, False])
def test_pages_may_span_streams(write, length, compressed):
    """Parallel compressors cut streams anywhere, even inside a tag."""
    header, data = HEADER.format(schema="0.11").encode(), document(*(page(n, "word " * n) for n in range(12))).encode()
    data = data.removeprefix(header)
    streams = [header, *(data[i : i + length] for i in range(0, len(data), length))]
    path = write(*streams, compressed=compressed)
    size = sum(len(bz2.compress(stream)) if compressed else len(stream) for stream in streams)
    ends = [*range(211, size, 211), None]
    found, warnings = pages(path, *(Part(path, start, end) for start, end in zip([0, *ends], ends, strict=False)))
    assert ([p.page_id for p in found], warnings) == (list(range(12)), [])


def test_a_single_stream_is_one_part(write, tmp_path):
    path = write(document(*(page(n) for n in range(50))))
    assert cut(path, 10**9, chunk=100) == [Part(path)]
    plain = write(document(page(1)), compressed=False)
    assert cut(plain, 250, chunk=100) == [Part(plain, 0, 100), Part(plain, 100, 200), Part(plain, 200, None)]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff\xfe<\x00"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "dump.xml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"dump\.xml (is empty|begins with neither)"):
        cut(str(path), len(content))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("tail", ["", "  <page>\n <title>Cut", "  <pa"])
def test_truncated_dump_warns_once(write, tail, compressed):
    path = write(document(page(1), page(2), end=tail), compressed=compressed)
    found, warnings = pages(path)
    assert [p.page_id for p in found] == [1, 2]
    assert len(warnings) == 1
    assert path in warnings[0]
    assert f"byte {len(document(page(1), page(2), end='')) - 1}" in warnings[0]  # right after </page>
    assert ("incomplete" in warnings[0]) == bool(tail)


def test_truncated_multistream_warns_once_over_its_parts(write):
    streams = multistream(9)[:-1]
    path = write(*streams)
    size = sum(len(bz2.compress(stream.encode())) for stream in streams)
    found, warnings = pages(path, *cut(path, size, chunk=150))
    assert len(found) == 9
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace("<title>Page 2", "<title>Page < 2"), "broken XML"),
        (lambda text: text.replace("<title>Page 2</title>", "<title>Page 2</titel>"), "mismatched tag"),
        (lambda text: text.replace("  <page>\n    <title>Page 2", "  <pag>\n    <title>Page 2"), "expected <page>"),
        (lambda text: text.replace("<id>2</id>", "<id>two</id>"), "numbers as <id>"),
        (lambda text: text.replace("<id>2</id>", "<id>-2</id>"), "numbers as <id>"),
        (lambda text: text.replace("<id>2</id>", f"<id>{2**64}</id>"), "18 digits at most"),
        (lambda text: text.replace("<id>2</id>", f"<id>{'9' * 5000}</id>"), "18 digits at most"),
        (lambda text: text.replace("<ns>0</ns>\n    <id>2", "<ns>zero</ns>\n    <id>2"), "<ns>zero</ns>"),
        (lambda text: text.replace("<title>Page 2</title>", ""), "needs a <title>"),
        (lambda text: text.replace("<title>Page 2", "<title> "), "needs a <title>"),
        (lambda text: text.replace("Page 2", "Page \0 2"), "invalid token"),
        (lambda text: text.replace("Page 2", "Page &#0; 2"), "invalid character number"),
        (lambda text: text.replace("Page 2", "Page &nbsp; 2"), "undefined entity"),
        (lambda text: text.encode().replace(b"Page 2", b"Page \xe9"), "not UTF-8"),
    ],
)
def test_broken_xml_names_file_and_offset(write, damage, says):
    text = document(page(1), page(2), page(3))
    path = write(damage(text), compressed=False)
    begin = len(document(page(1), end=""))
    reader = read_pages(Part(path), on_warning=pytest.fail)
    assert next(reader).page_id == 1
    with pytest.raises(UserError, match=says) as error:
        list(reader)
    offset = int(str(error.value).partition("byte ")[2].split()[0].rstrip(":,"))
    assert path in str(error.value)
    assert begin - 3 <= offset <= begin + len(page(2))


def test_damaged_and_truncated_bz2(write, tmp_path):
    streams = [bz2.compress(stream.encode()) for stream in multistream(8)]
    path = tmp_path / "dump.xml.bz2"
    begins = [sum(map(len, streams[:n])) for n in range(len(streams))]

    def read(data: bytes, *parts: Part) -> str:
        path.write_bytes(data)
        with pytest.raises(UserError) as error:
            pages(str(path), *parts)
        return str(error.value)

    whole = b"".join(streams)
    damaged = bytearray(whole)
    damaged[begins[2] + 40] ^= 255
    assert f"byte {begins[2]}," in read(bytes(damaged))
    assert f"byte {begins[3]}," in read(whole[: begins[3] + 30])
    headless = bytearray(whole)
    headless[begins[2]] ^= 255
    parts = [Part(str(path), 0, begins[2]), Part(str(path), begins[2])]
    assert f"at byte {begins[2]} " in read(bytes(headless), *parts)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace('key="1"', 'key="one"'), "number as its key, not 'one'"),
        (lambda text: text.replace('key="1" ', ""), "number as its key, not ''"),
        (lambda text: text.replace("Test", "&test;"), "broken XML"),
        (lambda text: text.replace("Test", "T\0st"), "broken XML"),
    ],
)
def test_a_damaged_header_is_refused(write, damage, says):
    path = write(damage(document(page(1))), compressed=False)
    with pytest.raises(UserError, match=says) as error:
        read_site(path)
    assert path in str(error.value)


_WHOLE = "".join(multistream(6)).encode()


@given(st.data(), st.booleans())
@settings(max_examples=150)
def test_any_damage_is_a_warning_or_one_error(tmp_path_factory, data, compressed):
    """Bytes changed or the end cut off: whatever is read was in the dump, and only UserError is raised."""
    path = tmp_path_factory.mktemp("damaged") / "dump.xml"
    whole = b"".join(bz2.compress(part.encode()) for part in multistream(6)) if compressed else _WHOLE
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=3)) if damaged else ():
        damaged[place] = data.draw(st.sampled_from(b"\0<>&a\xff"))
    path.write_bytes(damaged)
    try:
        read_site(str(path))
        found, said = pages(str(path), *cut(str(path), len(damaged), chunk=300))
    except UserError as error:
        found, said = [], [str(error)]
    assert len(found) <= 6
    assert all(str(path) in sentence and "\n" not in sentence for sentence in said)


def test_a_stream_that_unpacks_to_a_thousand_times_its_bytes_takes_no_more_memory(tmp_path):
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(bz2.compress(document(page(1), end=" " * (24 << 20)).encode()))
    assert path.stat().st_size < 2000
    tracemalloc.start()
    try:
        assert sum(len(chunk.data) for chunk in read_chunks(Part(str(path)))) > 24 << 20
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compressed", [True, False])
def test_a_page_that_does_not_end_is_refused_before_it_fills_the_memory(write, compressed, monkeypatch):
    monkeypatch.setattr("gr2_jax.corpus.wikipedia.xml_pages._LONGEST", 1 << 20)
    path = write(document(page(1), page(2, "a " * (3 << 19))), compressed=compressed)
    with pytest.raises(
        UserError, match=r"byte \d+.*: a page of more than 1,048,576 bytes; expected a dump of the pages'"
    ):
        pages(path)
    monkeypatch.setattr("gr2_jax.corpus.wikipedia.xml_pages._LONGEST", 4 << 20)
    assert [p.page_id for p in pages(path)[0]] == [1, 2]


def test_an_opener_may_be_given(write):
    path = write(document(page(1)))
    asked = []

    def opener(name):
        asked.append(name)
        return open(name, "rb")

    assert [p.page_id for p in read_pages(Part(path), on_warning=pytest.fail, open=opener)] == [1]
    assert b"".join(chunk.data for chunk in read_chunks(Part(path), open=opener)) == document(page(1)).encode()
    assert asked == [path, path]
