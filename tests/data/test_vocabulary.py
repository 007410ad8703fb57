import contextlib
import subprocess
import sys

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from gr2_jax.data.vocabulary import (
    Tokenizer,
    VocabularyConfig,
    pad_rows,
    read_vocabulary,
    seqio_vocabulary,
    train_vocabulary,
)
from gr2_jax.errors import UserError

EXTRA = 7
SAMPLES = [
    "sort the numbers",
    "  The   QUICK\tbrown\nfox ",
    "an unseen word: zyzzyva, 漢字 and ∑",
    "ﬁne Straße ÉCOLE",  # NFKC and case folding change lengths
    "",
]


@pytest.fixture(scope="module")
def tokenizer(vocabulary):
    return Tokenizer(vocabulary, extra_ids=EXTRA)


def train(texts, folder, size=60):
    train_vocabulary(texts, folder / "v.model", size=size)
    return folder / "v.model"


def test_the_same_texts_give_the_same_bytes_and_no_other_file(tmp_path):
    texts = [f"number {i} of many numbers, sorted" for i in range(50)]
    first = train(iter(texts), tmp_path).read_bytes()
    assert train(texts, tmp_path).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["v.model"]
    assert train([*texts, "one more sentence"], tmp_path).read_bytes() != first


def test_ids_are_those_of_seqio(vocabulary, tokenizer):
    theirs = seqio_vocabulary(str(vocabulary), EXTRA)
    assert (theirs.pad_id, theirs.eos_id, theirs.unk_id) == (0, 1, 2)
    assert theirs.vocab_size == tokenizer.size
    for text in SAMPLES:
        assert tokenizer.encode(text) == list(theirs.encode(text)) == theirs.encode_tf(text).numpy().tolist()
    assert tokenizer.encode_batch(SAMPLES) == [tokenizer.encode(text) for text in SAMPLES]
    assert tokenizer.encode("") == []


def test_sentinels_are_the_extra_ids_at_the_end_which_seqio_names_backwards(vocabulary, tokenizer):
    theirs = seqio_vocabulary(str(vocabulary), EXTRA)
    assert list(tokenizer.sentinels) == list(range(tokenizer.size - EXTRA, tokenizer.size))
    names = [theirs.tokenizer.IdToPiece(i) for i in tokenizer.sentinels]
    assert names == [f"▁<extra_id_{i}>" for i in reversed(range(EXTRA))]
    assert not set(tokenizer.sentinels) & {i for text in SAMPLES for i in tokenizer.encode(text)}


def test_a_sentinel_spelt_out_is_that_sentinel_counted_from_the_end(vocabulary, tokenizer):
    last = tokenizer.size - 1
    assert tokenizer.encode("<extra_id_0>") == [last]
    assert tokenizer.encode(f"sort <extra_id_2> array <extra_id_{EXTRA - 1}>") == [
        *tokenizer.encode("sort"),
        last - 2,
        *tokenizer.encode("array"),
        tokenizer.sentinels.start,
    ]
    theirs = seqio_vocabulary(str(vocabulary), EXTRA)
    odd = ["an<extra_id_0>", "<extra_id_0>an", "<extra_id_0><extra_id_1>", "<EXTRA_ID_1>", f"<extra_id_{EXTRA}>"]
    for text in [*odd, "a </s> b", "<pad> <unk>"]:
        assert tokenizer.encode(text) == list(theirs.encode(text)) == theirs.encode_tf(text).numpy().tolist()
    assert not {0, 1} & {*tokenizer.encode("a </s> b"), *tokenizer.encode("<pad> <unk>")}  # plain text


def test_decode_reads_back_case_folded_text_and_names_special_tokens(tokenizer):
    ids = tokenizer.encode("The QUICK brown fox")
    assert tokenizer.decode(ids) == "the quick brown fox"
    assert tokenizer.decode(np.array(ids, np.int32)) == "the quick brown fox"
    marked = [tokenizer.sentinels.start, *ids, tokenizer.size - 1]
    assert tokenizer.decode(marked) == f"<extra_id_{EXTRA - 1}> the quick brown fox <extra_id_0>"
    assert tokenizer.encode(tokenizer.decode(marked)) == marked
    assert tokenizer.decode([*ids, 1, 0, 0]) == "the quick brown fox</s><pad><pad>"
    assert tokenizer.decode([*ids, tokenizer.size, tokenizer.size + 27]) == "the quick brown fox<unk><unk>"
    assert tokenizer.decode([]) == ""


def test_sentinels_written_and_read_again_are_the_same(tokenizer):
    docid = [tokenizer.sentinels[i] for i in (3, 0, EXTRA - 1, 3)]
    assert tokenizer.encode(tokenizer.decode(docid)) == docid


