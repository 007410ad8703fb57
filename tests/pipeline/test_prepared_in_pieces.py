"""A large collection is prepared by many processes, in pieces: with the bytes of one process, and on from a kill."""

import dataclasses
import itertools
import shutil

import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax.corpus import Document
from gr2_jax.errors import UserError
from gr2_jax.experiment import AugmentationConfig
from gr2_jax.pipeline import large as large_module
from gr2_jax.pipeline import pieces, prepare, text_pieces
from gr2_jax.pipeline.run import TASKS_ON_DISK, Run

SIZE, PASSAGES = 7, 3  # of 60 documents: nine pieces of each kind, the last of four documents
ALL = 3 * 9  # pseudo-queries, beginnings and further passages
EXPERIMENT = small_experiment(augmentation=AugmentationConfig(entities=2, passages=PASSAGES))


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Document 5 has passages beyond its beginning, as has none of the others."""
    folder = tmp_path_factory.mktemp("pieces")
    documents = [Document(f"d{i}", text.title(), f"{text}. The {text.title()} again.") for i, text in enumerate(TEXTS)]
    documents[5] = Document("d5", TEXTS[5].title(), f"{TEXTS[5]}. " * 200)
    write_folder(folder, documents, TEXTS)
    return over(EXPERIMENT, folder)


@pytest.fixture(scope="module")
def expected(collection, tmp_path_factory):
    """Every file of examples/ as one process writes it that makes no pieces; learning from a sample alone tells
    large collections from small ones, and a sample of more than all is all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_module, "LARGE", 20)
        patch.setattr(prepare, "_in_pieces", lambda run: False)
        return files_of(prepared(collection, tmp_path_factory.mktemp("one")))


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(large_module, "LARGE", 20)
    monkeypatch.setattr(text_pieces, "SIZE", SIZE)
    monkeypatch.setenv("GR2_WORKERS", "1")


def prepared(experiment, workdir):
    run = Run(experiment, workdir)
    run.paths.create()
    prepare.prepare(run)
    return run


def files_of(run):
    return {path.name: path.read_bytes() for path in run.paths.examples.iterdir()}


def test_pieces_are_of_every_kind(collection, expected):
    assert set(expected) >= {f"{task}.{file}" for task in TASKS_ON_DISK for file in ("tfrecord", "tokens.npy")}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_writes_the_bytes_of_one_process(
    collection, expected, large, tmp_path, monkeypatch, workers
):
    monkeypatch.setenv("GR2_WORKERS", str(workers))
    run = prepared(collection, tmp_path)
    assert files_of(run) == expected
    assert not run.paths.pieces.exists()


@pytest.fixture
def made(monkeypatch):
    """The names of the pieces that this process makes."""
    names, make = [], pieces.Piece.make

    def noted(piece):
        make(piece)
        names.append(piece.path.name)

    monkeypatch.setattr(pieces.Piece, "make", noted)
    return names


