"""The work of every day, done on the pages, and what comes of it outside: tokens, recalls, purges, users, groups, grants.

Comes behind the walk of browser.py: there are the channels `forge`, from upstream, and `lab`, hosted, for the group `lab`.
"""

from browser_pages import ask, fetch

NOBODY = 401
REFUSED = 403


def run(pages, user, password):
    pages.sign_in(user, password)
    tokens(pages)
    recall(pages)
    purge(pages)
    mallory(pages, user, password)
    groups_and_grants(pages, password)
    pages.sign_out()


def tokens(pages):
    """Made, used, rotated, revoked."""
    index = f"{pages.url}/lab/noarch/repodata.json"
    assert fetch(index)[0] == NOBODY, "the lab's channel is not for everybody"
    pages.open("/-/ui/tokens")
    pages.fill(name="pipeline", channels="lab")
    pages.press("Make the token")
    pages.until("shown this once")
    first = secret(pages)
    assert fetch(index, first)[0] == 200
    pages.open("/-/ui/tokens")
    assert first not in pages.driver.page_source, "it is shown once"
    pages.ask_and_press(["pipeline"], "Rotate", "Rotate it")
    pages.until("shown this once")
    second = secret(pages)
    assert second != first
    assert [fetch(index, token)[0] for token in (first, second)] == [200, 200], "the old one is good for a day"
    pages.open("/-/ui/tokens")
    pages.ask_and_press(["pipeline", "rotated"], "Revoke", "Revoke it")
    pages.until("is revoked")
    pages.wait("the old one is refused", lambda: fetch(index, first)[0] == NOBODY)
    assert fetch(index, second)[0] == 200
    pages.ask_and_press(["pipeline", "active"], "Revoke", "Revoke it")
    pages.until("is revoked")


def secret(pages):
    return pages.one("#made pre").text


def recall(pages):
    """A package that nobody gets any more, until that is taken back."""
    file = f"{pages.url}/forge/noarch/lib-002-1.0-0.conda"
    assert fetch(file)[0] == 200
    pages.open("/-/ui/channels/forge/-/lib-002")
    pages.xpath("//summary[contains(., 'Recall')]").click()
    pages.fill(reason="it eats disks")
    pages.press("Recall it")
    pages.until("is refused everywhere from now on")
    status, said = fetch(file)
    assert status == REFUSED and b"it eats disks" in said, (status, said)
    pages.fill(text="")
    pages.press("Try it")
    pages.until("would appear")
    assert fetch(file)[0] == REFUSED, "trying changes nothing"
    pages.press("Save")
    pages.until("The rules are in force")
    assert fetch(file)[0] == 200


def purge(pages):
    """Something that is in the cache goes, the page says how much that was, and upstream is asked again."""
    path = "/forge/noarch/lib-003-1.0-0.conda"
    asked = lambda: int(ask("gets", path))
    get = lambda: fetch(pages.url + path)
    status, content = get()
    assert (status, asked()) == (200, 1)
    pages.wait("it is kept", lambda: get()[0] == 200 and asked() == 1)
    pages.open("/-/ui/admin/cache")
    pages.fill(what=path)
    pages.press("Purge")
    pages.until("1 removed.")
    freed = f"{len(content) / 1024:.1f} KiB of files are freed."
    assert freed in pages.text(), (freed, pages.text())
    assert get() == (200, content) and asked() == 2, "upstream is asked again"
    pages.open("/-/ui/admin/cache")
    pages.fill(confirm="every thing")
    pages.press("Empty the cache")
    pages.until("Nothing was removed")
    assert get()[0] == 200 and asked() == 2


