import gzip

import pytest

from gr2_jax.corpus import read_topics
from gr2_jax.errors import UserError

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


def test_text_of_another_encoding_is_named_with_its_line(tmp_path):
    (tmp_path / "topics").write_bytes(b"1\tx\n2\tcaf\xe9\n")
    with pytest.raises(UserError, match=r"topics, line 2: not UTF-8 text .* at byte 5"):
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
