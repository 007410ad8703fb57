"""Writes and reads tf.train.Example in TFRecord files without TensorFlow, so that Beam workers need not load it."""

import io
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import BinaryIO, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from gr2_jax.errors import UserError

VERSION = "1.0.0"  # of both data sets for TensorFlow Datasets, and the name of the folder of their shards
T = TypeVar("T")
Value = int | str | Iterable[int] | Iterable[str]
_FIELD = descriptor_pb2.FieldDescriptorProto


def shard_name(dataset: str, shard: int, shards: int) -> str:
    """Returns the file name of a shard, as TensorFlow Datasets names it."""
    return f"{dataset}-train.tfrecord-{shard:05d}-of-{shards:05d}"


def encode_example(features: Mapping[str, Value]) -> bytes:
    """Returns a serialised tf.train.Example, integers as int64, strings as bytes; equal features give equal bytes."""
    example = _example_class()()
    for name, value in features.items():
        values = [value] if isinstance(value, int | str) else list(value)
        feature = example.features.feature[name]
        if values and isinstance(values[0], str):
            feature.bytes_list.value.extend(text.encode() for text in values)
        else:
            feature.int64_list.value.extend(values)
    return example.SerializeToString(deterministic=True)


def decode_example(record: bytes) -> dict[str, list[int] | list[str]]:
    """Returns the features given to `encode_example`, each as a list."""
    features = _example_class().FromString(record).features.feature
    return {
        name: [text.decode() for text in feature.bytes_list.value]
        if feature.WhichOneof("kind") == "bytes_list"
        else list(feature.int64_list.value)
        for name, feature in features.items()
    }


def frame(record: bytes) -> bytes:
    """Returns the record framed for a TFRecord file: length, its checksum, the record, its checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_checksum(length), record, _masked_checksum(record)))


def read_records(file: BinaryIO, path: str) -> Iterator[bytes]:
    """Yields the records of an open TFRecord file without checking checksums. Raises UserError if it is truncated."""
    size, start = file.seek(0, io.SEEK_END), 0
    file.seek(0)
    while header := file.read(12):
        length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else 0
        end = start + 12 + length + 4
        if end > size:  # checked before the bytes are read: a damaged length may exceed the memory
            raise UserError(f"{path} ends in the middle of the record that begins at byte {start}, or is damaged there")
        yield file.read(length + 4)[:length]
        start = end


def read_examples(file: BinaryIO, path: str, make: Callable[[dict], T]) -> Iterator[T]:
    """Yields `make(features)` for each record of an open TFRecord file.

    Raises UserError, with the offset, for a record that is truncated, not an Example, or without a feature that `make`
    needs.
    """
    start = 0
    for record in read_records(file, path):
        try:
            made = make(decode_example(record))
        except (DecodeError, LookupError, ValueError):
            raise UserError(f"{path}: the record that begins at byte {start} is damaged: copy the file again") from None
        yield made
        start += len(record) + 16


def _masked_checksum(data: bytes) -> bytes:
    import google_crc32c

    checksum = google_crc32c.value(data)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _example_class() -> type:
    """The message class of tf.train.Example, under our own name because TensorFlow may be loaded too."""
    file = descriptor_pb2.FileDescriptorProto(name="gr2_jax/example.proto", package="gr2_jax", syntax="proto3")
    for name, kind in (("BytesList", _FIELD.TYPE_BYTES), ("FloatList", _FIELD.TYPE_FLOAT)):
        _add_field(file.message_type.add(name=name), "value", 1, kind, repeated=True)
    _add_field(file.message_type.add(name="Int64List"), "value", 1, _FIELD.TYPE_INT64, repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("BytesList", "FloatList", "Int64List"), start=1):
        field = _add_field(feature, name.replace("List", "_list").lower(), number, name)
        field.oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, _FIELD.TYPE_STRING)
    _add_field(entry, "value", 2, "Feature")
    _add_field(features, "feature", 1, "Features.FeatureEntry", repeated=True)
    _add_field(file.message_type.add(name="Example"), "features", 1, "Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("gr2_jax.Example"))


def _add_field(message, name: str, number: int, kind: int | str, repeated: bool = False):
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    if isinstance(kind, int):
        return message.field.add(name=name, number=number, type=kind, label=label)
    return message.field.add(
        name=name, number=number, type=_FIELD.TYPE_MESSAGE, type_name=f".gr2_jax.{kind}", label=label
    )
