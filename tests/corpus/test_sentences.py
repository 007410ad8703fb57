import pytest

from gr2_jax.corpus.sentences import paragraphs, sentences


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
    ],
)
def test_sentences(text, expected):
    assert list(sentences(text)) == expected
