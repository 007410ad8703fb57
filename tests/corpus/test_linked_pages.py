"""Pairs of a folder of Markdown or HTML files: which link has which grade, and what the query is."""

import pytest

from gr2_jax.corpus import open_collection
from gr2_jax.corpus.graded_pairs import PairsOptions, build_pairs
from gr2_jax.corpus.linked_pages import _links_of_markdown, _links_of_page, ask_linked_pages
from gr2_jax.errors import UserError

FILES = {
    "index.md": """# Tea

Tea is made of leaves, see [green tea](green.md) and [the black one][black].
![A picture](picture.md) Not a [site](https://example.org/water.md).

```
[in code](guide/water.md)
```

## Water

Read [about water](guide/water.md#heat) and [green tea](green.md).

## See also

- [Cups](/cups)
- [missing](nowhere.md)

[black]: <guide/black.html>
""",
    "green.md": "# Green tea\n\nShort.\n",
    "cups/index.html": "<title>Cups</title><body><p>Cups hold tea or coffee.</p></body>",
    "guide/water.md": "Intro with [itself](water.md), and the [start](..).\n\n## More\n\nSee [green](../green).\n",
    "guide/black.html": """<title>Black tea</title><body><nav><a href="water.md">menu</a><h2>Menu</h2></nav>
<h1>Black <b>tea</b></h1><p>Black tea keeps for <a href="../index.md">a year</a>.</p>
<h2>Use</h2><p>With <a href="water.md?x=1#y">water</a> and <a>nothing</a></p>
<h3>Related pages</h3><a href="/green.md">Green</a></body>""",
    "notes.txt": "A file without links, which has no query.",
}
GRADES = {
    "index.md": {"index.md": 4, "green.md": 2, "guide/black.html": 2, "guide/water.md": 1, "cups/index.html": 3},
    "green.md": {"green.md": 4},
    "cups/index.html": {"cups/index.html": 4},
    "guide/water.md": {"guide/water.md": 4, "index.md": 2, "green.md": 1},
    "guide/black.html": {"guide/black.html": 4, "index.md": 2, "guide/water.md": 1, "green.md": 3},
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / "tea" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tea" / name).write_text(text)
    return tmp_path / "tea"


def test_grades_are_those_of_the_sections_that_hold_the_links(folder):
    asked = ask_linked_pages(open_collection(str(folder)), folder, seed=0)
    assert asked.qrels == {f"q:{name}": grades for name, grades in GRADES.items()}


def test_a_query_is_a_whole_sentence_without_markup_or_else_the_title(folder):
    asked = ask_linked_pages(open_collection(str(folder)), folder, seed=0)
    assert asked.queries["q:green.md"] == "Green tea"  # a sentence of one word is none
    assert asked.queries["q:guide/black.html"] == "Black tea keeps for a year."
    seen = {
        ask_linked_pages(open_collection(str(folder)), folder, seed=seed).queries["q:index.md"] for seed in range(20)
    }
    # "Not a site." has three words
    assert seen == {"Tea is made of leaves, see green tea and the black one.", "Read about water and green tea."}


def test_a_folder_of_pages_is_built_with_wikipedias_grades(folder, tmp_path):
    (folder / "guide" / "black.html").unlink()
    (folder / "index.md").write_text("# Tea\n\nTea is made of [leaves](green.md).\n")
    manifest = build_pairs(str(folder), tmp_path / "pairs", PairsOptions(shards=2))
    assert manifest["grades"] == 4  # though no page has a link of grade 3
    assert manifest["pairs_by_grade"] == {"4": 4, "2": 2, "1": 1}
    assert manifest["counts"]["documents"] == 5


def test_a_folder_without_pages_is_refused(tmp_path):
    (tmp_path / "tea").mkdir()
    (tmp_path / "tea" / "a.txt").write_text("Text alone.")
    with pytest.raises(UserError, match="has documents and no queries"):
        build_pairs(str(tmp_path / "tea"), tmp_path / "pairs")


@pytest.mark.parametrize(
    ("text", "grades"),
    [
        ("---\n# a comment\ntitle: t\n---\nSee [a](a.md).\n", [2]),
        ("# T\n```x = 1```\n[a](a.md)\n", [2]),
        ("# T\n## See also\n### More\n[a](a.md)\n## Rest\n[b](b.md)\n", [3, 1]),
        ("[" * 20_000 + "[a](a.md)", [2]),
    ],
)
def test_what_a_markdown_page_may_hold(text, grades):
    assert [grade for grade, _ in _links_of_markdown(text)] == grades


@pytest.mark.parametrize("text", ["<![foo[x]]>", "<![ 1", "<a href='a.html'>a</a><![foo[x]]>"])
def test_a_page_that_the_parser_gives_up_has_the_links_before(text):
    assert [target for _, target in _links_of_page(text)] == ["a.html"] * text.count("href")
