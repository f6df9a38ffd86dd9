"""XML that may come from anywhere: read as a stream, with nothing in it that could unfold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.parsers import expat

from tacit.errors import DataError

DEEPEST = 50
Start = Callable[[tuple[str, ...], dict[str, str]], None]
End = Callable[[tuple[str, ...], str], None]


def walk(path: Path, start: Start, end: End) -> None:
    """Go through an XML file.

    Declarations of documents and entities are refused: a few lines of them can unfold into more
    than any memory holds, or reach for other files.

    Args:
        path: The file.
        start: Called with the names from the root down and the attributes.
        end: Called with the names and the text directly inside.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    parse(make_parser(path, start, end), content, path)


def parse(parser: expat.XMLParserType, content: bytes, path: Path) -> None:
    """Go through a whole XML document, or say that it is none."""
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(f"{path} is not readable as XML: {error}.") from error


def names_at_the_beginning(path: Path, length: int = 1 << 16) -> set[tuple[str, ...]]:
    """Return which elements the first bytes of a file hold; nothing where it is no XML."""
    found: set[tuple[str, ...]] = set()
    try:
        with path.open("rb") as file:
            head = file.read(length)
        make_parser(path, lambda names, _: found.add(names), lambda *_: None).Parse(head, False)
    except (OSError, expat.ExpatError, ValueError, LookupError, DataError):
        pass
    return found


def make_parser(
    path: Path, start: Start, end: End, namespaces: bool = False
) -> expat.XMLParserType:
    """Return what goes through an XML document.

    Args:
        path: What the document is called in messages.
        start: Called as by `walk`.
        end: Called as by `walk`.
        namespaces: Call elements by their namespace, a blank, and their name in it.
    """
    open_names: list[tuple[str, ...]] = [()]
    texts: list[list[str]] = [[]]

    def opened(name: str, attributes: dict[str, str]) -> None:
        if len(open_names) > DEEPEST:
            raise DataError(f"{path} is nested more than {DEEPEST} elements deep.")
        open_names.append((*open_names[-1], name))
        texts.append([])
        start(open_names[-1], attributes)

    def closed(_: str) -> None:
        end(open_names.pop(), "".join(texts.pop()).strip())

    def refuse(*_: object) -> None:
        raise DataError(
            f"{path} declares a document type or entities, which are not read from files of "
            f"labels; take the DOCTYPE out."
        )

    parser = expat.ParserCreate(namespace_separator=" " if namespaces else None)
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.CharacterDataHandler = lambda text: texts[-1].append(text)
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    return parser
