"""A real browser that opens the pages: what is done with any page, and what is found against it."""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 30
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
SESSION = "condagate_session"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-prefers-reduced-motion"]


def is_gone(element):
    """Whether a page is left that this was on. The driver has more than one word for it while that happens."""
    try:
        element.is_enabled()
    except WebDriverException:
        return True
    return False


class Pages:
    def __init__(self, url, axe=None, shots=None, scripts=True):
        options = webdriver.ChromeOptions()
        for flag in FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        if not scripts:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        binary = os.environ.get("CONDAGATE_TEST_CHROMIUM")
        if binary:
            options.binary_location = binary
        driver = os.environ.get("CONDAGATE_TEST_CHROMEDRIVER", "/usr/bin/chromedriver")
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_window_size(*SIZES["wide"])
        self.url, self.axe, self.shots, self.scripts = url, axe, shots, scripts
        self.found, self.asked = [], set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def open(self, path):
        self.driver.get(self.url + path)

    def path(self):
        """Where the browser is, without the host."""
        parts = urllib.parse.urlsplit(self.driver.current_url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def xpath(self, expression):
        return self.driver.find_element(By.XPATH, expression)

    def fill(self, **fields):
        for name, value in fields.items():
            selector = f"main [name={name}]:not([type=hidden])"
            field = self.wait(f"a field {name}", lambda: next(iter(self.all(selector)), None))
            field.clear()
            field.send_keys(value)

    def press(self, text, within="main"):
        buttons = self.all(f"{within} button")
        button = next((button for button in buttons if button.is_displayed() and text in button.text), None)
        if button is None:
            sys.exit(f"no button `{text}` on {self.driver.current_url}: {self.text()}")
        forms = button.find_elements(By.XPATH, "ancestor::form[@method='post' and not(@data-upload)]")
        button.click()
        if forms:
            # What is looked at next is the answer, not the page that is about to go.
            self.wait(f"the page goes behind `{text}`", lambda: is_gone(button))

    def ask_and_press(self, row, summary, button):
        """Opens what asks once more before it does something, in the row with these texts, and says yes."""
        place = "//tr[" + " and ".join(f"contains(., '{text}')" for text in row) + "]" if row else "//main"
        self.xpath(f"{place}//details[contains(@class, 'ask')]/summary[contains(., '{summary}')]").click()
        self.press(button, "details.ask[open]")

    def text(self):
        if self.scripts:
            return self.driver.execute_script("return document.querySelector('main')?.innerText || ''")
        mains = self.all("main")
        return mains[0].text if mains else ""

    def wait(self, what, probe):
        try:
            # A page may go while it is looked at.
            gone = (StaleElementReferenceException,)
            return WebDriverWait(self.driver, PATIENCE, ignored_exceptions=gone).until(lambda _: probe())
        except TimeoutException:
            sys.exit(f"not so in time: {what}; on {self.driver.current_url}: {self.text()}")

    def until(self, text):
        self.wait(f"`{text}`", lambda: text in self.text())

    def cookie(self, name=SESSION):
        cookie = self.driver.get_cookie(name)
        return cookie and cookie["value"]

    def swap(self, jar=()):
        """Takes all cookies out, puts others in, and gives what was there: somebody else sits down at the browser."""
        before = self.driver.get_cookies()
        self.driver.delete_all_cookies()
        for cookie in jar:
            self.driver.add_cookie(cookie)
        return before

    def sign_in(self, user, password):
        self.open("/-/ui/sign-in")
        self.fill(username=user, password=password)
        self.press("Sign in")

    def sign_out(self):
        self.one("details.menu > summary").click()
        self.press("Sign out", "details.menu")
        self.until("You are signed out.")

    def check(self, name):
        """What axe and the browser itself have against a page, in light and dark, wide and narrow; without axe only the browser."""
        if self.axe:
            for theme in ["light", "dark"]:
                for size in SIZES:
                    self.look_at(name, theme, size)
        self.listen(name)

    def look_at(self, name, theme, size):
        width, height = SIZES[size]
        self.driver.set_window_size(width, height)
        self.driver.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        self.driver.execute_script(self.axe)
        run = "const done = arguments[0]; axe.run({resultTypes: ['violations']}).then(done, (e) => done({error: String(e)}))"
        result = self.driver.execute_async_script(run)
        for bad in result.get("violations", [{"impact": "critical", "id": result.get("error"), "nodes": []}]):
            if bad["impact"] in ("serious", "critical"):
                where = [node["html"][:160] + " | " + node.get("failureSummary", "")[:200] for node in bad["nodes"][:3]]
                self.found.append(f"{name} ({theme}, {size}): {bad['id']}: {where}")
        wide = self.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            self.found.append(f"{name} ({theme}, {size}): {wide} pixels wider than the screen")
        if self.shots:
            self.shoot(f"{name}-{theme}-{size}", width, height)

    def listen(self, name):
        """What the browser says about the page, and whom it has asked for anything."""
        for entry in self.driver.get_log("browser"):
            if entry["level"] == "SEVERE" and "status of 40" not in entry["message"]:
                self.found.append(f"{name}: {entry['message']}")
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                asked = message["params"].get("request", message["params"])["url"]
                parts = urllib.parse.urlsplit(asked)
                if parts.scheme in ("http", "https", "ws", "wss", "ftp"):
                    self.asked.add(f"{parts.scheme}://{parts.netloc}")

    def shoot(self, name, width, height):
        tall = self.driver.execute_script("return document.documentElement.scrollHeight")
        self.driver.set_window_size(width, min(max(tall + 140, height), 2600))
        self.driver.save_screenshot(str(self.shots / f"{name}.png"))
        self.driver.set_window_size(width, height)

    def verdict(self):
        """Everything that was found, and nobody but the gate may have been asked."""
        self.listen("the end")
        elsewhere = self.asked - {self.url}
        if elsewhere or not self.asked:
            self.found.append(f"asked of the network: {sorted(self.asked)}, which is to be {self.url} only")
        return self.found


def fetch(url, token=None, method="GET", body=None, cookie=None):
    """A request without a browser: status and content."""
    request = urllib.request.Request(url, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if cookie:
        request.add_header("Cookie", cookie)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read()


def ask(*words):
    """Has the test that started this script do something, or say something; see `web_browser.rs`."""
    print("ask", *words, flush=True)
    return sys.stdin.readline().strip()