def test_case_does_not_matter_and_ids_2_and_below_are_reserved(tokenizer):
    assert tokenizer.encode("SORT An aRRay") == tokenizer.encode("sort an array")
    assert tokenizer.encode("ÉCOLE ﬁne") == tokenizer.encode("école fine")
    assert min(tokenizer.encode("sort an array")) > 2
    assert 2 in tokenizer.encode("漢")


def test_size_is_a_soft_limit(tmp_path, tokenizer):
    assert tokenizer.size <= 60 + EXTRA
    small = Tokenizer(train(["ab ab ba"], tmp_path, size=100_000), extra_ids=0)
    assert 5 <= small.size < 20
    assert list(small.sentinels) == []


@pytest.mark.parametrize(
    ("texts", "size"), [([], 60), (["", " \n"], 60), (["more letters than pieces"], 5), (["text"], 0)]
)
def test_a_failed_training_raises_one_line_and_leaves_no_file(tmp_path, texts, size):
    with pytest.raises(UserError, match=f"^no vocabulary of {size} pieces could be learnt.*$"):
        train(texts, tmp_path, size)
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_vocabulary_is_read_again(tmp_path):
    path = train(["first first words"], tmp_path, 30)
    before = seqio_vocabulary(str(path), EXTRA).vocab_size
    train(["quite another, much longer text with many more letters: jkpvxz"], tmp_path, 50)
    after = seqio_vocabulary(str(path), EXTRA)
    assert after.vocab_size == Tokenizer(path, extra_ids=EXTRA).size != before
    assert after.encode("another") == Tokenizer(path, extra_ids=EXTRA).encode("another")


