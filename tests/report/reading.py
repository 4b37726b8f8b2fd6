"""Reading reports back, strictly."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "link", "img", "br", "hr", "input"}


def read_json(path: Path) -> Any:
    """The content of a file that holds JSON and nothing that JSON does not know, such as NaN."""
    return json.loads(path.read_text(), parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@dataclass
class Element:
    """A node of a page."""

    tag: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""
    """All text in it, its children's included."""

    def all(self, tag: str) -> list["Element"]:
        """The elements of this kind in it, in the order of the page."""
        return [found for child in self.children for found in ([child] if child.tag == tag else []) + child.all(tag)]

    def everything(self) -> list["Element"]:
        """All elements in it, in the order of the page."""
        return [found for child in self.children for found in [child, *child.everything()]]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("document", {})]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        closed = self.open.pop()
        assert closed.tag == tag, f"</{tag}> closes <{closed.tag}>"

    def handle_data(self, data):
        for element in self.open:
            element.text += data


def read_page(page: str) -> Element:
    """The page as a tree. Fails for tags that are not closed, or in the wrong order."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert [element.tag for element in reader.open] == ["document"], "tags were left open"
    return reader.open[0]
