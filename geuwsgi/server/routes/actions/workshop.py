"""What an action may use while it is made, at the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ....protocol.head import decimal
from ..substitution import Template

if TYPE_CHECKING:
    from ...gateway.settings import GatewaySettings
    from ...static import StaticFiles

#: What a C `int` holds.
_MOST = 2**31 - 1


class Workshop:
    """The surroundings of one rule.

    Attributes:
        phase: the chain that the rule belongs to.
        number: its place there, from 0.
        labels: its labels, by name: the number of each.
        files: serves files.
        can_signal: there is a signal framework.
        gateway: for connections to other servers.
    """

    def __init__(
        self, phase: str, number: int, labels: Mapping[str, int], files: StaticFiles, can_signal: bool, gateway: GatewaySettings
    ) -> None:
        self.phase = phase
        self.number = number
        self.labels = labels
        self.files = files
        self.can_signal = can_signal
        self.gateway = gateway

    def template(self, text: str) -> Template:
        """A text with references; see Template."""
        return Template(text)

    def must_be_able_to_answer(self, name: str) -> None:
        """For actions that answer a request.

        Raises:
            ValueError: it has been answered by the time this rule is looked at.
        """
        if self.phase == "final-route":
            raise ValueError(f"{name} cannot answer in a final-route, where the response is over: use response-route or error-route")

    def must_answer_the_request(self, name: str) -> None:
        """For actions that answer instead of the application, and never after it.

        Raises:
            ValueError: the application has been asked by the time this rule is looked at.
        """
        if self.phase != "route":
            raise ValueError(f"{name} has to come before the application: use it in a route, not in {self.phase}")

    def number_of(self, text: str, what: str) -> int:
        """A whole number that is not negative, and no larger than uWSGI's.

        Raises:
            ValueError: it is none.
        """
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{what} is a number, not {text!r}")
        if (number := decimal(text)) > _MOST:
            raise ValueError(f"{what} is at most {_MOST}")
        return number


def key_values(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """`key=value,key=value` as uWSGI writes lists; a backslash keeps a comma in a value.

    Args:
        text: the list.
        known: by spelling, the name that the key has in the result.

    Raises:
        ValueError: a key that is not known.
    """
    found: dict[str, str] = {}
    for pair in text.replace("\\,", "\0").split(","):
        key, equals, value = pair.replace("\0", ",").partition("=")
        key = key.strip()
        if not equals or key not in known:
            raise ValueError(f"{pair!r}: the keys are {', '.join(known)}, written as KEY=VALUE")
        found[known[key]] = value
    return found
