"""The page answers first, hides nothing, loads nothing, and shows what came from outside as text."""

import re
from html import escape
from html.parser import HTMLParser

import pytest
from tests.report.conftest import make

from lading.report.page import page
from lading.testing import histories
from lading.tuning.trial import Failed, Infeasible

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}"


class Reader(HTMLParser):
    """Collects tags, attributes and visible text; a tag that is not closed in order fails."""

    VOID = {"meta", "br", "hr", "img", "input", "link"}

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return reader


def test_the_verdict_is_the_first_thing_and_how_it_was_measured_the_last(report):
    text = page(report)
    headings = re.findall(r"<h[12][^>]*>(.*?)</h", text)
    assert headings[0] == report.result.verdict
    assert [re.sub("<.*?>", "", heading) for heading in headings[1:]] == [
        "What to run", "Defaults against winner", "Throughput against latency", "Every parameter against the objective",
        "Pareto set", "Trials", "Failures, by class", "Each trial", "How it was measured",
    ]  # fmt: skip


def test_no_address_is_in_it_that_a_browser_would_open(report):
    reader = read(page(report))
    opened = [
        value for _, name, value in reader.attributes if name in {"src", "href", "action", "data", "poster", "srcset"}
    ]
    assert opened
    assert all(value.startswith(("#", "manifests/")) for value in opened)
    assert not {"img", "link", "iframe", "object", "embed", "base", "form", "import"} & set(reader.tags)
    assert not re.search(r"url\(|@import|xlink", page(report))
    assert "default-src 'none'" in page(report)


def test_it_is_well_formed_and_small(report):
    text = page(report)
    read(text)
    assert len(text.encode()) < 250_000


@pytest.mark.parametrize("where", ["history", "study"])
def test_what_comes_from_outside_is_text(where):
    text = (
        histories.DOCUMENT.replace("tiny-llama@v1", "<script>alert(3)</script>")
        if where == "study"
        else histories.DOCUMENT
    )
    facts = histories.history(hostile=HOSTILE if where == "history" else "")
    reader = read(page(make(facts, text=text)))
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    shown = "".join(reader.text)
    assert ("<script>alert(3)</script>" if where == "study" else HOSTILE) in shown


def test_control_characters_are_made_visible():
    facts = histories.history(hostile="\x1b[31m\x00red")
    assert "\x1b" not in page(make(facts))


def test_every_trial_has_its_argv_its_levels_and_its_place_to_link_to(report):
    text = page(report)
    for scored in report.trials:
        assert f'id="trial-{scored.number}"' in text
    argv = re.search(r'id="argv-7">(.*?)</code>', text, re.DOTALL)[1]
    assert "--parallel 8" in argv
    assert set(re.findall(r'href="#trial-(\d+)"', text)) <= {str(scored.number) for scored in report.trials}


def test_failures_are_shown_by_class_with_reason_remedy_and_log(report):
    text = page(report)
    section = text[text.index('id="failures"') : text.index('id="each-trial"')]
    for scored in report.trials:
        outcome = scored.trial.outcome
        if isinstance(outcome, Failed | Infeasible):
            assert escape(outcome.reason) in section
            assert escape(outcome.hint) in section
    assert "Failed to init server" in section
    assert "quantized-v-needs-flash-attention" in section


def test_failures_are_marks_on_the_axis_and_not_missing_points(report):
    charts = re.findall(r"<svg.*?</svg>", page(report), re.DOTALL)
    parameter = next(chart for chart in charts if "n_parallel against" in chart)
    titles = re.findall(r"<title>(trial \d+[^<]*)</title>", parameter)
    assert sorted(int(re.search(r"\d+", title)[0]) for title in titles) == list(range(12))
    assert "trial 2: failed" in parameter
    assert "trial 4: infeasible" in parameter
    assert "trial 9: unranked" in parameter


def test_the_limit_is_a_dashed_line_with_its_value_on_it(report):
    assert re.search(r'class="limit".*?>limit 1\.50 s</text>', page(report), re.DOTALL)


