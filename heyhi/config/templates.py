"""Templates in strings: where `{{ROOT_DIR}}` and `{{exp …}}` begin and end, and how they are replaced.

    {{ROOT_DIR}}     {{exp CFG [OVERRIDE …]}}     {{file PATH}}     {{best SWEEP max=KEY}}
    {{"TEXT"}} (a JSON string: just this text, braces and all)

Any other `{{…}}` is an error; two braces that nothing closes are text. Which experiment a need is, and where it lies,
is left to `compose`; what the best of a sweep is, to `best`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import groupby

from heyhi.errors import HeyhiError, NeedsError, OverrideError, suggest
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex
from heyhi.text import shorten

OPEN = "{{"
_ROOT = "ROOT_DIR"
_EXP = "exp"
_FILE = "file"
_BEST = "best"
_LITERAL = '"'
ROOT_DIR = f"{{{{{_ROOT}}}}}"
# What a template can be, by its first word, and how it is written.
FORMS = {_ROOT: ROOT_DIR, _EXP: "{{exp CFG [OVERRIDE …]}}", _FILE: "{{file PATH}}", _BEST: "{{best SWEEP max=KEY}}"}
# What is written out last, by what it names.
_NEEDS = (_EXP, _FILE, _BEST)
# The last two of several braces open: `{{{ROOT_DIR}}}` is a folder's name in braces.
_START = regex(r"\{\{(?!\{)\s*")
_WORD = regex(r"[^\s{}]*")
_HELD = "\ue000"  # of a private use area: stands around the number of a template while words are split
_HELD_TEXT = regex(f"{_HELD}([0-9]+){_HELD}")
_JSON = json.JSONDecoder(strict=False)  # a file has written out its escapes already


class _Piece(NamedTuple):
    """A part of a string.

    Attributes:
        kind: first word of a template; `"` of a text in quotes, '' of what is no template.
        content: what follows the first word; the text itself.
        whole: as it is written.
    """

    kind: str
    content: str
    whole: str


def has_need(text: str) -> bool:
    """Return whether a text has what is written out last: a need that it names, or quoted braces.

    Raises:
        HeyhiError: a template in it is unknown, or doesn't end.
    """
    return not {piece.kind for piece in _pieces(text)}.isdisjoint((*_NEEDS, _LITERAL))


def names_folder(text: str) -> bool:
    """Return whether a text names the project root or a need.

    Raises:
        HeyhiError: a template in it is unknown, or doesn't end.
    """
    return not {piece.kind for piece in _pieces(text)}.isdisjoint(FORMS)


def template_in(text: str) -> str:
    """Return the first template in a text that names the project root or a need; empty where it has none."""
    try:
        return next((piece.whole for piece in _pieces(text) if piece.kind in FORMS), "")
    except HeyhiError:
        return ""


def check_templates(text: str) -> str:
    """Return a text whose templates are all known, as it is.

    Raises:
        HeyhiError: a template in it is unknown, or doesn't end.
    """
    names_folder(text)
    return text


def replace_root(text: str, root: str) -> str:
    """Write out the project root; in needs it is left alone, they are composed by themselves.

    Raises:
        HeyhiError: a template is unknown, or doesn't end.
    """
    return "".join(root if piece.kind == _ROOT else piece.whole for piece in _pieces(text))


def replace_needs(
    text: str,
    need: Callable[[str], str],
    file: Callable[[str], str] | None = None,
    best: Callable[[str], str] | None = None,
) -> str:
    """Write out what `replace_root` leaves: each need by what a function makes of its words, and quoted braces.

    Args:
        text: that has them.
        need: returns what stands for an experiment.
        file: returns what stands for a file; default: as for an experiment.
        best: returns what stands for the best of a sweep; default: as for an experiment.

    Raises:
        HeyhiError: a template is unknown, or doesn't end.
    """
    by_kind = {_EXP: need, _FILE: file or need, _BEST: best or need, _ROOT: None}

    def written(piece: _Piece) -> str:
        write = by_kind.get(piece.kind, str)
        return piece.whole if write is None else write(piece.content)

    return "".join(map(written, _pieces(text)))


def best_of(text: str) -> str | None:
    """Return the words of the best of a sweep where a text is just that; None where it is anything else.

    Raises:
        HeyhiError: a template is unknown, or doesn't end.
    """
    if OPEN not in text:
        return None
    pieces = list(_pieces(text.strip()))
    return pieces[0].content if [piece.kind for piece in pieces] == [_BEST] else None


def bests_in(text: str) -> list[str]:
    """Return the words of each best of a sweep that a text names.

    Raises:
        HeyhiError: a template is unknown, or doesn't end.
    """
    return [piece.content for piece in _pieces(text) if piece.kind == _BEST] if OPEN in text else []


def split_words(text: str) -> list[str]:
    """Split the words of a need as a shell does; a template outside of quotes is a part of its word, spaces and all.

    Raises:
        ValueError: a quote doesn't end.
        HeyhiError: a template is unknown, or doesn't end.
    """
    held: list[str] = []
    quote = ""

    def hold(piece: _Piece) -> str:
        nonlocal quote
        if piece.kind not in FORMS or quote:
            quote = _quote_after(piece.whole, quote)
            return piece.whole
        held.append(piece.whole)
        return f"{_HELD}{len(held) - 1}{_HELD}"

    import shlex  # only who needs another experiment has words to take apart

    words = shlex.split("".join(map(hold, _pieces(text))) if OPEN in text else text)
    return [_HELD_TEXT.sub(lambda match: held[int(match[1])], word) for word in words] if held else words


def _quote_after(text: str, quote: str) -> str:
    """Return the shell's quote that is open behind a text, given the one before it; empty for none."""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return quote


