import gzip
import sys
import time
from pathlib import Path

import pytest

from gr2_jax.corpus import _topic_tags, read_topics, topics
from gr2_jax.errors import UserError

sys.path.append(str(Path(__file__).parent / "wikipedia"))
from counted_work import count_patterns, work

TAGGED = """<top>
<num> Number: 301
<title> One   title
<desc> Description:
A description of <b>one</b>.

<narr> Narrative:
No closing tag here.

<TOP>
<NUM> 302 </NUM>
<TITLE>
Two, on the line
after its tag</TITLE>
</TOP>
<top>
<num> Number: 51 <dom> Domain: Trade
<title> Topic: Three: a subtitle
</top>
<top>
<num> 4
<desc> Description:
No title, but this.
</top>
"""
XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE track [ <!ELEMENT track (topic)*> ]>
<track>
<!-- a comment -->
<topic number="151" type="faceted">
  <query> a &amp; b </query>
  <description> not this </description>
  <subtopic number="1" type="inf"> nor this </subtopic>
</topic>
<query><qid>0002</qid><content>four words of content</content></query>
<topic number="3">
  the text itself
</topic>
</track>
"""


def write(path, text):
    path.write_bytes(text.encode())
    return path


def test_tagged_topics_with_and_without_labels_and_closing_tags(tmp_path):
    found = read_topics(write(tmp_path / "topics.txt", TAGGED.replace("<dom>", "\n<dom>")))
    assert found == {
        "301": "One title",
        "302": "Two, on the line after its tag",
        "51": "Three: a subtitle",
        "4": "No title, but this.",
    }
    assert read_topics(write(tmp_path / "crlf.txt", TAGGED.replace("<dom>", "\n<dom>").replace("\n", "\r\n"))) == found


def test_xml_topics(tmp_path):
    expected = {"151": "a & b", "0002": "four words of content", "3": "the text itself"}
    assert read_topics(write(tmp_path / "topics.xml", XML)) == expected


def test_tab_separated_lines_with_any_line_end_plain_or_gzip(tmp_path):
    lines = "\ufeff7\ta query\r\n\r\n8\tanother\twith a tab \r\n"
    (tmp_path / "packed").write_bytes(gzip.compress(lines.encode()))  # detected by its contents, not its name
    for path in (write(tmp_path / "plain", lines), tmp_path / "packed"):
        assert read_topics(path) == {"7": "a query", "8": "another with a tab"}


def test_several_files_are_one_set_of_topics(tmp_path):
    one, two = write(tmp_path / "a", "1\tx\n2\ty\n"), write(tmp_path / "b", "2\ty\n3\tz\n")
    assert read_topics(one, two) == {"1": "x", "2": "y", "3": "z"}
    with pytest.raises(UserError, match=r"c, line 2: the query id '2' is used twice"):
        read_topics(one, write(tmp_path / "c", "4\tx\n2\tother\n"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["topics has no topics"]),
        ("1\tx\nno tab\n", ["topics, line 2", "expected `id<TAB>text`", "'no tab'"]),
        ("1\tx\n2\t \n", ["topics, line 2", "'2' has no text"]),
        ("\n\n<top>\n<title> x\n</top>\n", ["topics, line 3", "query id '' is empty"]),
        ("<top>\n<num> 1 2\n<title> x\n</top>\n", ["topics, line 1", "'1 2' contains white space"]),
        ("<top>\n<num> 1\n<title> x\n</top>\n\n<top>\n<num> 2\n</top>\n", ["topics, line 6", "'2' has no text"]),
        ("<a>\n<topic number='1'>\n", ["topics, line 2", "neither TREC topics with <top> nor XML"]),
        ("<a><topic number='1'>x</topic><topic>y</topic></a>", ["topics, topic 2", "query id '' is empty"]),
    ],
)
def test_malformed_topics_are_named_with_their_place(tmp_path, text, words):
    with pytest.raises(UserError) as error:
        read_topics(write(tmp_path / "topics", text))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("<top>\n<num>1</num><title>\nGREY HERONS\n</title>\n</top>", "GREY HERONS"),
        ("<top><num>1</num><title>grey herons</title></top>", "grey herons"),
        ("<TOP><NUM>Number: 1</NUM><TITLE>Topic: Grey herons</TITLE></TOP>", "Grey herons"),
        ('<top lang="en">\n<num>1</num>\n<title>grey herons</title>\n<desc>x</desc>\n</top>', "grey herons"),
        ("<top id='1'><title lang = 'en' >grey herons</title></top>", "grey herons"),
        ("<top number=1>grey herons</top>", "grey herons"),
        ("<top><num>1<title>grey herons<desc>x</top>", "grey herons"),
        ("<top>\n<num> 1\n<title> grey\n<i>herons</i> of the lake</title>\n</top>", "grey herons of the lake"),
        ("<top>\n<num> 1\n<title> grey herons\n<unknown> not this\n</top>", "grey herons"),
        ("<top><num>1</num><desc>long</desc><title>grey <b>herons</b></title> not this</top>", "grey herons"),
        ("<top><num>1</num><title></title><title/><desc>Description: long</desc></top>", "long"),
        ("<top><num>1</num><title>R&amp;D, AT&T &lt;i> &#233; &copy;</title></top>", "R&D, AT&T <i> é &copy;"),
        ("<!-- <top><num>0</num></top> --><top><num>1</num><title>grey<!-- <desc> --> herons</top>", "grey herons"),
        ("<top><num>1</num><title><![CDATA[a <b> &amp; c]]></title></top>", "a <b> &amp; c"),
        ("<top><num>1</num><title>a < b and c > d, e<3</title></top>", "a < b and c > d, e<3"),
    ],
)
def test_tags_anywhere_on_a_line(tmp_path, text, title):
    assert read_topics(write(tmp_path / "topics", text)) == {"1": title}


@pytest.mark.parametrize("unclosed", ["</num>", "</title>", "</desc>", "</top>"])
@pytest.mark.parametrize("attributes", ["", ' lang="hi"'])
def test_one_topic_of_many_is_not_closed(tmp_path, unclosed, attributes):
    topics = [
        f"<top{attributes}>\n<num>{i}</num>\n<title>topic {i}</title>\n<desc>x</desc>\n</top>\n" for i in range(20)
    ]
    topics[7] = topics[7].replace(unclosed, "")
    text = "<?xml version='1.0'?>\n<topics>\n" + "".join(topics) + "</topics>\n"
    assert read_topics(write(tmp_path / "topics", text)) == {str(i): f"topic {i}" for i in range(20)}


def test_the_lines_of_topics_are_counted_over_comments_and_several_on_a_line(tmp_path):
    sound = "<top><num>{}</num><title>x</title></top>"
    text = f"\n<!--\n\n-->\n{sound.format(1)} {sound.format(2)}\n{sound.format(3)} <top><num>4</num></top>\n"
    with pytest.raises(UserError, match=r"topics, line 6: the query '4' has no text"):
        read_topics(write(tmp_path / "topics", text))


@pytest.mark.parametrize(
    "text",
    ["<top><num>1<title</num><title>x</title></top>", "<top><num>1&lt;2</num><title>x</title></top>", "1<title>\tx\n"],
)
def test_an_id_holds_no_tag(tmp_path, text):
    with pytest.raises(UserError, match=r"topics, line 1: the query id '1<\S+' holds '<'"):
        read_topics(write(tmp_path / "topics", text))


def test_elements_of_a_namespace(tmp_path):
    text = '<t xmlns="http://a.org"><topic number="1"><title>x</title></topic></t>'
    assert read_topics(write(tmp_path / "topics", text)) == {"1": "x"}


SHAPES = {
    "topics": lambda n: "<top>\n<num> Number: 1\n<title> x\n</top>\n\n" * n,
    "on one line": lambda n: "<top><num>1</num><title>x</title></top>" * n,
    "not closed": lambda n: "<top><num>1<title>x" * n,
    "long text": lambda n: "<top><num>1<title>" + "x y\n" * 8 * n,
    "fields": lambda n: "<top><num>1" + "<title>x" * 4 * n,
    "mark-up at the start of lines": lambda n: "<top><num>1<title>x\n" + "<a>\n" * 4 * n + "</a>",
    "nothing closes": lambda n: "<top><num>1<title>x " + "<a b " * 4 * n,
    "comments that do not end": lambda n: "<top><num>1<title>x " + "<!-- " * 4 * n,
    "attributes": lambda n: "<top id=1 " + "a-b " * 4 * n + "><title>x",
    "one long attribute": lambda n: "<top id=1 " + "a" * 16 * n + "><title>x",
}


IN_ONE_CALL = ("nothing closes", "comments that do not end", "attributes", "one long attribute")
"""Shapes that a single call of a pattern reads, whose steps cannot be counted."""


class Read(str):
    """A text that counts the characters in which something is sought."""

    total = 0

    def _sought(self, start, end):
        Read.total += (len(self) if end is None else end) - start

    def count(self, sub, start=0, end=None):
        self._sought(start, end)
        return str.count(self, sub, start, end)

    def find(self, sub, start=0, end=None):
        self._sought(start, end)
        return str.find(self, sub, start, end)

    def rfind(self, sub, start=0, end=None):
        self._sought(start, end)
        return str.rfind(self, sub, start, end)

    def __getitem__(self, place):
        found = str.__getitem__(self, place)
        Read.total += len(found)
        return found


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in IN_ONE_CALL])
def test_four_times_the_topics_are_four_times_the_work(tmp_path, shape, monkeypatch):
    """Counted are calls, and the characters that patterns read, that are sought through, or copied."""
    count_patterns(monkeypatch, [_topic_tags, topics])
    without_asides = _topic_tags._without_asides
    monkeypatch.setattr(_topic_tags, "_without_asides", lambda text: Read(without_asides(text)))

    def counted(n):
        path, Read.total = write(tmp_path / "topics", SHAPES[shape](n)), 0
        calls = work(lambda: read_topics(path))
        assert Read.total > n
        return calls + Read.total

    assert counted(2000) <= 4.05 * counted(500)


@pytest.mark.parametrize("shape", IN_ONE_CALL)
def test_four_times_the_topic_is_about_four_times_the_time(tmp_path, shape):
    """Quadratic time would be sixteen times as much. The shortest of several readings is the work alone."""

    def seconds(n):
        path = write(tmp_path / "topics", SHAPES[shape](n))

        def once():
            started = time.process_time()
            assert read_topics(path) == {"1": "x"} or shape in ("nothing closes", "comments that do not end")
            return time.process_time() - started

        return min(once() for _ in range(5))

    assert seconds(8000) < 9 * seconds(2000)


def test_topics_that_are_not_utf8_are_latin_1_or_what_their_xml_declares(tmp_path, capsys):
    table, xml = tmp_path / "topics.tsv", tmp_path / "topics.xml"
    table.write_bytes("1\theron\n2\tcafé on the lake: 5 €, “x”\n".encode("cp1252"))
    assert read_topics(table) == {"1": "heron", "2": "café on the lake: 5 €, “x”"}
    assert capsys.readouterr().err == f"gr2: {table} is not UTF-8 text: read as Latin-1\n"
    for text in ("<t><topic number='1'><title>čaj</title></topic></t>", "<top><num>1<title>čaj</top>"):
        xml.write_bytes(f"<?xml version='1.0' encoding='ISO-8859-2'?>\n{text}".encode("iso-8859-2"))
        assert read_topics(xml) == {"1": "čaj"}
        assert capsys.readouterr().err == f"gr2: {xml} is not UTF-8 text: read as ISO-8859-2\n"
    xml.write_bytes(f"<?xml version='1.0' encoding='ISO-8859-2'?>\n{text}".encode())  # whatever it declares
    assert read_topics(xml) == {"1": "čaj"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\tx\n".encode("utf-16"), r"line 1: not UTF-8 text .* at byte 0\), nor Latin-1"),
        (b"1\tx\n2\t\xff\x00\n", r"line 2: not UTF-8 text .* at byte 2\), nor Latin-1"),
        (b"1\tx\n2\t\x81\n", r"line 2: not UTF-8 text"),
        (b"<?xml version='1.0' encoding='none'?>\n<t>\xe9</t>", r"line 2: not UTF-8 text .* at byte 3\), nor none"),
        (b"<?xml version='1.0' encoding='zip'?>\n<t>\xe9</t>", r"line 2: not UTF-8 text .*, nor zip"),
    ],
)
def test_what_is_no_text_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "topics").write_bytes(content)
    with pytest.raises(UserError, match=f"topics, {message}"):
        read_topics(tmp_path / "topics")


# The number of topics in TREC's guidelines, and one topic as read by eye.
@pytest.mark.parametrize(
    ("name", "count", "example"),
    [
        ("dl19-passage.txt", 43, ("156493", "do goldfish grow")),
        ("dl20.txt", 200, ("1037496", "who is rep scalise?")),
        ("robust04.txt", 250, ("302", "Poliomyelitis and Post-Polio")),
        ("robust05.txt", 50, ("303", "Hubble Telescope Achievements")),
        ("terabyte04.701-750.txt", 50, ("702", "Pearl farming")),
        ("terabyte05.751-800.txt", 50, ("751", "Scrabble Players")),
        ("terabyte06.801-850.txt", 50, ("850", "Mississippi River flood")),
        ("web.101-150.txt", 50, ("101", "ritz carlton lake las vegas")),
        ("web.151-200.txt", 50, ("152", "angular cheilitis")),
    ],
)
def test_real_topics(shared_data, name, count, example):
    found = read_topics(shared_data / "trec" / "topics" / f"topics.{name}")
    assert len(found) == count
    assert found[example[0]] == example[1]
    assert all("<" not in text and text for text in found.values())


def test_real_topics_equal_those_read_by_ir_datasets(shared_data):
    formats = pytest.importorskip("ir_datasets.formats")
    local = pytest.importorskip("ir_datasets.util").LocalDownload
    folder = shared_data / "trec" / "topics"
    for name in ("robust04.txt", "robust05.txt", "terabyte06.801-850.txt"):
        theirs = formats.TrecQueries(local(folder / f"topics.{name}")).queries_iter()
        expected = {topic.query_id: " ".join(topic.title.split()) for topic in theirs}
        assert read_topics(folder / f"topics.{name}") == expected
