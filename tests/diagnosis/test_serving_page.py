"""The page of failure classes is what the code says. ``LADING_GOLDEN=write`` writes its table anew."""

import os
from pathlib import Path

from lading.diagnosis import serving_classes

PAGE = Path(__file__).parents[2] / "docs/serving-failures.md"
BEGIN, END = "<!-- classes: begin -->\n", "<!-- classes: end -->"


def test_the_table_of_the_docs_is_made_of_the_code():
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    expected = f"{serving_classes.page()}\n"
    if os.environ.get("LADING_GOLDEN") == "write":
        PAGE.write_text(f"{before}{BEGIN}{expected}{END}{after}", encoding="utf-8")
        table = expected
    assert table == expected