def canonical_template(
    text: str, exp_id: Callable[[str], str], file: Callable[[str], str], best: Callable[[str], str]
) -> str:
    """Write a text's templates in one way, needs by their exp ids, files by their paths.

    Args:
        text: that has them.
        exp_id: returns that of an experiment, by the words that name it.
        file: returns the path of a file, likewise.
        best: returns the words of the best of a sweep in one way, likewise.

    Raises:
        HeyhiError: a template is unknown, or doesn't end.
    """
    out: list[str] = []
    for is_text, pieces in groupby(_pieces(text), key=lambda piece: piece.kind not in FORMS):
        if is_text:  # however it is quoted
            out.append(protect("".join(piece.content for piece in pieces)))
        else:
            by_kind = {_EXP: exp_id, _FILE: file, _BEST: best}
            out += [ROOT_DIR if p.kind == _ROOT else f"{{{{{p.kind} {by_kind[p.kind](p.content)}}}}}" for p in pieces]
    written = "".join(out)
    # An override in quotes would be text as a whole.
    return '{{"\\""}}' + written[1:] if written.startswith(_LITERAL) else written


def protect(text: str) -> str:
    """Quote the braces of a text that stands for exactly what it says."""
    return _START.sub(lambda match: f'{{{{"{OPEN}"}}}}{match[0][2:]}', text)


def unprotected(text: str) -> str:
    """Return a text without needs as it reads when its quoted braces are written out.

    Raises:
        HeyhiError: a template is unknown, or doesn't end.
    """
    return replace_needs(text, lambda words: words)


def _pieces(text: str) -> Iterator[_Piece]:
    """Split a string into templates and what stands between them.

    Raises:
        NeedsError: a need doesn't end, or has no words.
        OverrideError: a template is unknown, or doesn't end.
    """
    position = plain = 0
    while match := _START.search(text, position):
        start, position = match.start(), match.end()
        piece, end = _template_at(text, start, position)
        if piece is None:
            continue
        if plain < start:
            yield _Piece("", text[plain:start], text[plain:start])
        yield piece
        position = plain = end
    if plain < len(text):
        yield _Piece("", text[plain:], text[plain:])


def _template_at(text: str, start: int, inside: int) -> tuple[_Piece | None, int]:
    """Read the template that begins at some braces, None where they are just text; and where it ends."""
    quoted = _quoted_at(text, inside)
    if quoted is not None:
        return _Piece(_LITERAL, quoted[0], text[start : quoted[1]]), quoted[1]
    end = _end(text, inside) or _end(text, inside, singles=False)
    word = _WORD.match(text, inside, (len(text) if end is None else end - 2))
    name = word[0] if word is not None else ""
    if end is None:
        if name not in FORMS:
            return None, inside
        raise _unfinished(text[start:], name)
    whole, content = text[start:end], text[inside + len(name) : end - 2].strip()
    if name not in FORMS:
        raise OverrideError(
            f"unknown template '{shorten(whole)}'{suggest(name, FORMS)}: there are {', '.join(FORMS.values())};"
            ' what is only text stands in quotes: {{"…"}}'
        )
    if (name == _ROOT) == bool(content):
        raise _unfinished(whole, name)
    return _Piece(name, content, whole), end


def _quoted_at(text: str, inside: int) -> tuple[str, int] | None:
    """Read a JSON string and the braces that close it: the string, and where they end."""
    if not text.startswith(_LITERAL, inside):
        return None
    try:
        found, end = _JSON.raw_decode(text, inside)
        found.encode()  # half of a surrogate pair is no text
    except ValueError:
        return None
    rest = text[end:].lstrip()
    return (found, len(text) - len(rest) + 2) if rest.startswith("}}") else None


def _end(text: str, inside: int, *, singles: bool = True) -> int | None:
    """Find the end of the braces that close those before a place, None where nothing does: braces may nest.

    Args:
        text: that has them.
        inside: place behind the braces that open.
        singles: also single braces come in pairs: `{{exp CFG sgd={momentum:0.9}}}`.
    """
    opened, position = [2], inside
    while position < len(text):
        here = text[position]
        width = 2 if here in "{}" and text.startswith(here, position + 1) else 1
        if here == "{" and (width == 2 or singles):
            quoted = _quoted_at(text, position + 2) if width == 2 else None
            if quoted is not None:
                position = quoted[1]
                continue
            opened.append(width)
        elif here == "}" and (width == 2 or singles) and width >= opened[-1]:
            width = opened.pop()
        position += width
        if not opened:
            return position
    return None


def _unfinished(text: str, name: str) -> OverrideError | NeedsError:
    kind = NeedsError if name in _NEEDS else OverrideError
    return kind(f"'{shorten(text)}': expected {FORMS[name]}")
