"""Overrides: their grammar, what a value means to its key, and a whole message written as overrides.

    key=value     list.0=value     list.-1=value     map.entry=value     map."odd.entry"=value
    list=[a,b]     message={field: value}     map={key: "a" value: 1}     list+=[c]     message+={…}
    key=NULL (clears)     key=SELECT (an empty message)     oneof=member     I=path     I.mount=path     Imount=path

How a key is found is left to `keys`; includes (`I…`) are recognised by `includes` and merged by `compose`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from google.protobuf.message import Message

from heyhi.config.keys import Key, Kind, Part, is_composite
from heyhi.config.leaves import entry_text, leaves, quote_segment
from heyhi.config.renames import once_named
from heyhi.config.schema import element, is_map, message_type, oneof_of, set_fields
from heyhi.config.values import (
    NULL,
    SELECT,
    Special,
    Value,
    cast_scalar,
    describe_type,
    first_scalar_text,
    listed,
    scalar_text,
    shorten,
    value_text,
)
from heyhi.errors import HeyhiError, OverrideError, nearest, suggest

_SCALAR = Kind.SCALAR  # to look up a member of an enum takes as long as to cast a number

# As users give them: `key=value` texts, or a mapping of keys to values. A pair is a text that is split already.
Overrides = Sequence[str | tuple[str, object]] | Mapping[str, object]


def split_override(text: str) -> tuple[str, str]:
    """Split an override at its `=`, less a leading `--`.

    Raises:
        OverrideError: it has no `=` or nothing before it.
    """
    body = text.removeprefix("--")
    quoted = escaped = False
    for position, char in enumerate(body):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == "=" and not quoted:
            if position == 0:
                raise OverrideError(f"override '{shorten(text)}': there is no key before '='")
            return body[:position], body[position + 1 :]
    raise OverrideError(f"override '{shorten(text)}': expected key=value (or I.mount=path for an include)")


def keys_and_values(
    overrides: Overrides, known: Container[tuple[str, ...]] = ()
) -> tuple[tuple[str, ...], Sequence[object], list[tuple[int, HeyhiError]]]:
    """Split overrides.

    Args:
        overrides: to be split.
        known: keys that others had: those of a mapping that are like these need no look at each.

    Returns:
        texts of the keys; their values as they were given; errors, each with the place among these where the
        override would be, which is left out.

    Raises:
        OverrideError: they are neither a mapping nor a list.
    """
    if type(overrides) is dict and (keys_before := tuple(overrides)) in known:
        return keys_before, list(overrides.values()), []
    if type(overrides) is dict or isinstance(overrides, Mapping):
        return tuple(map(str, overrides)), list(overrides.values()), []
    if isinstance(overrides, str):
        raise OverrideError(f"overrides must be a list of key=value texts, not one text: '{shorten(overrides)}'")
    if not isinstance(overrides, Iterable):
        raise OverrideError(f"overrides must be a mapping or a list of key=value texts, not {overrides!r}")
    keys: list[str] = []
    values: list[object] = []
    errors: list[tuple[int, HeyhiError]] = []
    for text in overrides:
        key: str
        value: object
        try:
            if type(text) is tuple and len(text) == 2 and isinstance(text[0], str):
                key, value = text
            elif not isinstance(text, str):
                raise OverrideError(f"override {text!r}: expected a text key=value")
            else:
                key, value = split_override(text)
        except OverrideError as error:
            errors.append((len(keys), error))
        else:
            keys.append(key)
            values.append(value)
    return tuple(keys), values, errors


def override_texts(overrides: Overrides) -> list[str]:
    """Write overrides as the command line would; of a value that it can't give, the name of its type."""
    if isinstance(overrides, Mapping):
        return [f"{key}={shown_value(value)}" for key, value in overrides.items()]
    return [f"{one[0]}={shown_value(one[1])}" if type(one) is tuple else str(one) for one in overrides]


def shown_value(value: object) -> str:
    """Write any value that an override was given: as the command line would, or by its type's name."""
    try:
        return value_text(value)
    except OverrideError:
        return f"<{type(value).__name__}>"


def cast_value(key: Key, text: str) -> Value:
    """Cast an override's text to what its key holds.

    Raises:
        OverrideError: the text is no value of that field's type.
    """
    if text == "NULL":
        return NULL
    if key.kind is _SCALAR:
        return cast_scalar(key.field, text, key.text)
    if key.kind is Kind.MESSAGE and text == "SELECT":
        return SELECT
    if key.kind is Kind.ONEOF:
        return _chosen_member(key, text.strip())
    raise OverrideError(_not_a_scalar(key, shorten(text)), key=key.text)


