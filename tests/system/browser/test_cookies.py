"""A browser logs in by cookie, with the application and the scripts of the documentation, and lives with it."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_jwt_claims import create_access_token
from tests.system.browser.driving import cookies_of, log_in, open_page, run, statuses, wait_until

ALL_THREE = {"__Host-access_token", "__Secure-refresh_token", "__Host-csrf_token"}
ADD = """
    const add = (options) => fetch("/notes", {method: "POST", body: new URLSearchParams({note: "mine"}), ...options});
"""


def test_a_login_sets_the_cookies_as_the_page_says(browser: Any, sites: Any) -> None:
    """The browser keeps three cookies for this host alone, two of them out of the reach of scripts, and is let in."""  # S10
    assert 401 == run(open_page(browser, sites.own), "return (await send('/protected')).status")
    assert 200 == run(browser, "return (await logIn('alice', 'secret')).status")
    kept = {
        name: (cookie["path"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["domain"])
        for name, cookie in cookies_of(browser).items()
    }
    assert {
        "__Host-access_token": ("/", True, True, "Lax", "localhost"),
        "__Secure-refresh_token": ("/auth", True, True, "Lax", "localhost"),
        "__Host-csrf_token": ("/", False, True, "Lax", "localhost"),
    } == kept
    assert {"plan": "free"} == run(browser, "return await (await send('/protected')).json()")


def test_cookies_live_as_long_as_their_tokens(browser: Any, sites: Any) -> None:
    """The access token's cookie goes after 15 minutes, the other two stay for 14 days."""
    log_in(browser, sites.own)
    now = run(browser, "return Date.now() / 1000")
    ages = {name: cookie["expires"] - now for name, cookie in cookies_of(browser).items()}
    fortnight = pytest.approx(14 * 86400, abs=60)
    expected = {"__Host-access_token": pytest.approx(900, abs=60), "__Secure-refresh_token": fortnight}
    assert {**expected, "__Host-csrf_token": fortnight} == ages


def test_scripts_see_the_csrf_value_and_no_token(browser: Any, sites: Any) -> None:
    """All that `document.cookie` shows is the CSRF value, and that holds nothing of a token."""
    log_in(browser, sites.own)
    seen = run(browser, "return document.cookie")
    assert f"__Host-csrf_token={run(browser, 'return csrfToken()')}" == seen
    tokens = [cookies_of(browser)[name]["value"] for name in ALL_THREE - {"__Host-csrf_token"}]
    parts = [part for token in tokens for part in token.split(".")]
    assert (6, []) == (len(parts), [part for part in parts if part in seen])


def test_a_change_needs_the_csrf_header(browser: Any, sites: Any) -> None:
    """With the header of the page's `send` a note is added; without it, or with a wrong one, nothing happens."""  # S10
    log_in(browser, sites.own)
    assert 403 == run(browser, f"{ADD} return (await add()).status")
    assert 403 == run(browser, f"{ADD} return (await add({{headers: {{'X-CSRF-Token': 'made up'}}}})).status")
    answer = "[answer.status, await answer.json()]"
    refusal = {"error": "invalid_request", "error_description": "The request lacks the CSRF value of its token."}
    assert [403, refusal] == run(browser, f"{ADD} const answer = await add(); return {answer}")
    assert [] == sites.own.notes
    body = "{method: 'POST', body: new URLSearchParams({note: 'mine'})}"
    assert 200 == run(browser, f"return (await send('/notes', {body})).status")
    assert ["mine"] == sites.own.notes


def test_a_form_with_files_is_sent_by_script(browser: Any, sites: Any) -> None:
    """`FormData` goes out as multipart, where no field is looked for, with the header of `send`."""
    log_in(browser, sites.own)
    prepare = "const body = new FormData(); body.set('note', 'mine'); body.set('csrf_token', csrfToken());"
    assert 200 == run(browser, f"{prepare} return (await send('/notes', {{method: 'POST', body}})).status")
    assert 403 == run(browser, f"{prepare} return (await fetch('/notes', {{method: 'POST', body}})).status")
    assert ["mine"] == sites.own.notes


