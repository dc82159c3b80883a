"""Drives a real browser through the pages: signs in, makes a user, a channel and a token, uploads, searches; has every page checked by axe.

browser.py URL USER PASSWORD AXE_JS PACKAGE [SHOTS]    SHOTS: a directory for pictures of every page
"""

import json
import os
import pathlib
import sys

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

PATIENCE = 30
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}


class Pages:
    def __init__(self, url, axe, shots):
        options = webdriver.ChromeOptions()
        for flag in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-prefers-reduced-motion"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        binary = os.environ.get("CONDAGATE_TEST_CHROMIUM")
        if binary:
            options.binary_location = binary
        driver = os.environ.get("CONDAGATE_TEST_CHROMEDRIVER", "/usr/bin/chromedriver")
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.url, self.axe, self.shots = url, axe, shots
        self.found = []

    def open(self, path):
        self.driver.get(self.url + path)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def fill(self, **fields):
        for name, value in fields.items():
            field = self.one(f"main [name={name}]:not([type=hidden])")
            field.clear()
            field.send_keys(value)

    def press(self, text):
        buttons = self.driver.find_elements(By.CSS_SELECTOR, "main button")
        button = next(button for button in buttons if button.is_displayed() and text in button.text)
        button.click()

    def text(self):
        return self.driver.execute_script("return document.querySelector('main')?.innerText || ''")

    def until(self, text):
        try:
            WebDriverWait(self.driver, PATIENCE).until(lambda _: text in self.text())
        except TimeoutException:
            sys.exit(f"no `{text}` on {self.driver.current_url}: {self.text()}")

    def check(self, name):
        """What axe and the browser itself have against a page, in light and dark, wide and narrow."""
        for theme in ["light", "dark"]:
            for size, (width, height) in SIZES.items():
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
        for entry in self.driver.get_log("browser"):
            if entry["level"] == "SEVERE" and "status of 40" not in entry["message"]:
                self.found.append(f"{name}: {entry['message']}")

    def shoot(self, name, width, height):
        tall = self.driver.execute_script("return document.documentElement.scrollHeight")
        self.driver.set_window_size(width, min(max(tall + 140, height), 2600))
        self.driver.save_screenshot(str(self.shots / f"{name}.png"))
        self.driver.set_window_size(width, height)


def main():
    url, user, password, axe, package = sys.argv[1:6]
    shots = pathlib.Path(sys.argv[6]) if len(sys.argv) > 6 else None
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    pages = Pages(url, pathlib.Path(axe).read_text(), shots)
    pages.driver.set_window_size(*SIZES["wide"])
    try:
        walk(pages, user, password, package)
    finally:
        pages.driver.quit()
    if pages.found:
        sys.exit("\n".join(pages.found))
    print(json.dumps({"good": True}))


