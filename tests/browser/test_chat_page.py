"""The demo's page in a real Chromium: two tabs talk, nothing that a person types becomes HTML, a lost server is found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.harness.browser import serious_messages
from tests.harness.ports import free_ports
from tests.harness.programs import ROOT

pytestmark = pytest.mark.browser

#: Chromium keeps connections open for later, also some that it never uses: they are to end before the test looks for what is left.
ARGUMENTS = ("--ini", f"{ROOT / 'bombertab_demo' / 'chat.ini'}:chat", "--http-keepalive=2", "--http-headers-timeout=1", "--http-socket")


class Tab:
    """A tab with the chat open under a name."""

    def __init__(self, driver: Any, url: str, name: str, room: str = "tests") -> None:
        self.driver = driver
        driver.switch_to.new_window("tab")
        driver.get(url + "/chat.css")  # the page's origin, to say who we are before the page asks
        driver.execute_script("sessionStorage.setItem('name', arguments[0]); sessionStorage.setItem('hue', '200')", name)
        driver.get(f"{url}/#{room}")
        self.handle = driver.current_window_handle
        self.until(lambda: "ms" in self.text("#state-text"))

    def show(self) -> None:
        self.driver.switch_to.window(self.handle)

    def until(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, 20).until(lambda driver: condition())

    def text(self, selector: str) -> str:
        return str(self.driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        return list(
            self.driver.execute_script("return Array.from(document.querySelectorAll(arguments[0]), (n) => n.textContent)", selector)
        )

    def type(self, text: str) -> None:
        self.driver.find_element(By.ID, "words").send_keys(text)


def test_two_tabs_talk(server: Callable[..., Any], chromium: Any, artifacts: Path) -> None:
    chat = server(None, *ARGUMENTS, "127.0.0.1:0")
    ada, grace = Tab(chromium, chat.url, "Ada"), Tab(chromium, chat.url, "Grace")
    assert grace.texts(".people .who") == ["Grace", "Ada"]
    grace.type("<img src=x onerror=alert(1)> & http://example.org/x.")
    ada.show()
    ada.until(lambda: ada.text("#typing") == "Grace is typing")
    grace.show()
    grace.type(Keys.ENTER)
    grace.until(lambda: grace.texts(".message:not(.pending) .text"))
    ada.show()
    ada.until(lambda: ada.texts(".message .text") == ["<img src=x onerror=alert(1)> & http://example.org/x."])
    assert ada.texts(".message .text a") == ["http://example.org/x"]
    assert ada.texts("main img, main script") == []
    assert ada.text("#typing") == ""
    chromium.find_element(By.ID, "self").click()
    name = chromium.find_element(By.ID, "name")
    name.clear()
    name.send_keys("Countess", Keys.ENTER)
    ada.until(lambda: "Countess" in ada.texts(".people .who"))
    ada.type("Two lines" + Keys.SHIFT + Keys.ENTER + Keys.SHIFT + "in one message" + Keys.ENTER)
    grace.show()
    grace.until(lambda: grace.texts(".message .text")[-1:] == ["Two lines\nin one message"])
    assert grace.texts(".notice")[-1] == "Ada is now Countess"
    chromium.save_screenshot(str(artifacts / "demo-chat.png"))
    # The page names its own icon; chat.css, opened by itself, makes the browser ask for one.
    assert [message for message in serious_messages(chromium) if "favicon" not in message] == []
    chromium.get("about:blank")
    ada.show()
    ada.until(lambda: ada.texts(".people .who") == ["Countess"])
    chromium.get("about:blank")


def test_server_comes_back(server: Callable[..., Any], chromium: Any) -> None:
    # One that nobody else is given while nobody listens there.
    address = f"127.0.0.1:{free_ports(1)[0]}"
    first = server(None, *ARGUMENTS, address)
    ada = Tab(chromium, first.url, "Ada")
    ada.type("before" + Keys.ENTER)
    ada.until(lambda: ada.texts(".message:not(.pending) .text") == ["before"])
    first.interrupt()
    ada.until(lambda: ada.text("#state-text") == "Offline")
    ada.type("meanwhile" + Keys.ENTER)
    assert ada.texts(".message.pending .text") == ["meanwhile"]
    server(None, *ARGUMENTS, address)
    ada.until(lambda: "ms" in ada.text("#state-text"))
    ada.until(lambda: ada.texts(".message:not(.pending) .text") == ["before", "meanwhile"])
    grace = Tab(chromium, first.url, "Grace")
    assert grace.texts(".message .text") == ["meanwhile"]
    for tab in (ada, grace):
        tab.show()
        chromium.get("about:blank")


def test_narrow_screen_has_everything(server: Callable[..., Any], chromium: Any) -> None:
    chat = server(None, *ARGUMENTS, "127.0.0.1:0")
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False})
    try:
        ada = Tab(chromium, chat.url, "Ada", room="x" * 40)
        chromium.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
        )
        ada.type("W" * 300 + Keys.ENTER)
        ada.until(lambda: ada.texts(".message:not(.pending) .text"))
        assert chromium.execute_script("return document.documentElement.scrollWidth") == 360
        assert not chromium.find_element(By.ID, "people").is_displayed()
        chromium.find_element(By.ID, "toggle").click()
        assert chromium.find_element(By.ID, "people").is_displayed()
        chromium.find_element(By.ID, "room").send_keys("a b/c" + Keys.ENTER)
        ada.until(lambda: ada.text("#title") == "# a b/c")
        assert chromium.current_url.endswith("#a%20b%2Fc")
        ada.until(lambda: ada.texts(".message .text") == [])
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chromium.get("about:blank")
