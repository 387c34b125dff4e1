"""Text with `$1` and `${VAR}` in it, taken apart once and filled in for each request.

Source: uWSGI's `uwsgi_routing_translate`. There what a group has matched is looked through for `${...}` again, so that a client could
read any variable by its URL; here it is inserted as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional, Union

from ..patterns import environ_text
from .variables import FUNCTIONS

if TYPE_CHECKING:
    from .context import Context

Part = Union[str, Callable[["Context"], str]]


class Template:
    """A text with references.

    `$1` to `$9` are the groups of the rule's regular expression, `$0` all that it matched; `${NAME}` is a variable of the request, and
    `${function[argument]}` what `variables.py` makes of it. What is not there is empty. A `$` before anything else stands for itself.

    Args:
        text: as configured.

    Attributes:
        constant: the text when there is no reference in it, else None.
        start: the text before the first reference.

    Raises:
        ValueError: a function that does not exist, or an argument that it does not take.
    """

    __slots__ = ("_parts", "constant", "start")

    def __init__(self, text: str) -> None:
        self._parts = _parse(environ_text(text))
        self.constant: Optional[str] = None
        self.start = self._parts[0] if self._parts and isinstance(self._parts[0], str) else ""
        if all(type(part) is str for part in self._parts):
            self.constant = "".join(self._parts)  # type: ignore[arg-type]

    def __call__(self, context: Context) -> str:
        """The text for a request."""
        if self.constant is not None:
            return self.constant
        return "".join([part if type(part) is str else part(context) for part in self._parts])  # type: ignore[operator]


def _parse(text: str) -> list[Part]:
    parts: list[Part] = []
    position = 0
    while True:
        dollar = text.find("$", position)
        following = text[dollar + 1 : dollar + 2]
        if dollar < 0 or not following:
            parts.append(text[position:])
            break
        parts.append(text[position:dollar])
        position = dollar + 2
        if following in "0123456789":
            parts.append(_group(int(following)))
        elif following != "{":
            parts.append("$" + following)
        elif (end := text.find("}", position)) >= 0:
            parts.append(_variable(text[position:end]))
            position = end + 1
        else:
            parts.append(text[dollar:])
            break
    return [part for part in parts if part != ""]


def _group(number: int) -> Part:
    return lambda context: context.group(number)


def _variable(name: str) -> Part:
    if "$" in name:  # ${cookie[$1]}: which variable it is turns out at the request
        inner = _parse(name)
        return lambda context: _look_up("".join([part if isinstance(part, str) else part(context) for part in inner]), context)
    return _named(name)


def _named(name: str) -> Part:
    bracket = name.find("[")
    if bracket > 0 and name.endswith("]"):
        made = FUNCTIONS.get(name[:bracket])
        if made is None:
            raise ValueError(f"${{{name}}}: there is no {name[:bracket]}[]; there are {', '.join(sorted(FUNCTIONS))}")
        return made(name[bracket + 1 : -1])
    return lambda context: context.variable(name)


def _look_up(name: str, context: Context) -> str:
    try:
        part = _named(name)  # whatever a client has put into it: it is a name and nothing else
    except ValueError:
        return ""
    return part if isinstance(part, str) else part(context)
