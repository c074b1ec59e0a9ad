"""What protoc lets pass and protobuf refuses when it makes messages of it, said in words of the proto."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf import descriptor_pb2, descriptor_pool

from heyhi.errors import SchemaError

_Message = descriptor_pb2.DescriptorProto
# The smallest numbers but 0 that protobuf reads back from a default, by the type of the field; and as they are said.
_SMALLEST = {
    descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE: (2.2250738585072014e-308, "2.3e-308"),
    descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT: (1.17549435e-38, "1.2e-38"),
}


def check_buildable(file_set: descriptor_pb2.FileDescriptorSet) -> None:
    """Refuse compiled protos of which protobuf makes no messages.

    Args:
        file_set: dependencies first.

    Raises:
        SchemaError: so it is; names the file, and the fields.
    """
    pool = descriptor_pool.DescriptorPool()
    for file in file_set.file:
        try:
            pool.Add(file)
        except (TypeError, ValueError) as error:
            raise SchemaError(f"{file.name}: {_reason(file, str(error))}") from None


def _reason(file: descriptor_pb2.FileDescriptorProto, error: str) -> str:
    messages = dict(_messages("", file.message_type))
    if "json_name" in error and (found := next(_alike_in_json(messages), "")):
        return found
    if "default" in error and (found := next(_too_small(messages), "")):
        return found
    if "Message size" in error:
        name, message = max(messages.items(), key=lambda one: len(one[1].field))
        return (
            f"message {name} has {len(message.field)} fields, which is more than protobuf has room for in one message:"
            " put some of them into messages of their own"
        )
    if "required" in error:
        name, message = max(messages.items(), key=lambda one: len(_required(one[1])))
        return (
            f"message {name} has {len(_required(message))} required fields, which is more than protobuf takes in one"
            " message: make them optional"
        )
    return f"protoc takes it, and protobuf doesn't: {error.rpartition('descriptor pool: ')[2]}"


def _messages(outer: str, messages: Iterable[_Message]) -> Iterator[tuple[str, _Message]]:
    """Yield messages and those in them, with their names in the file."""
    for message in messages:
        name = f"{outer}{message.name}"
        yield name, message
        yield from _messages(f"{name}.", message.nested_type)


def _alike_in_json(messages: dict[str, _Message]) -> Iterator[str]:
    for name, message in messages.items():
        first: dict[str, str] = {}
        for field in message.field:
            if message.options.deprecated_legacy_json_field_conflicts:
                continue
            if field.json_name in first:
                yield (
                    f"fields {first[field.json_name]} and {field.name} of message {name} are both"
                    f" '{field.json_name}' in JSON, which protobuf refuses: rename one of them, or give it another"
                    " json_name"
                )
            first[field.json_name] = field.name


def _too_small(messages: dict[str, _Message]) -> Iterator[str]:
    for name, message in messages.items():
        for field in message.field:
            smallest, shown = _SMALLEST.get(field.type, (0.0, ""))
            if shown and field.default_value and 0 < abs(float(field.default_value)) < smallest:
                yield (
                    f"field {name}.{field.name} has the default {field.default_value}, which is too close to 0 for"
                    f" protobuf: expected 0, or {shown} and more"
                )


def _required(message: _Message) -> list[str]:
    return [field.name for field in message.field if field.label == field.LABEL_REQUIRED]
