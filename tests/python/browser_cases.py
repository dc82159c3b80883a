"""Cases that are not everyday, and have to hold in a real browser: sessions that end, forms that are old, no scripts, no mouse, files dropped."""

import base64
import json
import pathlib

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser_pages import SESSION, Pages, ask, fetch

# Bytes in a second, of a connection on which progress can be seen.
SLOW = 60_000
# Longer than any page has stops.
STOPS = 80


def run(pages, user, password, packages):
    fixation(pages, user, password)
    ended_elsewhere(pages, user, password)
    old_form(pages, user, password)
    dropped(pages, packages / "drop")
    progress(pages, packages / "slow")
    pages.sign_out()
    keyboard_only(pages, user, password)
    pages.sign_out()
    without_scripts(pages, user, password, packages / "plain")
    # At last, because nobody is signed in any more then.
    timed_out(pages, user, password)


def fixation(pages, user, password):
    """A session that somebody planted is not the one that signing in makes."""
    pages.open("/")
    pages.driver.add_cookie({"name": SESSION, "value": "cg-planted", "httpOnly": True, "sameSite": "Lax"})
    pages.open("/-/ui/channels")
    assert pages.cookie() != "cg-planted", "what is no session is taken away"
    pages.driver.add_cookie({"name": SESSION, "value": "cg-planted", "httpOnly": True, "sameSite": "Lax"})
    pages.sign_in(user, password)
    pages.wait("signed in", lambda: pages.all("details.menu"))
    first = pages.cookie()
    assert first and first != "cg-planted"
    pages.sign_out()
    assert not pages.cookie()
    pages.sign_in(user, password)
    pages.wait("signed in", lambda: pages.all("details.menu"))
    assert pages.cookie() not in (None, first, "cg-planted"), "each time another"


def end_sessions(pages, user, password):
    """All of a user's, from elsewhere; the page in front of the browser stays as it is."""
    api = f"{pages.url}/-/api/v1"
    status, said = fetch(f"{api}/session", method="POST", body={"username": user, "password": password})
    assert status == 200, said
    bearer = json.loads(said)["access_token"]
    status, said = fetch(f"{api}/sessions", bearer)
    assert status == 200, said
    for session in json.loads(said)["sessions"]:
        assert fetch(f"{api}/sessions/{session['id']}", bearer, method="DELETE")[0] == 204
    # Within two seconds every gate knows.
    cookie = f"{SESSION}={pages.cookie()}"
    pages.wait("the session is over", lambda: fetch(f"{pages.url}/-/ui/profile", cookie=cookie)[0] == 401)


def ended_elsewhere(pages, user, password):
    """Whoever opens a page then is asked to sign in, and comes back to that page; so does whoever sends a form."""
    page = "/-/ui/admin/audit?kind=token.create"
    pages.open(page)
    end_sessions(pages, user, password)
    pages.open(page)
    pages.until("Your session is over")
    assert not pages.cookie(), "the browser is told to forget it"
    back(pages, user, password, page)

    pages.open("/-/ui/tokens")
    pages.fill(name="typed before")
    end_sessions(pages, user, password)
    pages.press("Make the token")
    pages.until("so nothing was changed")
    back(pages, user, password, "/-/ui/tokens")
    assert "typed before" not in pages.text(), "no token was made"
    # Where only forms are taken, nobody is led back to.
    pages.fill(name="short-lived")
    pages.press("Make the token")
    pages.until("shown this once")
    pages.open("/-/ui/tokens")
    end_sessions(pages, user, password)
    pages.ask_and_press(["short-lived"], "Revoke", "Revoke it")
    pages.until("so nothing was changed")
    back(pages, user, password, "/-/ui/tokens")
    pages.ask_and_press(["short-lived"], "Revoke", "Revoke it")
    pages.until("is revoked")


def back(pages, user, password, page):
    pages.fill(username=user, password=password)
    pages.press("Sign in")
    pages.wait(f"back at {page}", lambda: pages.all("details.menu") and pages.path() == page)


def old_form(pages, user, password):
    """One that was open while somebody signed out and in again: nothing is done, a sentence says so, and what was typed is there."""
    pages.open("/-/ui/admin/rules")
    typed = "# A rule that took long to write."
    pages.fill(text=typed)
    first = pages.driver.current_window_handle
    pages.driver.switch_to.new_window("tab")
    pages.open("/")
    pages.sign_out()
    pages.sign_in(user, password)
    pages.wait("signed in", lambda: pages.all("details.menu"))
    pages.driver.close()
    pages.driver.switch_to.window(first)
    pages.press("Save")
    pages.until("Nothing was changed; open the page again and send the form once more")
    pages.driver.back()
    pages.wait("what was typed", lambda: pages.one("main [name=text]").get_attribute("value") == typed)
    pages.press("Save")
    pages.until("The rules are in force")
    pages.fill(text="")
    pages.press("Save")
    pages.until("The rules are in force")


def dropped(pages, file):
    """A file that falls onto the page is uploaded."""
    file = only(file)
    pages.open("/-/ui/upload?channel=lab")
    drop = """
        const [name, text] = arguments;
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
        const zone = document.querySelector(".drop"), seen = [];
        for (const what of ["dragenter", "dragover", "drop"]) {
            const event = new DragEvent(what, { bubbles: true, cancelable: true, dataTransfer: transfer });
            zone.dispatchEvent(event);
            seen.push(event.defaultPrevented, zone.classList.contains("over"));
        }
        return seen;
    """
    seen = pages.driver.execute_script(drop, file.name, base64.b64encode(file.read_bytes()).decode())
    assert seen[2:] == [True, True, True, False], f"taken, and shown while it hovers: {seen}"
    pages.until(f"{file.name} is published.")
    assert pages.path() == "/-/ui/upload?channel=lab", "the browser does not leave for the file"


