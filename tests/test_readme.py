"""The README tells the truth: its application runs and its documents render without a warning."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any, Callable

import docutils.core
import docutils.nodes
import pytest
import requests

from tests.harness.programs import ROOT
from tests.harness.servers import Geuwsgi

README = ROOT / "README.rst"
DOCUMENTS = [README, ROOT / "CHANGES.rst", *sorted((ROOT / "docs").glob("*.rst"))]


def parse(path: Path) -> docutils.nodes.document:
    """The document tree; a warning of docutils is an error."""
    warnings = io.StringIO()
    settings = {"warning_stream": warnings, "report_level": 1, "halt_level": 5, "syntax_highlight": "none", "file_insertion_enabled": False}
    tree: docutils.nodes.document = docutils.core.publish_doctree(
        path.read_text("utf-8"), source_path=str(path), settings_overrides=settings
    )
    assert not warnings.getvalue()
    return tree


def blocks(language: str) -> list[str]:
    """The README's literal blocks of a language; "" for those that show a shell."""
    return [
        block.astext()
        for block in parse(README).findall(docutils.nodes.literal_block)
        if [name for name in block["classes"] if name != "code"] == ([language] if language else [])
    ]


def the_application() -> str:
    source, _ = [source for source in blocks("python") if "def application(" in source]
    return source + "\n"


def the_room() -> str:
    """The chat room made of a channel."""
    (source,) = [source for source in blocks("python") if 'websocket_channel_join("room")' in source]
    return source + "\n"


def the_command() -> list[str]:
    """The arguments of the command that starts it."""
    (line,) = [line for block in blocks("") for line in block.splitlines() if line.endswith("myapp.py")]
    program, *arguments = shlex.split(line)
    assert program == "geuwsgi"
    return arguments


@pytest.fixture
def readme_server(server: Callable[..., Geuwsgi], tmp_path: Path) -> Geuwsgi:
    """What a newcomer has after following the README, on a free port."""
    (tmp_path / "myapp.py").write_text(the_application(), "utf-8")
    arguments = ["127.0.0.1:0" if argument == ":8080" else argument for argument in the_command()]
    # Chromium keeps connections open for later; they are to end before the test looks for what is left.
    return server(None, *arguments, "--http-keepalive=2", "--http-headers-timeout=1", cwd=tmp_path)


def test_application_serves_its_page(readme_server: Geuwsgi) -> None:
    answer = requests.get(readme_server.url, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html"
    assert "<title>Chat</title>" in answer.text


def test_what_one_says_both_hear(readme_server: Geuwsgi, ws: Callable[..., Any]) -> None:
    first, second = ws(readme_server.ws_url + "/chat"), ws(readme_server.ws_url + "/chat")
    for text in ("hello", "Grüße \U0001f63a"):
        first.send(text)
        # The second to arrive may not have been in the room when the first spoke, but it is once it hears itself.
        assert first.recv() == text
    second.send("me too")
    while (heard := second.recv()) != "me too":
        assert heard in ("hello", "Grüße \U0001f63a")
    assert first.recv() == "me too"
    second.close()
    first.send("alone")
    assert first.recv() == "alone"


@pytest.mark.parametrize("options", [(), ("--master", "--processes", "2")], ids=["one", "workers"])
def test_the_room(options: tuple[str, ...], server: Callable[..., Geuwsgi], ws: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "room.py").write_text(the_room(), "utf-8")
    running = server(None, "--wsgi-file", "room.py", *options, cwd=tmp_path)
    people = [ws(running.ws_url) for _ in range(4)]
    for person in people:
        # Each hears itself, so everybody is in the room from here on.
        person.send("here")
        while person.recv() != "here":
            pass
    people[0].send("hello")
    for person in people:
        while (heard := person.recv()) != "hello":
            assert heard == "here"


@pytest.mark.browser
def test_two_tabs_chat(readme_server: Geuwsgi, chromium: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    first, tabs = chromium.current_window_handle, []
    for _ in range(2):
        chromium.switch_to.new_window("tab")
        chromium.get(readme_server.url + "/")
        tabs.append(chromium.current_window_handle)
        WebDriverWait(chromium, 20).until(lambda driver: driver.execute_script("return socket.readyState") == 1)
    chromium.find_element(By.ID, "text").send_keys("hi <i>there</i>\n")
    for tab in tabs:
        chromium.switch_to.window(tab)
        WebDriverWait(chromium, 20).until(lambda driver: driver.find_element(By.ID, "log").text == "hi <i>there</i>")
        chromium.close()  # going elsewhere would not do: Chromium keeps the page, and its websocket, for the way back
    chromium.switch_to.window(first)


def test_every_option_named_is_known(run_geuwsgi: Callable[..., Any]) -> None:
    # An option counts as told about when the table or a command shows it; prose about uWSGI may name others.
    told = {
        word.partition("=")[0].strip(",")
        for text in [*blocks(""), *(entry.astext() for entry in parse(README).findall(docutils.nodes.entry))]
        for word in text.split()
        if word.startswith("--")
    }
    assert "--wsgi-file" in told
    help_text = run_geuwsgi("--help").stdout
    assert not sorted(option for option in told if option not in help_text.replace(",", " ").split())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_render(path: Path) -> None:
    tree = parse(path)
    assert tree.next_node(docutils.nodes.title) is not None
    for reference in tree.findall(docutils.nodes.reference):
        target = reference.get("refuri", "")
        if target and "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), f"{target} is linked but not there"
    for image in tree.findall(docutils.nodes.image):
        assert (path.parent / image["uri"]).stat().st_size < 150_000


def test_python_blocks_are_python() -> None:
    for source in blocks("python"):
        compile(source, "README.rst", "exec")