def interrupted(collection, workdir, monkeypatch, function, after):
    """The run, whose preparation is killed in a function of the pieces' module when it is called once more."""
    calls, own = itertools.count(), getattr(pieces.Piece, function)

    def killed(*arguments):
        if next(calls) == after:
            raise KeyboardInterrupt
        return own(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(pieces.Piece, function, killed)
        with pytest.raises(KeyboardInterrupt):
            prepared(collection, workdir)
    return Run(collection, workdir)


@pytest.mark.parametrize("after", [0, 1, 10, ALL - 1])
def test_a_killed_preparation_makes_the_missing_pieces_alone(
    collection, expected, large, made, tmp_path, monkeypatch, after
):
    run = interrupted(collection, tmp_path, monkeypatch, "make", after)
    assert not run.paths.examples.exists()
    before, made[:] = set(made), []
    assert len(before) == after
    assert files_of(prepared(collection, tmp_path)) == expected
    assert len(made) == ALL - after
    assert not before & set(made)


@pytest.mark.parametrize("name", ["pseudo.tfrecord", "pseudo.tokens.npy", "pseudo.starts.npy", "piece.json"])
def test_a_damaged_piece_is_made_again(collection, expected, large, made, tmp_path, monkeypatch, name):
    run = interrupted(collection, tmp_path, monkeypatch, "is_whole", 0)  # all of "pseudo" are made, and none joined
    third = sorted(run.paths.pieces.glob("*/pseudo-*"))[2]
    (third / name).write_bytes((third / name).read_bytes()[:-2])
    made[:] = []
    assert files_of(prepared(collection, tmp_path)) == expected
    assert [piece for piece in made if "pseudo" in piece] == [third.name]


def test_what_a_killed_process_left_half_written_is_no_piece(collection, expected, large, made, tmp_path, monkeypatch):
    run = interrupted(collection, tmp_path, monkeypatch, "is_whole", 0)
    third = sorted(run.paths.pieces.glob("*/pseudo-*"))[2]
    third.rename(third.with_name(f"{third.name}.host-7.partial"))
    made[:] = []
    assert files_of(prepared(collection, tmp_path)) == expected
    assert [piece for piece in made if "pseudo" in piece] == [third.name]


def test_pieces_of_other_settings_are_not_taken(collection, large, made, tmp_path, monkeypatch):
    interrupted(collection, tmp_path, monkeypatch, "make", 5)
    made[:] = []
    other = dataclasses.replace(collection, augmentation=AugmentationConfig(entities=1, passages=PASSAGES))
    run = prepared(other, tmp_path)
    assert len(made) == ALL
    assert not run.paths.pieces.exists()


def test_two_hosts_make_half_of_the_pieces_each(collection, expected, large, made, tmp_path, monkeypatch):
    run, shares = interrupted(collection, tmp_path, monkeypatch, "make", 1), []
    (directory,) = run.paths.pieces.iterdir()
    for host in (1, 0):  # the first would make the other's, too
        made[:] = []
        for task in TASKS_ON_DISK:
            text_pieces.make_pieces(prepare._pieces(run, task, directory), host=host, hosts=2)
        shares.append(set(made))
    assert not shares[0] & shares[1]
    assert abs(len(shares[0]) - len(shares[1])) <= 2
    assert len(shares[0] | shares[1]) == ALL - 1
    made[:] = []
    assert files_of(prepared(collection, tmp_path)) == expected
    assert not made


def test_the_first_host_makes_what_another_left(collection, expected, large, made, tmp_path, monkeypatch):
    run = interrupted(collection, tmp_path, monkeypatch, "make", 1)
    (directory,) = run.paths.pieces.iterdir()
    made[:] = []
    for task in TASKS_ON_DISK:
        parts = prepare._pieces(run, task, directory)
        text_pieces.make_pieces(parts, host=0, hosts=3)
        own = [piece.path.name for piece in parts]
        assert set(own) - set(made) <= {"pseudo-0000000000-" + own[0][-10:]}
    order = [name for name in made if name.startswith("documents")]
    shares = [sorted(order)[start::3] for start in range(3)]
    assert order[: len(shares[0])] == shares[0]
    assert order[len(shares[0]) :] == sorted([*shares[1], *shares[2]], reverse=True)


def test_two_hosts_may_make_the_same_piece(collection, large, tmp_path, monkeypatch):
    """The other's comes while this one's is about to be renamed."""
    run = interrupted(collection, tmp_path, monkeypatch, "make", 0)
    piece = prepare._pieces(run, "pseudo", run.paths.pieces / ("0" * 16))[0]
    own = pieces.put_in_place

    def beaten(partial, directory):
        own(shutil.copytree(partial, f"{partial}.other"), directory)
        raise UserError("Directory not empty")

    monkeypatch.setattr(pieces, "put_in_place", beaten)
    piece.make()
    assert piece.is_whole()
    assert not [path for path in piece.path.parent.iterdir() if path.name.endswith(".partial")]


def test_a_damaged_document_is_named_by_the_worker_that_reads_it(collection, large, tmp_path, monkeypatch):
    run = interrupted(collection, tmp_path, monkeypatch, "make", 0)
    wanted, path = prepare._pieces(run, "pseudo", run.paths.pieces / "some"), run.paths.corpus / "documents.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[40] = b"[" + lines[40][1:]
    path.write_bytes(b"\n".join(lines))
    monkeypatch.setenv("GR2_WORKERS", "2")
    with pytest.raises(UserError, match=r"documents\.jsonl, line 41"):
        text_pieces.make_pieces(wanted)
