"""seqio feature converters: from a task's features to T5X's names, padded, with padding told apart from row 0."""

from collections.abc import Callable, Mapping

from gr2_jax.data.seqio.libraries import libraries

GRADED = {"inputs": "encoder_input_tokens", "docid_rows": "docid_rows", "grades": "grades"}
DOCID_GENERATION = {"inputs": "encoder_input_tokens", "targets": "decoder_target_tokens"}


def graded_feature_converter(*, docid_tokens: bool = False):
    """encoder_input_tokens [Tq] 0-padded, docid_rows [K] -1-padded, grades [K] 0-padded and, where the task's docids
    are tokens, docid_tokens [K, Ti] 0-padded. Only missing documents are padding: a judged grade of 0 keeps its row."""
    names = GRADED | ({"docid_tokens": "docid_tokens"} if docid_tokens else {})
    return _converter(names, ranks={"docid_tokens": 2}, fillers={"docid_rows": -1})


def docid_feature_converter():
    """encoder_input_tokens [Td] and decoder_target_tokens [T], 0-padded: a document and a query to generate from it."""
    return _converter(DOCID_GENERATION, ranks={}, fillers={})


def _converter(names: Mapping[str, str], *, ranks: Mapping[str, int], fillers: Mapping[str, int]):
    tf, seqio = libraries()
    spec = seqio.FeatureConverter.FeatureSpec

    class Converter(seqio.FeatureConverter):
        TASK_FEATURES = {n: spec(dtype=tf.int32, rank=ranks.get(n, 1)) for n in names}  # noqa: RUF012
        MODEL_FEATURES = {m: spec(dtype=tf.int32, rank=ranks.get(n, 1)) for n, m in names.items()}  # noqa: RUF012
        PACKING_FEATURE_DTYPES = None

        def _convert_features(self, ds, task_feature_lengths):
            # seqio pads with 0: values are shifted before and back afterwards, so that 0 becomes their own filler
            moved = self._pack_or_pad(ds.map(_moved(fillers, -1)), task_feature_lengths)
            return moved.map(_moved(fillers, 1)).map(lambda example: {m: example[n] for n, m in names.items()})

        def get_model_feature_lengths(self, task_feature_lengths):
            return {m: task_feature_lengths[n] for n, m in names.items()}

    return Converter(pack=False)


def _moved(fillers: Mapping[str, int], sign: int) -> Callable[[dict], dict]:
    return lambda example: {name: value + sign * fillers.get(name, 0) for name, value in example.items()}
