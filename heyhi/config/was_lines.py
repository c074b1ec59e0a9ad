"""The lines `was: a, b` in the comments of protos, which are read, checked and kept when these are compiled.

What is asked of them later is in `renames`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from google.protobuf import descriptor_pb2

from heyhi.config.renames import TAG, names_in
from heyhi.errors import SchemaError
from heyhi.regex import regex

Proto = (
    descriptor_pb2.DescriptorProto
    | descriptor_pb2.FieldDescriptorProto
    | descriptor_pb2.OneofDescriptorProto
    | descriptor_pb2.EnumDescriptorProto
    | descriptor_pb2.EnumValueDescriptorProto
)
_PROTOS = (
    descriptor_pb2.DescriptorProto,
    descriptor_pb2.FieldDescriptorProto,
    descriptor_pb2.OneofDescriptorProto,
    descriptor_pb2.EnumDescriptorProto,
    descriptor_pb2.EnumValueDescriptorProto,
)
_WAS = regex(r"\s*was\s*:(.*)")
_WAS_IN_PROTO = regex(r"(?:^|//|/\*|\*)\s*was\s*:((?:(?!\*/).)*)")
_NAME_TEXT = "[A-Za-z_][A-Za-z0-9_]*"
_NAME = regex(_NAME_TEXT)
_COMMENT = regex(r"(?://+|/\*+|^\s*\*+)(.*)")
_NEARLY = regex(
    r"(?P<open>^|//+|/\*+|\*)\s*(?P<line>(?P<before>(?:it|this|that|which|once|formerly|previously|name|field)\s+)?"
    rf"(?P<was>was)\s*(?P<sign>[:=]?)\s*(?P<names>{_NAME_TEXT}(?:\s*,\s*{_NAME_TEXT})*))\s*(?:\*/\s*)?$",
    re.IGNORECASE,
)
_ENDS = (".", ":", ";", "!", "?", ")", "*/")  # of a sentence, or of what stands before one


def is_was_line(line: str) -> bool:
    """Return whether a line of a comment lists earlier names."""
    return _WAS.fullmatch(line) is not None


def note_earlier_names(file_set: descriptor_pb2.FileDescriptorSet, texts: Mapping[str, str]) -> None:
    """Put the earlier names, which are listed in the comments of compiled protos, into the protos' options.

    Args:
        file_set: the protos, with source info.
        texts: of them, by their names.

    Raises:
        SchemaError: such a line is malformed or belongs to nothing, or a name would be that of two.
    """
    found = False
    for file in file_set.file:
        _check_places(file, texts.get(file.name, ""))
        _check_forms(file.name, texts.get(file.name, ""))
        for location in file.source_code_info.location:
            text = f"{location.leading_comments}\n{location.trailing_comments}"
            if "was" not in text:
                continue
            node = _node_at(file, location.path)
            names = _listed(f"{file.name}: {node.name}", text) if node is not None else []
            if node is not None and names:
                found = True
                keep_earlier_names(node, names)
    if found:
        _check_all(file_set)


def keep_earlier_names(node: Proto, names: Iterable[str]) -> None:
    """Have something in compiled protos know its earlier names."""
    node.options.MergeFromString(b"".join(TAG + bytes([len(name)]) + name.encode() for name in names))


def _check_places(file: descriptor_pb2.FileDescriptorProto, text: str) -> None:
    """Refuse a line of earlier names that belongs to nothing: protoc keeps no comment behind a closing brace."""
    if "was" not in text:
        return
    held: list[str] = []
    for location in file.source_code_info.location:
        if _node_at(file, location.path) is not None:
            lines = f"{location.leading_comments}\n{location.trailing_comments}".split("\n")
            held += (match[1].strip() for line in lines if (match := _WAS.fullmatch(line)))
    for number, line in enumerate(text.split("\n"), 1):
        match = _WAS_IN_PROTO.search(line)
        if match is None:
            continue
        if (names := match[1].strip()) not in held:
            raise SchemaError(
                f"{file.name}:{number}: 'was: {names}' belongs to nothing: expected it in the comment directly above a"
                " field, enum value or message, or behind it in its line (of what has braces, behind the opening one)"
            )
        held.remove(names)


def _check_forms(file: str, text: str) -> None:
    """Refuse a line of a comment that lists earlier names in another form: they would be lost unsaid."""
    if "was" not in text.lower():
        return
    before = ""
    for number, line in enumerate(text.split("\n"), 1):
        found = _NEARLY.search(line)
        if found is not None and _WAS_IN_PROTO.search(line) is None and _lists_names(found, before):
            raise SchemaError(
                f"{file}:{number}: '{found['line']}': expected earlier names as 'was: {found['names']}', in such"
                " letters, with a colon, and in a line of their own. If it lists none, word it otherwise"
            )
        before = line


def _lists_names(found: re.Match[str], before: str) -> bool:
    """Return whether what is nearly a line of earlier names is meant as one, and isn't English.

    Args:
        found: by `_NEARLY`.
        before: the line above it.
    """
    if not found["sign"]:  # `was weight_decay`, but not `was required`
        return not found["before"] and "_" in found["names"]
    if found["was"] != "was" and not found["before"]:
        return True
    comment = _COMMENT.search(before)
    is_own_line = not found.string[: found.start()].strip()
    above = comment[1] if comment is not None else "" if found["open"] else before
    return not (is_own_line and above.strip() and not above.strip().endswith(_ENDS))


def _node_at(file: descriptor_pb2.FileDescriptorProto, path: Sequence[int]) -> Proto | None:
    """Follow a source location's path (see descriptor.proto) to what can have earlier names."""
    node: object = file
    for number, index in zip(path[::2], path[1::2], strict=False):
        field = node.DESCRIPTOR.fields_by_number.get(number)  # type: ignore[attr-defined]
        if field is None or not field.is_repeated or field.message_type is None:
            return None
        node = getattr(node, field.name)[index]
    return node if len(path) % 2 == 0 and isinstance(node, _PROTOS) else None