def test_every_chart_says_in_words_what_it_shows(report):
    charts = re.findall(r"<svg[^>]*>.*?</svg>", page(report), re.DOTALL)
    assert len(charts) >= 10
    for chart in charts:
        assert re.search(r'^<svg[^>]*role="img"[^>]*aria-label="[^"]{20,}"', chart) or re.search(
            r'aria-label="[^"]{20,}"[^>]*>', chart
        )
        assert re.search(r"<title>[^<]+</title><desc>[^<]+</desc>", chart)


def test_log_axes_say_so(report):
    chart = next(c for c in re.findall(r"<svg.*?</svg>", page(report), re.DOTALL) if "Throughput against latency" in c)
    assert "(log)" in chart


def test_the_gain_is_drawn_with_its_interval(report):
    gain = report.result.finalists[0].gain
    assert f"{gain.percent:+.3g} % [{gain.low_percent:.3g}, {gain.high_percent:.3g}]" in page(report)


def test_without_a_significant_gain_the_defaults_are_what_to_run(no_gain):
    text = page(no_gain)
    assert "No significant gain" in re.search(r"<h1>(.*?)</h1>", text)[1]
    assert "Defaults against the best other" in text
    assert "The defaults: no other set of parameters was shown to be better." in text
    assert not no_gain.changed


def test_differences_between_asked_and_effective_are_shown(report):
    text = page(report)
    assert "Not as asked for" in text
    assert "n_ctx: asked for 8192, runs with" in text


def test_numbers_that_are_not_the_records_are_said_at_the_top(gain_facts):
    from lading.report.document import Refold

    text = page(make(gain_facts, refold=Refold(files=3, differing=("trial-1/c4.jsonl",))))
    assert text.index("not what the raw records say") < text.index("<main>")


def test_a_study_with_nothing_yet_is_a_report_too():
    text = page(make(()))
    read(text)
    assert "Nothing was tried yet." in text


def test_a_study_in_the_middle_says_so(gain_facts):
    text = page(make(gain_facts[: len(gain_facts) // 3]))
    read(text)
    assert "has not ended" in text or "open" in text


def test_a_study_where_everything_failed_is_a_report_too():
    story = histories.Story()
    for number in range(3):
        story.failed(
            number,
            {"n_ctx": 8192},
            Failed(phase="start", kind="configuration", name="out-of-memory", reason="no memory"),
        )
    text = page(make(story.facts))
    read(text)
    assert "No trial has a score" in text


@pytest.mark.parametrize(
    "change",
    [
        ("{maximize: output_tokens_per_s, at: best}", "{minimize: ttft_s, percentile: 50, at: 4}"),
        ("constraints: [{metric: ttft_s, percentile: 95, at_most: 1.5}]", ""),
        ("constraints: [{metric: ttft_s, percentile: 95, at_most: 1.5}]", "constraints: [{metric: error_share, at_most: 0.1}]"),
        ("constraints: [{metric: ttft_s, percentile: 95, at_most: 1.5}]", "constraints: [{metric: ttft_s, percentile: 95, at_most: 0.001}]"),
    ],
)  # fmt: skip
def test_other_objectives_and_constraints_are_drawn_too(gain_facts, change):
    read(page(make(gain_facts, text=histories.DOCUMENT.replace(*change))))


def test_without_a_limit_the_axis_has_a_percentile_that_most_levels_resolve():
    story = histories.Story(requests=30, levels=(1, 4))
    story.measured(0, {"n_ctx": 8192}, "default")
    story.measured(1, {"n_ctx": 8192, "n_parallel": 4})
    text = histories.DOCUMENT.replace("constraints: [{metric: ttft_s, percentile: 95, at_most: 1.5}]", "")
    chart = next(
        c
        for c in re.findall(r"<svg.*?</svg>", page(make(story.facts, text=text)), re.DOTALL)
        if "Throughput against latency" in c
    )
    assert "p50 time to first token" in chart
    assert "p95" not in chart