def parts_written(
    key: Key, text: str, message: Message, *, adds: bool, check: Callable[[Key], None] = lambda key: None
) -> list[Part]:
    """List what an override writes, part by part.

    Args:
        key: of the override, without the `+` of `key+=…`.
        text: of its value.
        message: in which the key starts, as it is before.
        adds: whether it is `key+=…`.
        check: is called with the key of each field in a message that is a value; what it raises is raised.

    Raises:
        OverrideError: the text is no value of that key.
    """
    if adds and not (is_composite(key) and text not in (NULL.value, SELECT.value)):
        what = f"takes no '{shorten(text)}' there" if is_composite(key) else _what_it_is(key)
        raise OverrideError(
            f"key '{key.text}' {what}: += appends to a list, or merges into a map or a message", key=key.text
        )
    if is_composite(key) and (adds or text.lstrip().startswith(("[", "{"))):
        from heyhi.config.composite import parts_of  # most overrides write one value

        return parts_of(key, text, message, adds=adds, check=check)
    return [Part(key, cast_value(key, text))]


def _what_it_is(key: Key) -> str:
    return "is a oneof" if key.kind is Kind.ONEOF else f"is {describe_type(key.field)}"


def _chosen_member(key: Key, text: str) -> str:
    """Return the member that a oneof's value names: a message, which is chosen without saying what is in it."""
    if text not in key.members and (known := once_named(key.choices, text)) is not None:
        text = str(known.name)
    if text in key.members:
        member = key.member(text)
        if member.kind is Kind.MESSAGE:
            return text
        kind = describe_type(member.field)
        raise OverrideError(
            f"key '{key.text}' is a oneof, and its member '{text}' is {kind}: set it by {member.text}=…",
            key=key.text,
        )
    from heyhi.slips import is_slip

    ways = [f.name if f.message_type is not None else f"{key.member(f.name).text}=…" for f in key.choices]
    messages = [way for way in ways if "=" not in way]
    others = [way for way in ways if "=" in way]
    names = [f"name one of {listed(messages)}"] * bool(messages) + [f"set {listed(others)}"] * bool(others)
    raise OverrideError(
        f"key '{key.text}' is a oneof and has no member '{shorten(text)}'{suggest(text, key.members)}:"
        f" {', or '.join(names)}; NULL clears it",
        key=key.text,
        fix="".join(f"{key.text}={name}" for name in nearest(text, key.members)[:1] if is_slip(text, name)),
    )


def _not_a_scalar(key: Key, text: str) -> str:
    if key.kind is Kind.MESSAGE:
        names = [f.name for f in message_type(key.field).fields][:4]
        inside = f"set a field of it ({', '.join(f'{key.text}.{n}' for n in names)}), " if names else ""
        return (
            f"key '{key.text}' is {describe_type(key.field)} and takes no value '{text}': {inside}"
            f"give it as a whole ({key.text}={{…}}), include a chunk (I.{key.text}=path),"
            " or use SELECT (an empty one) or NULL (none)"
        )
    word, example = ("map", "KEY") if key.kind is Kind.MAP else ("list", "0")
    whole, more = ("{key: … value: …}", "") if key.kind is Kind.MAP else ("[…]", f", append by {key.text}+=[…]")
    return (
        f"key '{key.text}' is a {word} and takes no value '{text}':"
        f" give it as a whole by {key.text}={whole}, set an element by {key.text}.{example}=…{more}, clear it by NULL"
    )


def canonical_text(key: Key, value: Value) -> str:
    """Write an override's cast value as an identity does."""
    if isinstance(value, Special):
        return value.value
    return str(value) if key.kind is Kind.ONEOF else first_scalar_text(key.field, value)


def override_lines(message: Message, base: Message | None = None, *, with_defaults: bool = False) -> list[str]:
    """Write a message as overrides that give it again.

    Args:
        message: what they shall give.
        base: what they will be applied to (default: an empty message); what it has too much is cleared first.
        with_defaults: also what is at its default.
    """
    lines = [f"{key}={NULL.value}" for key in _surplus(message, base, "")] if base is not None else []
    for key, field, value in leaves(message, with_defaults=with_defaults):
        if value is not None:
            lines.append(f"{key}={value.value if isinstance(value, Special) else scalar_text(field, value)}")
    return lines


def _surplus(message: Message, base: Message, prefix: str) -> Iterator[str]:
    """Name what is set in a base and not in a message: cleared keys; lists that became shorter, as a whole."""
    present = {field.name for field, _ in set_fields(message)}
    for field, old in set_fields(base):
        key, new = prefix + field.name, getattr(message, field.name)
        if is_map(field):
            for entry in sorted(old):
                inner = f"{key}.{quote_segment(entry_text(entry))}"
                if entry not in new:
                    yield inner
                elif element(field).message_type is not None:
                    yield from _surplus(new[entry], old[entry], f"{inner}.")
        elif field.is_repeated:
            # Messages in a list are given anew as a whole: an element's own surplus can't be told by its index.
            if len(new) < len(old) or (field.message_type is not None and list(new) != list(old)):
                yield key
        elif field.name in present:
            if field.message_type is not None:
                yield from _surplus(new, old, f"{key}.")
        else:
            oneof = oneof_of(field)
            # Another member that is chosen clears this one.
            if oneof is None or message.WhichOneof(oneof.name) is None:
                yield key
