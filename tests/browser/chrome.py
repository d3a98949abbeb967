"""A real browser without a window: Debian's chromium, driven by selenium."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.interop.servers import require, wait_until

FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
DESKTOP: Final = (1280, 900)
PHONE: Final = (390, 844)
WITHIN_S: Final = 20.0
SCREENSHOTS: Final = "TXREPL_SCREENSHOTS"
"""The environment variable that names the directory for pictures; without it none are made."""


class Browser:
    """A browser with one window.

    Parameters:
        profile: an empty directory.

    Attributes:
        tolerated: what console messages of this test may be about; else any error there fails it.
    """

    def __init__(self, profile: Path) -> None:
        options = Options()
        options.binary_location = require("chromium")
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self._driver = webdriver.Chrome(options=options, service=Service(require("chromedriver")))
        self._driver.set_script_timeout(WITHIN_S)
        self.origin = ""
        self.tolerated: tuple[str, ...] = ()
        self.look()

    def quit(self) -> None:
        """End it."""
        self._driver.quit()

    # -- looking ------------------------------------------------------------------------------------------------

    def look(self, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> None:
        """Be a screen of that size, with light or dark colours."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})

    def open(self, port: int, *, ready: bool = True) -> None:
        """Open the dashboard of a node's HTTP port; and wait until it is live."""
        self.origin = f"http://127.0.0.1:{port}"
        self._driver.get(f"{self.origin}/")
        if ready:
            self.until("#connection", "Live")

    def leave(self) -> None:
        """Close the page, and with it its stream."""
        self._driver.get("about:blank")

    def reload(self) -> None:
        """Load the page again."""
        self._driver.refresh()

    def find(self, selector: str) -> WebElement:
        """The first element."""
        return self._driver.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector: str) -> int:
        """How many there are."""
        return len(self._driver.find_elements(By.CSS_SELECTOR, selector))

    def text(self, selector: str) -> str:
        """The visible text of the first element; nothing while there is none."""
        try:
            found = self._driver.find_elements(By.CSS_SELECTOR, selector)
            return found[0].text if found else ""
        except StaleElementReferenceException:
            return ""

    def until(self, selector: str, text: str, within_s: float = WITHIN_S) -> str:
        """Wait until an element's visible text contains something; the text."""
        found: str = wait_until(
            lambda: text in (shown := self.text(selector)) and shown, within_s, f"{text!r} in {selector}"
        )
        return found

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self._driver.execute_script(script, *arguments)

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of everything that assistive technology is told of."""
        tree = self._driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})
        return [
            (node["role"]["value"], str(node.get("name", {}).get("value", "")))
            for node in tree["nodes"]
            if not node["ignored"]
        ]

    def picture(self, name: str) -> None:
        """Save the whole page as a PNG, where the environment names a directory for it."""
        directory = os.environ.get(SCREENSHOTS)
        if directory is None:
            return
        size = self._driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self._driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        Path(directory).mkdir(parents=True, exist_ok=True)
        (Path(directory) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    # -- acting -------------------------------------------------------------------------------------------------

    def press(self, name: str) -> None:
        """Click the button with this accessible name."""

        def pressed() -> bool:
            for button in self._driver.find_elements(By.CSS_SELECTOR, "button:not([disabled])"):
                if button.is_displayed() and button.accessible_name == name:
                    button.click()
                    return True
            return False

        def tried() -> bool:
            try:
                return pressed()
            except StaleElementReferenceException:
                return False

        wait_until(tried, WITHIN_S, f"a button {name!r}")

    def fill(self, label: str, value: str) -> None:
        """Type into the field of the dialog with this accessible name, in place of what is there."""
        fields = self._driver.find_elements(By.CSS_SELECTOR, "dialog input, dialog select")
        field = next(one for one in fields if one.accessible_name == label)
        if field.tag_name == "select":
            field.send_keys(value)
        else:
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(value)

    def key(self, key: str) -> None:
        """Press a key where the focus is."""
        webdriver.ActionChains(self._driver).send_keys(key).perform()

    # -- what it noticed ----------------------------------------------------------------------------------------

    def complaints(self) -> list[str]:
        """Errors and warnings of the console since it was last asked, without those that are tolerated."""
        found = [one["message"] for one in self._driver.get_log("browser") if one["level"] in ("SEVERE", "WARNING")]
        return [one for one in found if not any(part in one for part in self.tolerated)]

    def strangers(self) -> list[str]:
        """Requests since it was last asked to anywhere but the page's own server."""
        messages = [json.loads(one["message"])["message"] for one in self._driver.get_log("performance")]
        urls = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith((f"{self.origin}/", "data:", "about:", "chrome:"))]
