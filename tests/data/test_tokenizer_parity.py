"""Our tokenizer and seqio's vocabulary against transformers' T5 tokenizer, made from the same SentencePiece model."""

import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.data.vocabulary import Tokenizer, pad_rows, seqio_vocabulary

pytestmark = pytest.mark.peers
sentencepiece = pytest.importorskip("sentencepiece")
transformers = pytest.importorskip("transformers")

EXTRA = 100  # T5's own
TEXTS = ["Sort an array of numbers in place", "The quick brown Fox jumps over a lazy dog", "naïve café: Straße, 12; λ"]
SAMPLES = [
    "sort the numbers",
    "  leading,   several and trailing spaces  ",
    "The QUICK\tBrown\r\nfox\n\njumps",
    "naïve CAFÉ, Straße; e\u0301cole ﬁne ½ Ⅳ ﷺ",
    "an unseen word: zyzzyva, 漢字, 각, क्षि and ∑",
    "no-break\u00a0and ideographic\u3000space, zero\u200bwidth, soft\u00adhyphen",
    "🙂 smile",
    "",
    " \n",
    "<extra_id_0>",
    "sort <extra_id_7> an <extra_id_99> array",
    "  <extra_id_1>   <extra_id_2> ",
    "<extra_id_100> is no sentinel",
    "▁sort ▁▁ an array",
]


@pytest.fixture(scope="module", params=["nmt_nfkc_cf", "nmt_nfkc"], ids=["ours", "t5's"])
def peers(request, vocabulary, tmp_path_factory):
    """Transformers', our and seqio's tokenizer of a case-folded model of ours, and of a cased one as T5's is."""
    folder = tmp_path_factory.mktemp(request.param)
    path = folder / "spiece.model"
    if request.param == "nmt_nfkc_cf":
        shutil.copy(vocabulary, path)
    else:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS),
            model_prefix=str(path.with_suffix("")),
            vocab_size=70,
            hard_vocab_limit=False,
            normalization_rule_name=request.param,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            minloglevel=2,
        )
    theirs = transformers.T5Tokenizer.from_pretrained(folder)
    return theirs, Tokenizer(path, extra_ids=EXTRA), seqio_vocabulary(str(path), EXTRA)


def test_the_same_size_and_special_ids(peers):
    theirs, ours, seqio = peers
    assert len(theirs) == ours.size == seqio.vocab_size
    assert theirs.convert_tokens_to_ids(["<pad>", "</s>", "<unk>"]) == [seqio.pad_id, seqio.eos_id, seqio.unk_id]
    names = [f"<extra_id_{i}>" for i in reversed(range(EXTRA))]
    assert theirs.convert_tokens_to_ids(names) == list(ours.sentinels)
    assert [ours.encode(name) for name in names] == [[i] for i in ours.sentinels]


@pytest.mark.parametrize("text", SAMPLES)
def test_the_same_ids(peers, text):
    theirs, ours, seqio = peers
    expected = theirs(text, add_special_tokens=False).input_ids
    assert ours.encode(text) == expected
    assert list(seqio.encode(text)) == seqio.encode_tf(text).numpy().tolist() == expected


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_same_ids_on_random_text(peers, data):
    letters = st.text(st.characters(exclude_categories=["Cs", "Mn", "Mc", "Me"], exclude_characters="\x85\u200c\u200d"))
    words = st.sampled_from([" sort", " Array ", "ing", " <extra_id_0> ", " <extra_id_31> ", "\n"])
    text = "".join(data.draw(st.lists(letters | words)))
    theirs, ours, _ = peers
    assert ours.encode(text) == theirs(text, add_special_tokens=False).input_ids


def test_the_same_rows_with_the_end_token(peers):
    theirs, ours, _ = peers
    for length in (4, 40):
        expected = theirs(SAMPLES, padding="max_length", truncation=True, max_length=length).input_ids
        assert pad_rows(ours.encode_batch(SAMPLES), length, eos=1).tolist() == expected


def test_the_same_text_but_for_spaces_beside_special_tokens(peers):
    theirs, ours, seqio = peers
    last = ours.size - 1
    a, b = ours.encode("sort the"), ours.encode("array")
    for ids in ([*b, 1, 0, 0], [*a, 2, *b]):
        assert _bare(ours.decode(ids)) == _bare(theirs.decode(ids))
    for ids in (a + b, [last, *a, last - 7, *b], [*a, last, last - 1]):
        assert _bare(ours.decode(ids)) == _bare(theirs.decode(ids))
        assert ours.decode(ids) == seqio.decode(ids)
        assert ours.encode(ours.decode(ids)) == ids


def _bare(text):
    return re.sub(r" *(<\w+>|</s>) *", r"\1", text)


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("sort</s>", None),  # transformers reads control symbols; seqio and T5's training see text
        ("sort <pad> <unk>", None),
        ("sort<extra_id_0>", "sort <extra_id_0>"),  # transformers reads a sentinel at the end of a word
        ("<extra_id_0>ing", "<extra_id_0> ing"),  # and starts a new word after it
        ("sort\x85array", "sort array"),  # transformers splits at a control character that SentencePiece keeps
        ("ﬁ\u0301ne", "fine"),  # transformers loses an accent on a ligature that is expanded
    ],
)
def test_where_transformers_differs_from_sentencepiece(peers, text, like):
    theirs, ours, seqio = peers
    expected = theirs(text, add_special_tokens=False).input_ids
    assert ours.encode(text) == list(seqio.encode(text)) != expected
    if like is not None:
        assert ours.encode(like) == expected


def test_transformers_takes_only_lower_case_for_a_sentinel_where_case_is_folded(peers):
    theirs, ours, seqio = peers
    folded = ours.encode("A") == ours.encode("a")
    assert ours.encode("<EXTRA_ID_3>") == list(seqio.encode("<EXTRA_ID_3>"))
    assert (ours.encode("<EXTRA_ID_3>") == ours.encode("<extra_id_3>")) is folded
    assert (theirs("<EXTRA_ID_3>").input_ids == theirs("<extra_id_3>").input_ids) is False
