"""Drives a real browser through the pages: signs in, makes a user, a channel and a token, uploads, searches; has every page checked by axe.

browser.py URL USER PASSWORD AXE_JS PACKAGE [SHOTS]

AXE_JS: `-` to have nothing checked by axe. SHOTS: a directory for pictures of every page. With more packages in $CONDAGATE_TEST_PACKAGES
(below the directory it names: `drop`, `plain`, `slow`) the rest of everybody's work is done too, and then cases that are not everyday:
those ask the test that started this for what no browser can do.
"""

import json
import os
import pathlib
import sys

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

import browser_cases
import browser_work
from browser_pages import Pages


def main():
    url, user, password, axe, package = sys.argv[1:6]
    shots = pathlib.Path(sys.argv[6]) if len(sys.argv) > 6 else None
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    axe = None if axe == "-" else pathlib.Path(axe).read_text()
    packages = os.environ.get("CONDAGATE_TEST_PACKAGES")
    with Pages(url, axe, shots) as pages:
        walk(pages, user, password, package)
        if packages:
            # Looked at by now.
            pages.axe = None
            browser_work.run(pages, user, password)
            browser_cases.run(pages, user, password, pathlib.Path(packages))
        found = pages.verdict()
    if found:
        sys.exit("\n".join(found))
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
        pages.sign_out()
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
    pages.xpath("//summary[contains(., 'Recall')]").click()
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
    pages.sign_out()


main()
