"""The page in a real browser, with no network: nothing is asked for, nothing complains, tables sort, a phone can read it."""

import pytest
from tests.report.conftest import make
from tests.testbed import browser, require

from lading.report.page import page
from lading.testing import histories

pytestmark = pytest.mark.real("chromium")
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def chromium():
    program = browser.program()
    require("chromium", program, "no Chromium on the path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=str(program),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
        )
        yield running
        running.close()


@pytest.fixture
def opened(chromium, tmp_path):
    """Open a report; `complaints` are console errors, page errors and any request but the file's own."""

    def show(report, *, width=1200, scheme="light", name="report.html"):
        path = tmp_path / name
        path.write_text(page(report), encoding="utf-8")
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        tab = context.new_page()
        tab.complaints = []
        tab.on(
            "console",
            lambda message: tab.complaints.append(message.text) if message.type in {"error", "warning"} else None,
        )
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.on("request", lambda request: tab.complaints.append(request.url) if request.url != path.as_uri() else None)
        tab.goto(path.as_uri())
        contexts.append(context)
        return tab

    contexts = []
    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_asked_for_nothing_complains_and_nothing_overflows(opened, report, width, scheme):
    tab = opened(report, width=width, scheme=scheme)
    assert tab.complaints == []
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_text_stays_text(opened):
    tab = opened(make(histories.history(hostile=HOSTILE)))
    assert tab.title() != "taken"
    assert tab.complaints == []
    assert tab.locator("img").count() == 0


def test_a_table_sorts_by_number_and_back(opened, report):
    tab = opened(report)
    head = tab.locator("#all-trials th button", has_text="output tokens/s")
    column = [head.text_content() for head in tab.locator("#all-trials th").all()].index("output tokens/s") + 1

    def shown():
        texts = tab.locator(f"#all-trials tbody td:nth-child({column})").all_text_contents()
        return [float(text) for text in texts if text]

    head.click()
    rising = shown()
    assert rising == sorted(rising)
    head.click()
    assert shown() == rising[::-1]
    last = tab.locator(f"#all-trials tbody tr:last-child td:nth-child({column})").text_content()
    assert last == "", "trials without a score stay at the end, whatever the order"
    assert tab.locator("#all-trials th[aria-sort=descending]").count() == 1


def test_a_table_copies_as_tsv(opened, report):
    tab = opened(report)
    tab.evaluate("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    tab.locator("button.copy[data-from=pareto-set]").click()
    lines = tab.evaluate("window.copied").splitlines()
    assert lines[0].split("\t")[:2] == ["trial", "level"]
    assert len(lines) == 1 + len(report.result.pareto)
    assert tab.locator("button.copy[data-from=pareto-set]").text_content() == "copied"


def test_a_link_to_a_trial_opens_it(opened, report):
    tab = opened(report)
    tab.locator('#all-trials a[href="#trial-7"]').click()
    assert tab.locator("#argv-7").is_visible()


def test_on_paper_the_colours_are_those_of_paper_and_logs_are_open(opened, report):
    tab = opened(report, scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("#failures ~ details.print").first.get_attribute("open") is not None
    assert len(tab.pdf()) > 20_000


def test_text_is_readable_on_a_phone(opened, report):
    """No words in a chart are drawn smaller than 9 px."""
    tab = opened(report, width=390)
    sizes = tab.evaluate(
        "[...document.querySelectorAll('svg text')].filter((one) => one.getClientRects().length)"
        ".map((one) => parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a)"
    )
    assert sizes
    assert min(sizes) >= 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_the_paper(opened, report, scheme):
    """WCAG AA: at least 4.5 to 1 for the three colours of text."""
    tab = opened(report, scheme=scheme)
    colours = tab.evaluate(
        "['--paper', '--ink', '--muted', '--accent'].map((name) => { document.body.style.color = `var(${name})`;"
        " const found = getComputedStyle(document.body).color; document.body.style.color = ''; return found; })"
    )
    paper, *texts = [_luminance(colour) for colour in colours]
    for text in texts:
        assert (max(paper, text) + 0.05) / (min(paper, text) + 0.05) >= 4.5


def _luminance(colour):
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
