"""A headless Chromium under Debian's chromedriver. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .programs import find_program, missing

#: No traffic but the test's own, no sandbox (the tests may run as root), nothing asked of the user.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--window-size=1100,760",
)


def start_chromium(folder: Path, *flags: str) -> Any:
    """A selenium driver with a profile of its own in `folder`."""
    try:
        from selenium import webdriver
        from selenium.common.exceptions import SessionNotCreatedException
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        missing("selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = find_program("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, *flags, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    # Both paths are given, so that Selenium Manager has nothing to look for.
    service = Service(executable_path=find_program("chromedriver"), log_output=str(folder / "chromedriver.log"))
    for attempt in range(3):
        try:
            driver = webdriver.Chrome(options=options, service=service)
            break
        except SessionNotCreatedException:  # it has not come up in chromedriver's time: the machine is busy
            if attempt == 2:
                raise
    driver.set_page_load_timeout(60)
    driver.set_script_timeout(60)
    return driver


def serious_messages(driver: Any) -> list[str]:
    """What the page's console holds of level SEVERE."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