def mallory(pages, user, password):
    """Made, made administrator, locked out at once, given another password, deleted."""
    other = password + " indeed"
    page = "/-/ui/admin/users/mallory"
    pages.open("/-/ui/admin/users")
    pages.fill(name="mallory", email="mallory@example.org", password=other, again=password)
    pages.press("Make the user")
    pages.until("The two passwords are not the same")
    pages.fill(name="mallory", email="mallory@example.org", password=other, again=other)
    pages.press("Make the user")
    pages.until("mallory is there now.")
    pages.press("Make administrator")
    pages.until("mallory is an administrator now.")

    root = pages.swap()
    pages.sign_in("mallory", other)
    pages.wait("mallory's own page", lambda: "mallory" in pages.one("header.top").text)
    pages.open("/-/ui/admin/users")
    pages.until(user)
    there = pages.swap(root)

    pages.open(page)
    pages.press("Take administration away")
    pages.until("mallory is no administrator any more.")
    pages.press("Disable")
    pages.until("mallory is let in nowhere any more")
    root = pages.swap(there)
    pages.wait("mallory's session is over", lambda: signed_out(pages))
    pages.fill(username="mallory", password=other)
    pages.press("Sign in")
    pages.wait("mallory is let in nowhere", lambda: pages.all("main .note.bad"))

    pages.swap(root)
    pages.open(page)
    pages.press("Let in again")
    pages.until("mallory is let in again.")
    newer = password + " now"
    pages.fill(password=newer, again=newer)
    pages.press("Set it")
    pages.until("mallory has a new password and is signed out everywhere.")
    root = pages.swap()
    pages.sign_in("mallory", other)
    pages.wait("the old password is refused", lambda: pages.all("main .note.bad"))
    pages.fill(username="mallory", password=newer)
    pages.press("Sign in")
    pages.wait("the new one is good", lambda: "mallory" in pages.one("header.top").text)
    there = pages.swap(root)

    pages.open(page)
    pages.fill(confirm="malory")
    pages.press("Delete mallory")
    pages.until("Type mallory to delete the account; nothing was done")
    pages.fill(confirm="mallory")
    pages.press("Delete mallory")
    pages.until("mallory is deleted, with all tokens and rights.")
    assert "mallory@example.org" not in pages.text()
    root = pages.swap(there)
    pages.wait("a deleted user is nobody", lambda: signed_out(pages))
    pages.swap(root)


def signed_out(pages):
    pages.open("/-/ui/profile")
    return bool(pages.all("main input[name=password]")) and "mallory" not in pages.one("header.top").text


def groups_and_grants(pages, password):
    """What a group and a grant give is there, and is gone when they are taken away."""
    pages.open("/-/ui/admin/users")
    pages.fill(name="tess", password=password, again=password)
    pages.press("Make the user")
    pages.until("tess is there now.")
    account = {"username": "tess", "password": password}
    status, said = fetch(f"{pages.url}/-/api/v1/session", method="POST", body=account)
    assert status == 200, said
    bearer = said.decode().split('"access_token":"')[1].split('"')[0]
    may_read = lambda: fetch(f"{pages.url}/lab/noarch/repodata.json", bearer)[0] == 200
    assert not may_read()

    pages.open("/-/ui/admin/groups/lab")
    pages.fill(users="tess, nobody-at-all")
    pages.press("Add")
    pages.until("nobody-at-all")
    assert "tess" not in [link.text for link in pages.all("main ul.list a")], "all or nobody"
    pages.fill(users="tess")
    pages.press("Add")
    pages.until("In lab now: tess.")
    pages.wait("the group's rights are hers", may_read)
    pages.xpath("//li[contains(., 'tess')]//button").click()
    pages.until("No longer in lab: tess.")
    pages.wait("they were", lambda: not may_read())

    pages.open("/-/ui/admin/grants")
    pages.one("main select[name=kind] option[value=user]").click()
    pages.fill(channels="la*", name="tess")
    pages.press("Give it")
    pages.until("tess may read la*.")
    pages.wait("the grant is hers", may_read)
    pages.ask_and_press(["tess"], "Take away", "Take it away")
    pages.until("tess has the right to read la* no longer.")
    pages.wait("it was", lambda: not may_read())

    pages.open("/-/ui/admin/groups")
    pages.fill(name="passing", description="here today")
    pages.press("Make the group")
    pages.until("The group passing is there now.")
    pages.ask_and_press([], "Delete", "Delete passing")
    pages.until("The group passing is deleted, with its rights.")
    assert "here today" not in pages.text()
    pages.open("/-/ui/admin/audit?kind=group.delete")
    pages.wait("it is in the trail", lambda: any("group.delete" in row.text for row in pages.all("main tbody tr")))
