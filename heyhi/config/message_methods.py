"""Methods for the messages that users get from HeyHi; the classes that protoc generates for users are left alone.

HeyHi's own messages are of classes in a pool of their own, so these can have methods that no generated module has.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from heyhi.config.messages import message_class
from heyhi.config.schema import field_named, is_map_entry, is_private, type_of, types_below

MARK = "heyhi_patched"  # the first HeyHi's name, by which its scripts know such a message
_KEPT = "_heyhi_classes"


def give_methods(message: Message, methods: Mapping[str, object]) -> Message:
    """Give the class of a message, and those of all messages below it, methods; once, and only where they are ours.

    Args:
        message: as users get it.
        methods: name -> function; a field of that name goes before it.

    Returns:
        The message.
    """
    if MARK in vars(type(message)) or not is_private(type_of(message)):
        return message
    kinds = [kind for kind in types_below(type_of(message)) if not is_map_entry(kind)]
    classes = tuple(map(message_class, kinds))
    for kind, one in zip(kinds, classes, strict=True):
        for name, method in methods.items():
            if field_named(kind, name) is None:
                setattr(one, name, method)
        # protobuf makes a class anew when nobody has it any more.
        setattr(one, _KEPT, classes)
        setattr(one, MARK, True)
    return message