def _listed(place: str, comment: str) -> list[str]:
    """Return the earlier names that a comment lists."""
    lists = [match[1] for line in comment.split("\n") if (match := _WAS.fullmatch(line))]
    if not lists:
        return []
    if len(lists) > 1:
        raise SchemaError(f"{place}: has {len(lists)} lines 'was:' in its comment: expected one, 'was: first, second'")
    names = [name.strip() for name in lists[0].split(",")]
    for name in names:
        if not _NAME.fullmatch(name) or len(name) > 127:
            raise SchemaError(
                f"{place}: 'was:{lists[0]}': expected its earlier names, the first one first, as in"
                f" 'was: first, second', not '{name}'"
            )
        if names.count(name) > 1:
            raise SchemaError(f"{place}: 'was:{lists[0]}' has {name} twice")
    return names


def _check_all(file_set: descriptor_pb2.FileDescriptorSet) -> None:
    """Refuse a name that two things in one place have or had: nobody could tell which of them is meant."""
    packages: dict[str, list[tuple[str, Proto]]] = {}
    for file in file_set.file:
        ones = packages.setdefault(file.package, [])
        ones += ((file.name, message) for message in file.message_type)
        ones += ((file.name, enum) for enum in file.enum_type)
        for message in file.message_type:
            _check_message(file.name, message.name, message)
        for enum in file.enum_type:
            _check_names(enum.name, [(file.name, value) for value in enum.value])
    for package, ones in packages.items():
        _check_names(f"package {package}" if package else "the protos", ones)


def _check_message(file: str, name: str, message: descriptor_pb2.DescriptorProto) -> None:
    made = {field.oneof_index for field in message.field if field.proto3_optional}  # by protoc, for these fields
    oneofs = [one for index, one in enumerate(message.oneof_decl) if index not in made]
    _check_names(name, [*((file, one) for one in message.field), *((file, one) for one in oneofs)])
    _check_names(name, [*((file, one) for one in message.nested_type), *((file, one) for one in message.enum_type)])
    for enum in message.enum_type:
        _check_names(f"{name}.{enum.name}", [(file, value) for value in enum.value])
    for inner in message.nested_type:
        _check_message(file, f"{name}.{inner.name}", inner)


def _check_names(where: str, ones: Sequence[tuple[str, Proto]]) -> None:
    """Refuse a name that two of some things in one place claim, now or before."""
    living = {one.name: file for file, one in ones}
    before: dict[str, str] = {}
    for file, one in ones:
        for name in names_in(one.options):
            place = f"{file}: {one.name} in {where} was {name}"
            if name == one.name:
                if names_in(one.options)[-1] != name:  # it has a name again that it had before
                    continue
                raise SchemaError(
                    f"{place}: that is its name still. Leave it out; or, if it had another one meanwhile, put that"
                    f" behind it: 'was: {name}, other'"
                )
            if name in living:
                raise SchemaError(
                    f"{place}, which is the name of another one there: records of {name} could be of either. Give that"
                    " one a name that nothing there had"
                )
            if name in before:
                raise SchemaError(f"{place}, and so was {before[name]}: only one of them can have had that name")
            before[name] = one.name
