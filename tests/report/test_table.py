"""CSV: the same numbers, in a form that a spreadsheet reads and does not run."""

import csv
import io

from tests.report.conftest import make

from lading.report import table
from lading.testing import histories


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_one_row_per_trial_with_its_parameters_and_score(report):
    found = rows(table.trials_csv(report))
    assert [int(row["number"]) for row in found] == [scored.number for scored in report.trials]
    winner = found[report.result.winner.number]
    assert winner["param.n_parallel"] == "8"
    assert float(winner["output_tokens_per_s"]) == report.winner.value
    assert found[2]["state"] == "failed"
    assert found[2]["class"] == "quantized-v-needs-flash-attention"
    assert found[2]["output_tokens_per_s"] == ""


def test_one_row_per_level_equal_to_its_summary(report):
    found = rows(table.levels_csv(report))
    levels = [(scored.number, summary) for scored in report.trials for summary in scored.trial.levels]
    assert len(found) == len(levels)
    for row, (number, summary) in zip(found, levels, strict=True):
        assert int(row["number"]) == number
        assert float(row["level"]) == summary.level.value
        assert float(row["output_tokens_per_s"]) == summary.output_tokens_per_s
        assert float(row["ttft_s.mean"]) == summary.ttft_s.mean


def test_a_percentile_that_is_no_number_says_what_it_is(report):
    words = {
        row["ttft_s.p95"] for row in rows(table.levels_csv(report)) if not row["ttft_s.p95"].replace(".", "").isdigit()
    }
    assert words == {"failed"}
    assert "not resolved" in {row["ttft_s.p99"] for row in rows(table.levels_csv(report))}


def test_no_cell_is_a_formula():
    report = make(histories.history(hostile='=HYPERLINK("http://x")'))
    cells = [cell for row in rows(table.trials_csv(report)) for cell in row.values()]
    assert any("HYPERLINK" in cell for cell in cells)
    assert not [cell for cell in cells if cell[:1] in {"=", "@", "+"}]