def test_the_tokenizer_needs_no_tensorflow(vocabulary):
    code = (
        "import sys, pathlib; from gr2_jax.data.vocabulary import Tokenizer; "
        f"assert Tokenizer(pathlib.Path({str(vocabulary)!r}), extra_ids=1).encode('sort'); "
        "assert not {'tensorflow', 'seqio', 'jax'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pad_rows():
    rows = [[5, 6, 7, 8], [9], []]
    assert pad_rows(rows, 3).tolist() == [[5, 6, 7], [9, 0, 0], [0, 0, 0]]
    assert pad_rows(rows, 3, eos=1).tolist() == [[5, 6, 1], [9, 1, 0], [1, 0, 0]]
    assert pad_rows(rows, 4, eos=1).tolist() == [[5, 6, 7, 1], [9, 1, 0, 0], [1, 0, 0, 0]]
    assert pad_rows([], 3).shape == (0, 3)
    assert pad_rows(rows, 3).dtype == np.int32


def test_a_vocabulary_is_read_as_it_is(vocabulary):
    assert read_vocabulary(vocabulary) == vocabulary.read_bytes()


def test_a_file_that_is_not_a_vocabulary_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot use .*absent.model as the vocabulary: No such file"):
        read_vocabulary(tmp_path / "absent.model")
    (tmp_path / "text.model").write_text("not a model")
    with pytest.raises(UserError, match=r"cannot use .*text.model as the vocabulary: it is not a SentencePiece model"):
        read_vocabulary(tmp_path / "text.model")


def test_a_vocabulary_with_other_special_ids_is_refused(tmp_path):
    texts = [f"number {i} of many numbers, sorted" for i in range(50)]
    prefix = str(tmp_path / "llama")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=prefix, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    with pytest.raises(UserError, match="padding -1, end 2, unknown 0"):
        read_vocabulary(tmp_path / "llama.model")


def with_pieces(source, target, names, *, at_end=True, kind=4):
    """A copy of a model with more pieces (4: user-defined, 1: normal), at its end or after the special ids."""
    model = sentencepiece_model_pb2.ModelProto.FromString(source.read_bytes())
    added = [model.SentencePiece(piece=name, score=0.0, type=kind) for name in names]
    pieces = list(model.pieces)
    del model.pieces[:]
    model.pieces.extend([*pieces, *added] if at_end else [*pieces[:3], *added, *pieces[3:]])
    target.write_bytes(model.SerializeToString())
    return target


OWN = [f"▁<extra_id_{i}>" for i in range(12)]


@pytest.mark.parametrize("names", [OWN[::-1], OWN, [OWN[i] for i in (5, 0, 7, 3, 11, 2, 9, 1, 10, 4, 8, 6)]])
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("extra_ids", [12, 10, 0])
def test_sentinels_that_a_file_has_itself_are_its_extra_ids(vocabulary, tmp_path, names, at_end, extra_ids):
    """As mT5's file has them at its end, descending, or a user's wherever SentencePiece put them."""
    path = with_pieces(vocabulary, tmp_path / "own.model", names, at_end=at_end)
    assert read_vocabulary(path, extra_ids=extra_ids) == path.read_bytes()
    own = Tokenizer(path, extra_ids=extra_ids)
    assert own.size == Tokenizer(vocabulary, extra_ids=12).size
    assert own.decode(own.sentinels) == " ".join(f"<extra_id_{i}>" for i in reversed(range(12)))
    assert own.encode("sort <extra_id_7> array")[-2 - len(own.encode("array")) + 1] == own.sentinels[-8]
    theirs = seqio_vocabulary(str(path), extra_ids)
    for text in (*SAMPLES, "sort <extra_id_7> array"):
        assert own.encode(text) == list(theirs.encode(text)) == theirs.encode_tf(text).numpy().tolist()


def test_the_same_sentinels_in_the_file_and_added_to_it_are_the_same_vocabulary(vocabulary, tmp_path):
    own = Tokenizer(with_pieces(vocabulary, tmp_path / "own.model", OWN[::-1]), extra_ids=12)
    added = Tokenizer(vocabulary, extra_ids=12)
    assert own.sentinels == added.sentinels
    assert own.fingerprint == added.fingerprint


def test_more_extra_ids_than_the_file_has_are_refused(vocabulary, tmp_path):
    path = with_pieces(vocabulary, tmp_path / "own.model", OWN[::-1])
    for read in (lambda: read_vocabulary(path, extra_ids=13), lambda: Tokenizer(path, extra_ids=13)):
        with pytest.raises(UserError, match=r"12 sentinels of its own.*--vocabulary.extra_ids 12, or fewer"):
            read()
    with pytest.raises(UserError, match="12 sentinels of its own"):
        VocabularyConfig(model=str(path)).content()


def test_a_gap_ends_the_sentinels_and_a_name_without_the_first_is_refused(vocabulary, tmp_path):
    gap = with_pieces(vocabulary, tmp_path / "gap.model", [OWN[9], OWN[1], OWN[0]])
    assert len(Tokenizer(gap, extra_ids=2).sentinels) == 2
    with pytest.raises(UserError, match="2 sentinels of its own"):
        Tokenizer(gap, extra_ids=3)
    headless = with_pieces(vocabulary, tmp_path / "headless.model", [OWN[5]])
    assert len(Tokenizer(headless, extra_ids=5).sentinels) == 5
    with pytest.raises(UserError, match="has the sentinel <extra_id_5> and lacks <extra_id_0>"):
        Tokenizer(headless, extra_ids=6)


def test_a_text_about_t5_teaches_no_sentinels(tmp_path):
    """SentencePiece learns no piece across brackets and letters, so none has the name of one that is added."""
    path = train(["sort <extra_id_0> numbers <extra_id_1> and more"] * 50, tmp_path, size=60)
    tokenizer = Tokenizer(path, extra_ids=3)
    assert tokenizer.encode("<extra_id_0>") == [tokenizer.size - 1]


def test_a_piece_that_is_there_twice_is_refused(vocabulary, tmp_path):
    with pytest.raises(UserError, match="it is not a SentencePiece model"):
        read_vocabulary(with_pieces(vocabulary, tmp_path / "twice.model", ["▁twice", "▁twice"]))


def test_pieces_that_are_no_text_are_refused(tmp_path):
    """Where two are the same, SentencePiece's own message cannot be decoded."""
    path = train(["heron lake fish water bird"] * 9, tmp_path, size=40)
    once = path.read_bytes().replace(b"\n\x01h", b"\n\x01\xff")
    twice = once.replace(b"\n\x01e", b"\n\x01\xff")
    assert path.read_bytes() != once != twice
    path.write_bytes(once)
    with pytest.raises(UserError, match="a piece is not UTF-8 text"):
        read_vocabulary(path)
    path.write_bytes(twice)
    with pytest.raises(UserError, match="it is not a SentencePiece model"):
        read_vocabulary(path)


@pytest.mark.parametrize("letters", [100_000, 5_000_000])
def test_a_piece_that_is_a_book_is_refused(vocabulary, tmp_path, letters):
    """Versions of SentencePiece before the one that we ask for took a frame of the stack for each of its letters, and
    ended the process."""
    with pytest.raises(UserError, match="it is not a SentencePiece model"):
        read_vocabulary(with_pieces(vocabulary, tmp_path / "book.model", ["a" * letters], kind=1))


@settings(max_examples=60)
@given(st.data())
def test_damaged_models_are_refused_or_read(vocabulary, tmp_path_factory, data):
    content = bytearray(vocabulary.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # the pieces are at the beginning; the rest is a table of the normaliser
        content[data.draw(st.integers(0, min(len(content), 2000) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "spiece.model"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with contextlib.suppress(UserError):
        Tokenizer(path, extra_ids=5).encode("sort the numbers")