def test_a_form_needs_its_hidden_field(browser: Any, sites: Any) -> None:
    """The form of the page works as it was served; without the field, or with another value, nothing happens."""
    log_in(browser, sites.own)

    def submit(change: str, expected: str) -> None:
        browser.get(f"{sites.own.origin}/notes")
        run(browser, change)
        browser.find_element("name", "note").send_keys("by form")
        browser.find_element("tag name", "button").click()
        wait_until(lambda: expected in browser.execute_script("return document.body?.innerText ?? ''"))

    field = "document.querySelector('[name=csrf_token]')"
    for change in (f"{field}.remove()", f"{field}.value = 'made up'", f"{field}.value = ''"):
        submit(change, "The request lacks the CSRF value of its token.")
    assert [403, 403, 403] == statuses(sites.own, "POST", "/notes")
    assert [] == sites.own.notes
    submit("", "by form")
    # A page may hide where its forms come from; the browser still says that they are its own.
    submit("document.head.innerHTML = '<meta name=referrer content=no-referrer>'", "by form")
    wait_until(lambda: ["by form", "by form"] == sites.own.notes)


def test_an_expired_access_token_is_refreshed_on_the_way(browser: Any, sites: Any) -> None:
    """When the access token's cookie is gone, `send` refreshes once for all that wait, and succeeds."""
    log_in(browser, sites.own)
    before = {name: cookie["value"] for name, cookie in cookies_of(browser).items()}
    browser.execute_cdp_cmd("Network.deleteCookies", {"name": "__Host-access_token", "url": sites.own.origin})
    sites.own.forget()
    three = "Promise.all([1, 2, 3].map(() => send('/protected')))"
    assert [200, 200, 200] == run(browser, f"return (await {three}).map((answer) => answer.status)")
    assert [200] == statuses(sites.own, "POST", "/auth/refresh")
    assert [200, 200, 200, 401, 401, 401] == sorted(statuses(sites.own, "GET", "/protected"))
    after = {name: cookie["value"] for name, cookie in cookies_of(browser).items()}
    assert (ALL_THREE, set()) == (set(after), set(before.items()) & set(after.items()))


def test_tabs_take_turns_to_refresh(browser: Any, sites: Any) -> None:
    """Two documents of the origin that find the access token gone refresh once between them."""
    log_in(browser, sites.own)
    browser.execute_cdp_cmd("Network.deleteCookies", {"name": "__Host-access_token", "url": sites.own.origin})
    answers = run(
        browser,
        """const frame = document.createElement("iframe");
        frame.src = "/page";
        await new Promise((resolve) => { frame.onload = resolve; document.body.append(frame); });
        const answers = await Promise.all([window, frame.contentWindow].map((one) => one.send("/protected")));
        return answers.map((answer) => answer.status)""",
    )
    assert [200, 200] == answers
    assert [200] == statuses(sites.own, "POST", "/auth/refresh")


def test_a_csrf_value_dies_with_its_tokens(browser: Any, sites: Any) -> None:
    """The value from before a refresh, or of another login, is refused afterwards."""  # S10
    log_in(browser, sites.own)
    old = run(browser, "return csrfToken()")
    assert "true" == run(browser, "return String(await refresh(csrfToken()))")
    log_in(browser, sites.own)
    assert 403 == run(browser, f"{ADD} return (await add({{headers: {{'X-CSRF-Token': '{old}'}}}})).status")
    assert [] == sites.own.notes


def test_refreshing_needs_the_csrf_value_too(browser: Any, sites: Any) -> None:
    """A refresh or a logout without the header is refused, and changes no cookie."""
    log_in(browser, sites.own)
    before = cookies_of(browser)
    assert [403, 403] == run(
        browser,
        """const post = (path) => fetch(path, {method: "POST"});
        return [(await post("/auth/refresh")).status, (await post("/auth/logout")).status]""",
    )
    assert before == cookies_of(browser)