def progress(pages, file):
    """A long upload says how far it is."""
    file = only(file)
    pages.open("/-/ui/upload?channel=lab")
    watch = """
        window.steps = [];
        const list = document.querySelector(".files");
        const look = () => list.querySelectorAll("progress").forEach((bar) => window.steps.push(bar.value));
        new MutationObserver(look).observe(list, { attributes: true, childList: true, subtree: true });
    """
    pages.driver.execute_script(watch)
    pages.driver.execute_cdp_cmd("Network.enable", {})
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW}
    pages.driver.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    pages.one("#file").send_keys(str(file))
    pages.until("is published.")
    pages.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    steps = pages.driver.execute_script("return window.steps")
    between = {step for step in steps if 0 < step < 100}
    assert steps == sorted(steps) and between, f"it grows, and is seen on its way: {steps}"
    assert not pages.all(".files progress"), "and is gone at the end"


def only(directory):
    (file,) = pathlib.Path(directory).iterdir()
    return file


class Keyboard:
    """Nobody touches a mouse."""

    def __init__(self, pages):
        self.pages = pages

    def type(self, *keys):
        ActionChains(self.pages.driver).send_keys(*keys).perform()

    def at(self, selector):
        here = self.pages.driver.switch_to.active_element
        return any(here == one for one in self.pages.all(selector))

    def tab_to(self, selector):
        """Goes on with the Tab key until there, and sees that the browser shows where that is."""
        for _ in range(STOPS):
            if self.at(selector):
                return
            self.type(Keys.TAB)
        raise AssertionError(f"the Tab key does not lead to `{selector}` on {self.pages.path()}")


def keyboard_only(pages, user, password):
    """Signing in, the menu, a token: by Tab, Enter and Escape."""
    keyboard = Keyboard(pages)
    pages.open("/")
    keyboard.type(Keys.TAB)
    assert keyboard.at("a.skip"), "the first stop leads to the content"
    assert pages.one("a.skip").location["y"] >= 0, "and is seen while it is there"
    keyboard.tab_to("a[href^='/-/ui/sign-in']")
    keyboard.type(Keys.ENTER)
    pages.wait("the form", lambda: keyboard.at("#username"))
    keyboard.type(user)
    keyboard.tab_to("#password")
    keyboard.type(password, Keys.ENTER)
    pages.wait("signed in", lambda: pages.all("details.menu"))
    menu = "details.menu > summary"
    keyboard.tab_to(menu)
    keyboard.type(Keys.ENTER)
    assert pages.all("details.menu[open]")
    keyboard.type(Keys.ESCAPE)
    assert not pages.all("details.menu[open]") and keyboard.at(menu), "Escape closes it and stays"
    keyboard.type(Keys.ENTER)
    keyboard.tab_to("details.menu a[href$='/-/ui/tokens']")
    keyboard.type(Keys.ENTER)
    pages.wait("the tokens", lambda: pages.path() == "/-/ui/tokens" and pages.all("#name"))
    keyboard.tab_to("#name")
    keyboard.type("by hand")
    keyboard.tab_to("main form button.main")
    keyboard.type(Keys.ENTER)
    pages.until("shown this once")


def without_scripts(pages, user, password, file):
    """Everything that matters, in a browser that runs no scripts."""
    file = only(file)
    with Pages(pages.url, scripts=False) as plain:
        plain.sign_in(user, password)
        plain.wait("signed in", lambda: plain.all("details.menu"))
        plain.open("/-/ui/tokens")
        plain.fill(name="plain")
        plain.press("Make the token")
        plain.until("shown this once")
        assert not plain.one("#made .copy").is_displayed(), "what needs a script is not there"
        token = plain.one("#made pre").text
        plain.open("/-/ui/upload?channel=lab")
        plain.one("#file").send_keys(str(file))
        plain.press("Upload")
        plain.until("is published.")
        where = f"{plain.url}/lab/noarch/{file.name}"
        assert fetch(where, token) == (200, file.read_bytes())
        name = file.name.rsplit("-", 2)[0]
        plain.open("/-/ui/search")
        plain.fill(q=name)
        plain.press("Search")
        plain.until("1 found")
        plain.driver.find_element(By.LINK_TEXT, name).click()
        plain.until("Files of")
        plain.open("/-/ui/channels/lab")
        plain.fill(q="nothing like it")
        plain.one("#q").send_keys(Keys.ENTER)
        plain.until("No package has")
        path = "/forge/noarch/lib-004-1.0-0.conda"
        assert fetch(plain.url + path)[0] == 200
        plain.wait("it is kept", lambda: fetch(plain.url + path)[0] == 200 and ask("gets", path) == "1")
        plain.open("/-/ui/admin/cache")
        plain.fill(what=path)
        plain.press("Purge")
        plain.until("1 removed.")
        assert fetch(plain.url + path)[0] == 200 and ask("gets", path) == "2"
        plain.one("details.menu > summary").click()
        plain.press("Sign out", "details.menu")
        plain.until("You are signed out.")
        pages.found += plain.verdict()


def timed_out(pages, user, password):
    """Nine hours without use."""
    page = "/-/ui/admin/downloads"
    pages.sign_in(user, password)
    pages.wait("signed in", lambda: pages.all("details.menu"))
    pages.open(page)
    ask("advance", 9 * 3600)
    pages.open(page)
    pages.until("Your session is over")
    back(pages, user, password, page)
    pages.sign_out()
