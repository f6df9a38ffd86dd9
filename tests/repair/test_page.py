"""The page in a real browser: a whole review by keyboard, grids, undo, conflicts, lost connections.

These tests need Chromium. Where there is none they are skipped, unless TACIT_NEEDS_BROWSER is set.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reviews import Served, make_review, make_source, serving
from tacit.data.source import Source
from tacit.repair.session import Review
from tacit.repair.store import Store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDED = "TACIT_NEEDS_BROWSER"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get(NEEDED),
    reason="there is no chromium on the path; apt-get install chromium brings it",
)

Open = Callable[..., Any]
AHEAD = "document.querySelector('#question:not([hidden])')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert CHROMIUM, f"{NEEDED} is set, and there is no chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Return a function that opens a page, of which nothing is complained on the console."""
    contexts, said, allowed = [], [], ["ERR_CONNECTION_REFUSED"]

    def open_one(served: Served, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}} | options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(served.address)
        page.wait_for_selector("#asked em")
        return page

    open_one.allow = allowed.append  # type: ignore[attr-defined]
    yield open_one
    for context in contexts:
        context.close()
    assert not [line for line in said if not any(part in line for part in allowed)]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(make_review(tmp_path, audit_share=0.0)) as page:
        yield page


def wait(page: Any, expression: str, arg: Any = None, seconds: float = 15) -> None:
    """Wait until something holds on the page, whose policy lets playwright's own waiting not in."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(25)


def wait_saved(page: Any) -> None:
    wait(page, "document.querySelector('#saved').dataset.unsaved === '0'")


def asked(page: Any) -> str:
    return str(page.inner_text("#asked"))


def verdicts(review: Review) -> list[tuple[str, str, str]]:
    """Return what is on the disk, as image number, class and answer."""
    found = Store(review.store.path).verdicts()
    return [(each.image[-8:-4], each.label, each.answer) for each in found]


def test_a_whole_review_by_keyboard(tmp_path: Path, open_page: Open) -> None:
    """From the first question to the last, and the page says that there is none left."""
    with serving(make_review(tmp_path, make_source(8), audit_share=0.25)) as served:
        page = open_page(served)
        assert asked(page).endswith(": is it here?") and "tacit" in page.title()
        for number in range(24):
            before = page.evaluate("document.querySelector('#asked').textContent + "
                                   "document.querySelector('#caption').textContent")  # fmt: skip
            page.keyboard.press("yns"[number % 3])
            if number < 23:
                wait(
                    page,
                    "before => document.querySelector('#asked').textContent + "
                    "document.querySelector('#caption').textContent !== before",
                    arg=before,
                )
        page.wait_for_selector("#empty:not([hidden])")
        assert page.inner_text("#empty-title") == "Nothing is left to ask."
        wait_saved(page)
        given = verdicts(served.review)
        assert len(given) == 24 == len({each[:2] for each in given})
        assert {answer for *_, answer in given} == {"present", "absent", "unsure"}
        served.review.audit.wait()  # what it says is told with the next answer, or the next visit
        page.reload()
        wait(page, "document.querySelector('#sentence').textContent")
        said = page.inner_text("#sentence")
        assert said.startswith("24 looks. ") and "8 of them are found" in said


def test_keys_do_what_the_help_says(served: Served, open_page: Open) -> None:
    page = open_page(served)
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    page.keyboard.press("y")  # while the help is open, keys answer nothing
    page.keyboard.press("Escape")
    page.wait_for_selector("#keys", state="hidden")
    page.keyboard.press("ArrowRight")
    assert asked(page) == "dog: is it here?"  # box, and so the whole image beside the crop
    page.keyboard.press("ArrowLeft")
    assert asked(page) == "cat: is it here?"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert asked(page) == "tree: is it here?"
    page.keyboard.press("z")
    page.wait_for_selector("#zoom[open] img")
    page.keyboard.press("z")
    page.wait_for_selector("#zoom", state="hidden")
    page.keyboard.press("/")
    page.keyboard.type("dog")  # none of these letters is a command now
    page.keyboard.press("Enter")
    wait(page, "document.querySelector('#asked').textContent.startsWith('dog')")
    page.keyboard.press("n")
    page.keyboard.press("h")
    wait_saved(page)
    assert verdicts(served.review) == [("0000", "dog", "absent")]
    page.keyboard.press("j")
    wait(page, "document.querySelector('#caption').textContent.includes('0001')")
    page.keyboard.press("p")
    page.wait_for_selector("#report-table td")
    assert "dog" in page.inner_text("#report-table")


def test_a_box_is_shown_when_it_is_asked_for(served: Served, open_page: Open) -> None:
    page = open_page(served)
    page.keyboard.press("ArrowRight")  # every second suspect of these has a box
    assert asked(page) == "dog: is it here?"
    assert not page.is_visible("#whole-holder") or page.query_selector(".outline") is None
    while not page.is_visible("#whole-holder"):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("h")
    box = page.wait_for_selector(".outline").bounding_box()
    image = page.query_selector("#whole img").bounding_box()
    assert box["width"] == pytest.approx(image["width"] / 2, rel=0.1)


def test_none_of_these_and_a_class_of_ones_own(served: Served, open_page: Open) -> None:
    page = open_page(served)
    page.keyboard.press("a")
    page.wait_for_selector("#adding[open]")
    page.keyboard.type("horse")
    page.keyboard.press("Enter")
    wait(page, "document.querySelector('#adding-hint').textContent !== ''")
    page.fill("#added", "tree")
    page.keyboard.press("Enter")
    page.wait_for_selector("#adding", state="hidden")
    page.keyboard.press("0")
    wait(page, "document.querySelector('#caption').textContent.includes('0001')")
    wait_saved(page)
    assert sorted(verdicts(served.review)) == [
        ("0000", "cat", "absent"),
        ("0000", "dog", "absent"),
        ("0000", "tree", "present"),
    ]


def test_grid_mode(served: Served, open_page: Open) -> None:
    page = open_page(served)
    page.keyboard.press("/")
    page.keyboard.type("dog")
    page.keyboard.press("Enter")
    wait(page, "document.querySelector('#asked').textContent.startsWith('dog')")
    page.keyboard.press("g")
    page.wait_for_selector(".cell")
    cells = page.query_selector_all(".cell")
    assert len(cells) == 24
    cells[2].click()
    cells[5].click()
    cells[5].click()  # a second click takes the first one back
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert page.inner_text("#confirm-text") == "22 right, 2 wrong"
    page.keyboard.press("Enter")
    wait(page, "document.querySelectorAll('.cell').length === 6")
    wait_saved(page)
    given = verdicts(served.review)
    wrong = [cells_of for cells_of in given if cells_of[2] == "absent"]
    assert len(given) == 24 and len(wrong) == 2 and {each[1] for each in given} == {"dog"}
    page.keyboard.press("0")
    page.wait_for_selector("#empty:not([hidden])")
    wait_saved(page)
    assert [each[2] for each in verdicts(served.review)[24:]] == ["absent"] * 6


def test_undo_after_a_reload(served: Served, open_page: Open) -> None:
    page = open_page(served)
    for key in "yny":
        page.keyboard.press(key)
    wait_saved(page)
    page.reload()
    wait(page, f"{AHEAD} && document.querySelector('#caption').textContent.includes('0001')")
    for expected in ("tree", "dog", "cat"):
        page.keyboard.press("u")
        wait(
            page,
            "name => document.querySelector('#asked').textContent.startsWith(name)",
            arg=expected,
        )
    wait_saved(page)
    assert served.review.store.settle() == {}
    assert len(served.review.store) == 6  # nothing is removed, it is taken back
    page.keyboard.press("u")
    wait(page, "document.querySelector('#sentence').textContent.includes('nothing to')")
    page.keyboard.press("n")
    wait_saved(page)
    assert verdicts(served.review)[-1] == ("0000", "cat", "absent")


def test_two_reviewers_in_conflict(served: Served, open_page: Open) -> None:
    open_page.allow("status of 409")  # type: ignore[attr-defined]
    ann = open_page(served)
    first = served.review.ask((0, 1))
    ben_says = [{"id": "b1", "cell": "0-1", "answer": "absent"},
                {"id": "b2", "cell": "0-2", "answer": "absent"}]  # fmt: skip
    assert served.post(ben_says, user="ben")[0] == 200
    ann.keyboard.press("y")
    ann.wait_for_selector("#conflict[open]")
    assert "ben says that “cat” is not there" in ann.inner_text("#conflict-text")
    ann.click("#conflict-keep")
    wait_saved(ann)
    said = served.review.store.settle()[first.image, "cat"]
    assert {who: verdict.answer for who, verdict in said.items()} == {
        "ben": "absent",
        "ann": "present",
    }
    ann.keyboard.press("y")
    ann.wait_for_selector("#conflict[open]")
    ann.click("#conflict-drop")
    ann.keyboard.press("s")
    wait_saved(ann)
    assert set(served.review.store.settle()[first.image, "dog"]) == {"ben"}


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_fifty_verdicts_while_the_server_is_away(tmp_path: Path, open_page: Open) -> None:
    """They wait in the page, which says how many; then each of them is there once."""
    open_page.allow("status of 403")  # type: ignore[attr-defined]  # before the new address is opened
    port = find_port()
    with serving(make_review(tmp_path, audit_share=0.0), port) as served:
        page = open_page(served)
        wait(page, "performance.getEntriesByType('resource').length > 70")
    for number in range(50):
        page.keyboard.press("yn"[number % 2])
    wait(page, "document.querySelector('#saved').dataset.unsaved === '50'")
    assert page.inner_text("#saved") == "50 unsaved"
    page.wait_for_selector("#banner:not([hidden])")
    assert "The server is away" in page.inner_text("#banner")
    assert page.evaluate("Object.keys(localStorage).length") == 50
    stopped = page.evaluate(
        "() => { const event = new Event('beforeunload', {cancelable: true});"
        " window.dispatchEvent(event); return event.defaultPrevented; }"
    )
    assert stopped
    review = make_review(tmp_path, audit_share=0.0)
    with serving(review, port) as again:
        # The key is another one now; the person opens the new address, and nothing is lost.
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(again.address)
        page.wait_for_selector("#asked em")
        wait_saved(page)
        given = verdicts(review)
        assert len(given) == 50 == len({each[:2] for each in given})
        assert [each[2] for each in given] == ["present", "absent"] * 25
        assert page.evaluate("Object.keys(localStorage).length") == 0


AWAY = float(os.environ.get("TACIT_AWAY_SECONDS", "0"))  # 120 once in a while


def test_verdicts_go_out_by_themselves_when_the_connection_is_back(
    served: Served, open_page: Open
) -> None:
    """Fifty answers while there is no connection: each is there once, in order."""
    open_page.allow("ERR_INTERNET_DISCONNECTED")  # type: ignore[attr-defined]
    page = open_page(served)
    wait(page, "performance.getEntriesByType('resource').length > 70")
    page.context.set_offline(True)
    for number in range(50):
        page.keyboard.press("yn"[number % 2])
        page.wait_for_timeout(AWAY * 1000 / 50)
    wait(page, "document.querySelector('#saved').dataset.unsaved === '50'")
    page.wait_for_selector("#banner:not([hidden])")
    page.context.set_offline(False)
    wait_saved(page)
    page.wait_for_selector("#banner", state="hidden")
    given = verdicts(served.review)
    assert len(given) == 50 == len({each[:2] for each in given})
    assert [each[2] for each in given] == ["present", "absent"] * 25
    assert page.evaluate("Object.keys(localStorage).length") == 0


def test_a_page_that_was_left_open_over_night_goes_on(served: Served, open_page: Open) -> None:
    page = open_page(served)
    page.clock.install()
    page.clock.fast_forward("12:00:00")
    served.review.clock = lambda now=served.review.clock: now() + 12 * 3600  # type: ignore[misc]
    page.keyboard.press("y")
    page.clock.run_for(2000)
    wait_saved(page)
    assert verdicts(served.review) == [("0000", "cat", "present")]


def test_names_that_are_html_are_shown_as_text(tmp_path: Path, open_page: Open) -> None:
    bad = "<img src=x onerror=alert(1)>"
    with serving(make_review(tmp_path, make_source(6, (bad, "b", "c")))) as served:
        page = open_page(served)
        while bad not in page.inner_text("#asked"):
            page.keyboard.press("ArrowRight")
        assert page.query_selector("#asked img, #known img, #classes img") is None
        page.keyboard.press("g")
        page.wait_for_selector(".cell")
        assert bad in page.inner_text("#grid-asked")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_question_and_answers_at_once(
    served: Served, open_page: Open, scheme: str
) -> None:
    page = open_page(
        served, viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for name in ("#asked", "#crop img", '[data-answer="present"]', '[data-answer="absent"]'):
        box = page.query_selector(name).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 740 and box["x"] + box["width"] <= 360
    for button in page.query_selector_all("#question .answers button"):
        assert button.bounding_box()["height"] >= 44
    page.tap('[data-answer="present"]')
    wait_saved(page)
    assert verdicts(served.review) == [("0000", "cat", "present")]


def contrast(one: list[float], other: list[float]) -> float:
    def light(colour: list[float]) -> float:
        share = np.array(colour[:3]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


COLOURS = """
name => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const element = document.querySelector(name);
  let behind = element;
  while (rgb(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  return [rgb(getComputedStyle(element).color), rgb(getComputedStyle(behind).backgroundColor)];
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_everything_has_a_name(
    served: Served, open_page: Open, scheme: str
) -> None:
    page = open_page(served, color_scheme=scheme, reduced_motion="reduce")
    answers, others = (".yes", ".no", ".unsure", "#undo"), ("#saved", "#sentence", "#data")
    named = (".filters label", "h2", "#one", "#many", "#asked", "#asked em", ".sure", ".chip")
    for name in (*answers, *others, *named):
        assert contrast(*page.evaluate(COLOURS, name)) >= 4.5, name
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, img, dialog, section')].filter((e) =>"
        " !(e.textContent.trim() || e.labels?.length || e.getAttribute('alt') ||"
        " e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')) && e.checkVisibility()"
        ").map((e) => e.outerHTML)"
    )
    assert unnamed == []
    assert page.get_attribute("#asked", "aria-live") == "polite"
    assert page.get_attribute("#saved", "role") == "status"
    moving = "getComputedStyle(document.querySelector('.yes')).transitionDuration"
    assert page.evaluate(moving) == "0s"


ROLES = """
- main:
  - 'region "cat: is it here?"':
    - figure
    - 'heading "cat: is it here?" [level=1]'
    - button "y Yes, it is"
    - button "n No"
    - button "s Not sure"
    - button "u Undo"
    - button "0 None of these"
    - button "a Add a class"
    - 'heading "Known: cat" [level=2]'
    - heading "Easily mistaken" [level=2]
"""


def test_a_screen_reader_meets_roles_and_names(served: Served, open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page(served)
    expect(page.locator("body")).to_match_aria_snapshot(ROLES)
    said = page.locator("body").aria_snapshot()
    for part in ("navigation", "search", "status", 'progressbar "Suspects answered"'):
        assert part in said, said
    page.keyboard.press("g")
    page.wait_for_selector(".cell")
    cells = page.locator("#cells").aria_snapshot()
    assert cells.count('button "photos/') == 24 and "image-0000.jpg: wrong" in cells
    page.keyboard.press("p")
    page.wait_for_selector("#report-table td")
    report = page.locator("#report").aria_snapshot()
    assert 'heading "How far the review is" [level=1]' in report
    assert "columnheader" in report and "rowheader" in report


def test_evidence_is_told_when_it_is_asked_for(served: Served, open_page: Open) -> None:
    page = open_page(served)
    assert not page.is_visible("#evidence")
    page.keyboard.press("h")
    page.wait_for_selector("#evidence li")
    assert "not trained on this image: 80%" in page.inner_text("#evidence")


def test_only_images_of_a_name(served: Served, open_page: Open) -> None:
    page = open_page(served)
    page.fill("#named", "IMAGE-0007")
    page.keyboard.press("Enter")
    wait(page, "document.querySelector('#caption').textContent.includes('0007')")
    page.click("#clear")
    wait(page, "document.querySelector('#caption').textContent.includes('0000')")


@pytest.mark.parametrize("width", [390, 1440])
def test_no_word_of_the_report_is_broken(served: Served, open_page: Open, width: int) -> None:
    page = open_page(served, viewport={"width": width, "height": 844})
    page.keyboard.press("p")
    page.wait_for_selector("#report-table td")
    heights = page.evaluate(
        "[...document.querySelectorAll('#report-table tbody td')].map((e) => e.clientHeight)"
    )
    assert max(heights) < 60 and page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_report_prints_alone(served: Served, open_page: Open) -> None:
    page = open_page(served)
    page.keyboard.press("p")
    page.wait_for_selector("#report-table td")
    page.emulate_media(media="print")
    assert page.is_visible("#report-title") and page.is_visible("#report-table")
    assert not page.is_visible("#filters") and not page.is_visible("#many")
    assert page.pdf()[:4] == b"%PDF"


def test_an_image_that_is_gone_does_not_stop_the_review(tmp_path: Path, open_page: Open) -> None:
    source = make_source(6)

    def open_gone(row: int) -> Any:
        from tacit.errors import DataError

        raise DataError("There is no image there.")

    open_page.allow("status of 404")  # type: ignore[attr-defined]
    gone = Source(source.name, source.classes, source.images, source.labels, open_gone)
    with serving(make_review(tmp_path, gone, audit_share=0.0)) as served:
        page = open_page(served)
        wait(page, "document.querySelector('#crop img').alt.includes('cannot be shown')")
        page.keyboard.press("s")
        wait_saved(page)
        assert len(verdicts(served.review)) == 1