def walk(pages, user, password, package):
    code = os.environ.get("CONDAGATE_TEST_CODE")
    if code:
        pages.open("/-/ui/sign-in")
        pages.until("Set up this gateway")
        pages.check("setup")
        pages.fill(code=code, username=user, password=password, again=password)
        pages.press("Make me the administrator")
        pages.until("You are the first administrator")
        pages.check("welcome")
        sign_out(pages)
    for name, path in [("first", "/"), ("channels-stranger", "/-/ui/channels"), ("sign-in", "/-/ui/sign-in"), ("missing", "/-/ui/x")]:
        pages.open(path)
        pages.check(name)
    pages.open("/-/ui/tokens")
    pages.fill(username=user, password="wrong")
    pages.press("Sign in")
    pages.until("wrong")
    pages.check("sign-in-wrong")
    pages.fill(password=password)
    pages.press("Sign in")
    pages.until("You have no token yet")
    pages.check("tokens-none")

    pages.fill(name="my laptop")
    pages.press("Make the token")
    pages.until("shown this once")
    assert pages.one("#made .copy").is_displayed(), "a button to copy the token"
    pages.one("#made .copy").click()
    pages.until("Copied")
    pages.check("tokens")

    pages.open("/-/ui/admin/users")
    pages.fill(name="eve", password="eve has a long password", again="eve has a long password")
    pages.press("Make the user")
    pages.until("eve is there now.")
    pages.check("admin-user")
    pages.open("/-/ui/admin/groups")
    pages.fill(name="lab", description="the people of the lab")
    pages.press("Make the group")
    pages.until("The group lab is there now.")
    pages.fill(users="eve")
    pages.press("Add")
    pages.until("In lab now: eve.")
    pages.check("admin-group")
    pages.open("/-/ui/admin/channels")
    pages.check("admin-channels-none")
    pages.fill(name="lab", description="Packages that the lab makes for itself")
    pages.press("Make the channel")
    pages.until("The channel lab is there now.")
    pages.check("channel-empty")
    pages.open("/-/ui/admin/grants")
    pages.check("admin-grants-none")
    pages.fill(channels="lab", name="lab")
    pages.press("Give it")
    pages.until("lab may read lab.")
    pages.check("admin-grants")

    pages.open("/-/ui/upload?channel=lab")
    pages.check("upload")
    assert Select(pages.one("#channel")).first_selected_option.text == "lab"
    pages.one("#file").send_keys(package)
    pages.until("is published.")
    pages.check("upload-done")
    name = pathlib.Path(package).name.rsplit("-", 2)[0]

    pages.open("/-/ui/search")
    pages.one("#q").send_keys(name[:4])
    pages.until("1 found")
    pages.check("search")
    pages.driver.find_element(By.LINK_TEXT, name).click()
    pages.until("Files of")
    pages.check("package")
    pages.one("details.ask > summary").click()
    pages.check("package-change")
    pages.one("body").send_keys(Keys.ESCAPE)
    pages.open("/-/ui/channels/lab")
    pages.one("#q").send_keys("nothing like it")
    pages.until("No package has")
    pages.one("#q").clear()
    pages.one("#q").send_keys(name[:3])
    pages.until("1–1 of 1")
    pages.check("channel")
    pages.open("/-/ui/channels")
    pages.check("channels")
    for page in ["users", "groups", "channels", "channels/lab", "rules", "upstreams", "cache", "jobs", "audit", "downloads", "settings"]:
        pages.open(f"/-/ui/admin/{page}")
        pages.check("admin-" + page.replace("/", "-"))
    pages.open("/-/ui/profile")
    pages.check("profile")
    for page in filter(None, os.environ.get("CONDAGATE_TEST_PAGES", "").split()):
        pages.open(page)
        pages.check("more-" + page.replace("/", "_"))

    pages.open("/-/ui/api")
    pages.one("#listUsers > summary").click()
    pages.one("#shape-UserView > summary").click()
    pages.check("api")
    pages.open("/-/ui/admin/rules")
    pages.fill(text="policy:\n- {id: no-libs, deny: {names: ['lib-00*']}, reason: on trial}")
    pages.press("Try it")
    pages.until("10 files would disappear")
    pages.check("admin-rules-tried")
    pages.fill(text="policy: nonsense")
    pages.press("Save")
    pages.until("There are mistakes in it")
    pages.check("admin-rules-mistakes")
    pages.open("/-/ui/channels/forge/-/lib-001")
    pages.driver.find_element(By.XPATH, "//summary[contains(., 'Recall')]").click()
    pages.fill(reason="CVE-2026-1")
    pages.check("package-recall")
    pages.press("Recall it")
    pages.until("is refused everywhere from now on")
    pages.check("admin-rules-recalled")
    pages.fill(text="")
    pages.press("Save")
    pages.until("The rules are in force")
    file = os.environ.get("CONDAGATE_TEST_DIGEST")
    if file:
        pages.open(f"/-/ui/admin/downloads?sha256={file}")
        pages.until("1 download")
        pages.check("admin-downloads-file")

    pages.open("/-/ui/admin/cache")
    pages.fill(channel="forge", subdirs="noarch")
    pages.press("Fetch the indexes")
    pages.until("are being fetched")
    pages.fill(what="nothing-of-that-name")
    pages.press("Purge")
    pages.until("nothing of it in the cache")
    sign_out(pages)


def sign_out(pages):
    pages.driver.find_element(By.CSS_SELECTOR, "details.menu > summary").click()
    pages.driver.find_element(By.XPATH, "//button[contains(., 'Sign out')]").click()
    pages.until("You are signed out.")


main()
