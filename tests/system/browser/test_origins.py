"""Pages of other origins try to act for somebody who is logged in. Nothing of it is done.

Two kinds of them: another port of the same host, which is another origin of the same *site*, so that the browser sends
the cookies along and only the application can refuse; and another site, from which the browser sends no `SameSite=Lax`
cookies to begin with. What the application does by itself is seen with `SameSite=None`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.system.browser.driving import cookies_of, log_in, open_page, run, statuses, wait_until


class Attack(NamedTuple):
    """Who is attacked from where, whether the browser sends the cookies along, and how a change is answered."""

    victim: str
    host: str
    has_cookie: bool
    status: int


ATTACKS = {
    "same-site": Attack("own", "localhost", True, 403),
    "other-site": Attack("own", "127.0.0.1", False, 401),
    "other-site-lenient": Attack("lenient", "127.0.0.1", True, 403),
}
by_every_page = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


def victim_of(attack: Attack, browser: Any, sites: Any) -> Any:
    """Log in where the attack goes to, then visit the foreign page."""
    victim = getattr(sites, attack.victim)
    log_in(browser, victim)
    foreign(attack, browser, sites)
    return victim


def foreign(attack: Attack, browser: Any, sites: Any) -> None:
    open_page(browser, sites.pages, attack.host)


def csrf_value(browser: Any) -> str:
    """The right value, as if the attacker knew it: the other checks have to hold without its help."""
    value: str = cookies_of(browser)["__Host-csrf_token"]["value"]
    return value


@by_every_page
def test_who_can_read_the_csrf_value(attack: Attack, browser: Any, sites: Any) -> None:
    """Another port of the same host shares its cookies, the CSRF value included, so the tests below need not spare it."""
    victim_of(attack, browser, sites)
    readable = csrf_value(browser) if attack.host == "localhost" else ""
    assert readable == run(browser, "return csrfToken()")


@by_every_page
def test_a_form_of_another_origin_changes_nothing(attack: Attack, browser: Any, sites: Any) -> None:
    """Its form is refused, even one that has the right CSRF value."""  # S10
    victim = victim_of(attack, browser, sites)
    for value in ("", csrf_value(browser)):
        run(
            browser,
            f"""document.body.innerHTML = `<form method="post" action="{victim.origin}/notes">
                <input name="note" value="theirs"><input name="csrf_token" value="{value}"></form>`;
            document.forms[0].submit()""",
        )
        wait_until(lambda: victim.requests)
        assert [("POST", "/notes", attack.has_cookie, attack.status)] == victim.requests
        assert [] == victim.notes
        victim.forget()
        foreign(attack, browser, sites)


@by_every_page
@pytest.mark.parametrize("mode", ["cors", "no-cors"])
def test_a_script_of_another_origin_changes_nothing(attack: Attack, mode: str, browser: Any, sites: Any) -> None:
    """A `fetch` with credentials that needs no preflight is refused, even with the right CSRF value in its form."""  # S10
    victim = victim_of(attack, browser, sites)
    outcome = run(
        browser,
        f"""const body = new URLSearchParams({{note: "theirs", csrf_token: "{csrf_value(browser)}"}});
        const options = {{method: "POST", credentials: "include", mode: "{mode}", body}};
        return fetch("{victim.origin}/notes", options).then((answer) => answer.status, (error) => error.name)""",
    )
    assert ("TypeError" if mode == "cors" else 0) == outcome
    assert [("POST", "/notes", attack.has_cookie, attack.status)] == victim.requests
    assert [] == victim.notes


@by_every_page
@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
def test_a_page_of_another_origin_logs_nobody_out(attack: Attack, path: str, browser: Any, sites: Any) -> None:
    """Neither a form nor a script of its own ends a session, or makes the browser forget its cookies."""
    victim_of(attack, browser, sites)
    kept = cookies_of(browser)
    options = '{method: "POST", credentials: "include", mode: "no-cors"}'
    run(browser, f"""await fetch("{sites.own.origin}{path}", {options})""")
    run(
        browser,
        f"""document.body.innerHTML = `<form method="post" action="{sites.own.origin}{path}"></form>`;
        document.forms[0].submit()""",
    )
    wait_until(lambda: len(sites.own.requests) == 2)
    assert [] == [status for status in statuses(sites.own, "POST", path) if status < 400]
    assert kept == cookies_of(browser)


@by_every_page
def test_a_script_of_another_origin_cannot_send_the_header(attack: Attack, browser: Any, sites: Any) -> None:
    """With the CSRF header a preflight comes first, and the request itself is never made."""
    victim = victim_of(attack, browser, sites)
    outcome = run(
        browser,
        f"""const headers = {{"X-CSRF-Token": "{csrf_value(browser)}"}};
        const options = {{method: "POST", credentials: "include", headers, body: "theirs"}};
        return fetch("{victim.origin}/notes", options).then((answer) => answer.status, (error) => error.name)""",
    )
    assert "TypeError" == outcome
    assert ["OPTIONS"] == [request.method for request in victim.requests]
    assert [] == victim.notes


@by_every_page
def test_a_script_of_another_origin_opens_no_websocket(attack: Attack, browser: Any, sites: Any) -> None:
    """The handshake is refused, which no preflight would have done, and nothing that was said is heard."""  # S10, S125
    victim = victim_of(attack, browser, sites)
    outcome = run(
        browser,
        f"""const feed = new WebSocket("{victim.origin.replace("http", "ws")}/feed");
        return new Promise((resolve) => {{
            feed.onopen = () => {{ feed.send("theirs"); resolve("open"); }};
            feed.onerror = () => resolve("refused");
        }})""",
    )
    assert "refused" == outcome
    assert [("WEBSOCKET", "/feed", attack.has_cookie, attack.status)] == victim.requests
    assert [] == victim.notes


@by_every_page
def test_a_script_of_another_origin_reads_nothing(attack: Attack, browser: Any, sites: Any) -> None:
    """What is safe may be asked for from anywhere, since links have to work, but the script does not get to see it."""
    victim_of(attack, browser, sites)
    outcome = run(
        browser,
        f"""return fetch("{sites.own.origin}/protected", {{credentials: "include"}})
        .then((answer) => answer.text(), (error) => error.name)""",
    )
    assert "TypeError" == outcome
    assert [200 if attack.has_cookie else 401] == statuses(sites.own, "GET", "/protected")


def test_a_page_of_another_origin_logs_nobody_in(browser: Any, sites: Any) -> None:
    """It cannot put the visitor into an account of its own: JSON needs a preflight, and what needs none is no JSON."""
    outcome = run(
        open_page(browser, sites.pages),
        f"""const body = JSON.stringify({{username: "mallory", password: "secret"}});
        const post = (headers) => fetch(
            "{sites.own.origin}/login", {{method: "POST", credentials: "include", body, headers}}
        ).then((answer) => answer.status, (error) => error.name);
        return [await post({{"Content-Type": "application/json"}}), await post({{"Content-Type": "text/plain"}})]""",
    )
    assert ["TypeError", "TypeError"] == outcome
    assert [422] == statuses(sites.own, "POST", "/login")
    assert {} == cookies_of(browser)


def test_a_link_from_another_site_works(browser: Any, sites: Any) -> None:
    """Who is logged in and follows a link from elsewhere arrives logged in: what `SameSite=Lax` is for."""
    log_in(browser, sites.own)
    open_page(browser, sites.pages, "127.0.0.1")
    run(browser, f"""document.body.innerHTML = '<a href="{sites.own.origin}/notes">notes</a>'""")
    browser.find_element("tag name", "a").click()
    wait_until(lambda: sites.own.requests)
    assert [("GET", "/notes", True, 200)] == sites.own.requests


ADD = """
    const body = new URLSearchParams({note: "from there", csrf_token: csrfToken()});
    const options = {method: "POST", body};
"""


def test_a_trusted_origin_acts_for_its_visitors(browser: Any, sites: Any) -> None:
    """The script of the documentation, on a page that the application trusts, adds a note."""
    log_in(browser, sites.own)
    open_page(browser, sites.pages)
    assert 200 == run(browser, f"{ADD} return (await sendToApi('/notes', options)).status")
    assert [200] == statuses(sites.api, "POST", "/notes")
    assert ["from there"] == sites.api.notes


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_an_origin_is_trusted_by_its_whole_name(host: str, browser: Any, sites: Any) -> None:
    """The same script on the same host at another port, or under another name of the same host, gets nowhere."""
    log_in(browser, sites.own)
    site = sites.lenient if host == "localhost" else sites.pages
    open_page(browser, site, host)
    assert "TypeError" == run(browser, f"{ADD} return sendToApi('/notes', options).then(String, (error) => error.name)")
    run(
        browser,
        f"{ADD} await fetch('{sites.api.origin}/notes', {{...options, credentials: 'include', mode: 'no-cors'}})",
    )
    assert [403 if host == "localhost" else 401] == statuses(sites.api, "POST", "/notes")
    assert [] == sites.api.notes
