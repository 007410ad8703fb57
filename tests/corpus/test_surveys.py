import dataclasses
import json

from gr2_jax.corpus import Collection, Document, open_collection, survey
from gr2_jax.corpus.surveys import DocumentTally, Finding

ODD = Collection(
    name="odd",
    documents=(
        Document("a", "T", "one"),
        Document("b", "", ""),
        Document("c", "", " "),
        Document("a", "", "two"),
        Document("d", "", "T\none"),  # the same contents as the first
        Document("e f", "", "three"),
        Document("a", "T", "one"),
    ),
    queries={"q1": "x", "q2": "y", "q3": "z", "q 4": " ", "q5": "w"},
    qrels={
        "q1": {"a": 2, "b": -1, "gone": 3},
        "q2": {"a": 0, "lost": 0, "gone": -2},
        "q5": {},
        "nobody": {"a": 1, "b": 0},
    },
    provenance={},
)


def test_all_anomalies_are_counted_and_named():
    found = survey(ODD.stream())
    assert (found.documents, found.queries, found.judgements) == (7, 5, 8)
    assert found.grades == {3: 1, 2: 1, 1: 1, 0: 3, -1: 1, -2: 1}
    assert list(found.grades) == [3, 2, 1, 0, -1, -2]
    assert found.repeated_ids == Finding(2, ("a", "a"))
    assert found.repeated_texts == Finding(2, ("d", "a"))
    assert found.empty_documents == Finding(2, ("b", "c"))
    assert found.unfit_document_ids == Finding(1, ("'e f'",))
    assert found.unfit_query_ids == Finding(1, ("'q 4'",))
    assert found.empty_queries == Finding(1, ("q 4",))
    assert found.unjudged_queries == Finding(3, ("q3", "q 4", "q5"))
    assert found.queries_without_positive == Finding(1, ("q2",))
    assert found.judgements_of_unknown_queries == Finding(2, ("nobody a", "nobody b"))
    assert found.positives_without_document == Finding(1, ("q1 gone",))
    assert found.others_without_document == Finding(2, ("q2 lost", "q2 gone"))


def test_the_report_lists_only_the_anomalies_found():
    lines = survey(ODD.stream()).lines()
    assert lines[0] == "odd"
    assert any(line.split() == ["documents", "7"] for line in lines)
    assert any("grade -2" in line for line in lines)
    assert any(line.startswith("documents without text") and line.endswith(" 2  b, c") for line in lines)
    sound = Collection("sound", (Document("a", "", "x"),), {"q": "x"}, {"q": {"a": 1}}, {})
    assert len(survey(sound.stream()).lines()) == 5  # the name, three counts and one grade
    written = json.loads(json.dumps(dataclasses.asdict(survey(ODD.stream()))))
    assert written["repeated_ids"] == {"count": 2, "first": ["a", "a"]}


def test_many_anomalies_are_counted_and_the_first_few_named():
    documents = tuple(Document(str(n // 2), "", "" if n % 3 else f"text {n % 5}") for n in range(1000))
    found = survey(dataclasses.replace(ODD, documents=documents).stream())
    assert found.repeated_ids == Finding(500, ("0", "1", "2"))
    assert found.empty_documents == Finding(666, ("0", "1", "2"))
    assert found.repeated_texts.count == 334 - 5


def test_one_pass_over_the_documents_and_another_only_to_name_repeats():
    passes = []

    def documents():
        passes.append(0)
        for number in range(100):
            passes[-1] += 1
            yield Document("d1" if number == 7 else f"d{number}", "", f"text {number}")

    stream = dataclasses.replace(ODD.stream(), documents=documents)
    assert survey(stream).repeated_ids == Finding(1, ("d1",))
    assert passes == [100, 8]
    assert [document.doc_id for document in DocumentTally(stream).watched()][7] == "d1"


def test_no_documents():
    found = survey(dataclasses.replace(ODD, documents=()).stream())
    assert (found.documents, found.repeated_ids) == (0, Finding(0, ()))


def test_real_collections_have_the_known_counts(shared_data):
    cranfield = survey(open_collection(str(shared_data / "cranfield")))
    assert (cranfield.documents, cranfield.queries) == (1400, 225)
    assert cranfield.grades == {4: 128, 3: 387, 2: 734, 1: 363, 0: 225}
    assert cranfield.empty_documents == Finding(2, ("471", "995"))
    npl = survey(open_collection(str(shared_data / "npl")))
    assert (npl.documents, npl.queries, npl.grades) == (11_429, 93, {1: 2083})
