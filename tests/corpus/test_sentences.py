"""Sentences of many scripts."""

# ruff: noqa: RUF001
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.corpus.scripts import blankless, marks, upper
from gr2_jax.corpus.sentences import is_complete, paragraphs, sentences, word_count


def test_paragraphs_are_split_at_blank_lines_and_collapsed():
    assert paragraphs("\n a\n  b \n \t\n\nc\r\n\r\nd") == ("a b", "c", "d")
    assert paragraphs(" \n ") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is here. Two is there! Is it?", ["One is here.", "Two is there!", "Is it?"]),
        ("Use pi = 3.14 or e.g. Euler's number. Done.", ["Use pi = 3.14 or e.g. Euler's number.", "Done."]),
        (
            "This holds (i.e. Always). See cf. Knuth et al. Now.",
            ["This holds (i.e. Always).", "See cf. Knuth et al. Now."],
        ),
        ("Call numpy.linalg.inv. It works.", ["Call numpy.linalg.inv.", "It works."]),
        ("By J. A. Smith in Fig. 3 of vol. 2.", ["By J. A. Smith in Fig. 3 of vol. 2."]),
        ('He said "Stop." Then (Really.) He left.', ['He said "Stop."', "Then (Really.)", "He left."]),
        ("a wing . an experimental study .", ["a wing .", "an experimental study ."]),
        ("No stop\n\nNext paragraph", ["No stop", "Next paragraph"]),
        ("", []),
        ("... --", []),
        ("It is in Reims. Élan came. Ärger too.", ["It is in Reims.", "Élan came.", "Ärger too."]),
        ("Er kam. »Was nun?« Ende. „So.“ Gut.", ["Er kam.", "»Was nun?«", "Ende.", "„So.“", "Gut."]),
        ("« Il est là. » Elle part. « Non. »", ["« Il est là. »", "Elle part.", "« Non. »"]),
        ("¿Viene? ¡Sí! ¿Cuándo?", ["¿Viene?", "¡Sí!", "¿Cuándo?"]),
        ("Река течёт. Она глубока. и мелка", ["Река течёт.", "Она глубока. и мелка"]),
        ("هذا بيت. هل هو كبير؟ نعم", ["هذا بيت.", "هل هو كبير؟", "نعم"]),
        ("यह घर है। वह पेड़ है।यह नदी है॥", ["यह घर है।", "वह पेड़ है।", "यह नदी है॥"]),
        ("これは川です。とても深い！本当？はい", ["これは川です。", "とても深い！", "本当？", "はい"]),
        ("彼は「行く。」と言った。終わり", ["彼は「行く。」と言った。", "終わり"]),
        ("円周率は３．１４です．次", ["円周率は３．１４です．", "次"]),
        ("ቤት ነው። ዛፍ ነው።", ["ቤት ነው።", "ዛፍ ነው።"]),
        ("E\u0301te\u0301 est la\u0300. E\u0301lan aussi.", ["E\u0301te\u0301 est la\u0300.", "E\u0301lan aussi."]),
    ],
)
def test_sentences(text, expected):
    assert list(sentences(text)) == expected


@pytest.mark.parametrize(
    ("language", "whole"),
    [
        ("de", "Am 3. Mai kam Dr. Weiß z. B. nach St. Gallen."),
        ("fr", "Mgr. Dupont et M. Éluard vivaient av. J. Blanc."),
        ("es", "El Sr. Ruiz vive en EE.UU. Norte."),
        ("ru", "А. С. Попов жил на ул. Садовой в г. Туле."),
        ("pl", "Ks. Nowak mieszka przy ul. Długiej."),
        ("sv", "Bilen kom kl. 5 med t.ex. Å. Berg."),
        ("de-at", "Im 19. Jahrhundert war er da."),
    ],
)
def test_abbreviations_are_those_of_the_language(language, whole):
    assert sentences(f"{whole} {whole}", language) == (whole, whole)


def test_an_ordinal_is_german_and_a_number_ends_an_english_sentence():
    assert sentences("It sold 12. Then it sold 13.") == ("It sold 12.", "Then it sold 13.")


def test_every_letter_of_the_alphabet_is_an_initial():
    for letter in string.ascii_letters:
        assert len(sentences(f"So {letter}. Reed said.")) == 1
    assert sentences("A double-storey a and a single-storey \u0251. The latter is rare.")[1:] == (
        "The latter is rare.",
    )


_ASCII_END = re.compile(r"[.!?]+[\"')\]]*(?=\s+[\"'(\[`]*[A-Z0-9])|(?<=\s)[.!?](?=\s)")


@given(st.lists(st.sampled_from([*"aB3.!?)]\"'([`-_", " ", " ", "\n\n", "xy", "Ab "]), max_size=30).map("".join))
def test_in_ascii_a_sentence_ends_before_a_capital_or_a_digit(text):
    """Written without abbreviations, whose rule is tested above, as it was for English alone."""
    expected = []
    for paragraph in paragraphs(text):
        start = 0
        for end in _ASCII_END.finditer(paragraph):
            if not re.search(r"(?:^|[\s(\[\"'])[a-zA-Z]\.$", paragraph[start : end.end()]):
                expected.append(paragraph[start : end.end()].strip())
                start = end.end()
        expected.append(paragraph[start:].strip())
    assert sentences(text) == tuple(part for part in expected if any(map(str.isalnum, part)))


_PIECES = st.sampled_from(
    [*".!?。！।؟…", " ", "\n\n", "a", "Б", "д", "日", "本", "ह", "ि", "م", "「", "」", "(", "»", "3"]
)


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_sentences_lose_and_invent_nothing(text):
    found = sentences(text)
    assert all(any(map(str.isalnum, sentence)) for sentence in found)
    kept = "".join(found).replace(" ", "")
    assert [c for c in text if c.isalnum()] == [c for c in kept if c.isalnum()]


def test_sets_of_letters_hold_nothing_of_ascii_but_capitals():
    ascii_text = "".join(map(chr, range(128)))
    assert "".join(re.findall(f"[{upper()}]", ascii_text)) == string.ascii_uppercase
    assert not re.findall(f"[{marks()}{blankless()}]", ascii_text)
    assert re.fullmatch(f"[{upper()}]+", "ÉЖΩǅԱ")
    assert re.fullmatch(f"[{marks()}]+", "\u0301\u093f\u05b8\u0e31")
    assert re.fullmatch(f"[{blankless()}]+", "日ひカｶไ")


def test_words_are_counted_in_scripts_without_blanks():
    assert word_count("one two  three") == 4  # a blank separates two words
    assert word_count("東京") == 1
    assert word_count("東京は日本の首都です") == 5
    assert word_count("the city 北京 is") == 4
    assert word_count("यह घर है") == 3


@pytest.mark.parametrize("text", ["a.", "a!)", "é。」", "है।", "نعم؟", "a.\u00bb", "a. \u00bb", "終わり．"])
def test_complete(text):
    assert is_complete(text)
    assert not is_complete(text + " b")