def test_a_logout_removes_the_cookies_and_ends_the_session(browser: Any, sites: Any) -> None:
    """After it there is no cookie, and a copy of the token that somebody has kept opens nothing."""
    log_in(browser, sites.own)
    kept = cookies_of(browser)["__Host-access_token"]["value"]
    bearer = f"return (await fetch('/protected', {{headers: {{Authorization: 'Bearer {kept}'}}}})).status"
    assert 200 == run(browser, "return (await logOut()).status")
    assert {} == cookies_of(browser)
    assert [401, 401] == [run(browser, "return (await send('/protected')).status"), run(browser, bearer)]


def test_a_logout_works_when_the_access_token_has_expired(browser: Any, sites: Any) -> None:
    """The refresh token's cookie is enough to log out."""
    log_in(browser, sites.own)
    browser.execute_cdp_cmd("Network.deleteCookies", {"name": "__Host-access_token", "url": sites.own.origin})
    assert 200 == run(browser, "return (await logOut()).status")
    assert {} == cookies_of(browser)


def test_a_token_in_two_places_is_refused(browser: Any, sites: Any) -> None:
    """A script that sends a token of its own, beside the cookie, is told to decide."""
    log_in(browser, sites.own)
    kept = cookies_of(browser)["__Host-access_token"]["value"]
    assert 400 == run(
        browser, f"return (await fetch('/protected', {{headers: {{Authorization: 'Bearer {kept}'}}}})).status"
    )


def test_a_websocket_of_the_own_origin_opens(browser: Any, sites: Any) -> None:
    """The page's `openFeed` is let in by the cookie, also when the access token had to be refreshed before."""
    log_in(browser, sites.own)
    browser.execute_cdp_cmd("Network.deleteCookies", {"name": "__Host-access_token", "url": sites.own.origin})
    said = "new Promise((resolve) => { feed.onmessage = (event) => resolve(event.data); })"
    assert "Hello alice" == run(browser, f"const feed = await openFeed(); return await {said}")
    assert [101] == statuses(sites.own, "WEBSOCKET", "/feed")


def test_a_websocket_without_a_cookie_is_refused(browser: Any, sites: Any) -> None:
    """Nobody is logged in, so the handshake is answered 401, and the script sees it fail."""
    open_page(browser, sites.own)
    assert "error" == run(
        browser,
        "const feed = await openFeed();"
        "return await new Promise((resolve) => { feed.onopen = feed.onerror = (event) => resolve(event.type); })",
    )
    assert [401] == statuses(sites.own, "WEBSOCKET", "/feed")


def test_a_token_travels_as_a_subprotocol(browser: Any, sites: Any) -> None:
    """`["bearer", token]` opens a WebSocket from any page; only `bearer` is answered, and the application sees neither."""  # S126
    raw = create_access_token("alice", sites.lenient.config)
    script = f"""
        const feed = new WebSocket("{sites.lenient.origin.replace("http", "ws")}/feed", ["bearer", "{raw}"]);
        return await new Promise((resolve) => {{
            feed.onmessage = (event) => resolve([feed.protocol, event.data]);
            feed.onerror = () => resolve("error");
        }});
    """
    assert ["bearer", "Hello alice []"] == run(open_page(browser, sites.pages), script)
    assert "error" == run(browser, script.replace(raw, f"{raw[:-6]}AAAAAA"))
    assert [101, 401] == statuses(sites.lenient, "WEBSOCKET", "/feed")


def test_a_websocket_ends_with_its_token(browser: Any, sites: Any) -> None:
    """The script sees the close code 3000 and the reason, and nothing that looks like a broken connection."""
    raw = create_access_token("alice", sites.lenient.config, lifetime=2)
    script = f"""
        const feed = new WebSocket("{sites.lenient.origin.replace("http", "ws")}/feed", ["bearer", "{raw}"]);
        return await new Promise((resolve) => {{
            feed.onclose = (event) => resolve([event.code, event.reason, event.wasClean]);
        }});
    """
    assert [3000, "The token has expired.", True] == run(open_page(browser, sites.pages), script)
