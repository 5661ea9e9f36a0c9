"""Text from outside, made fit to stand in a line of ours."""

import re


def one_line(text: str) -> str:
    """*text* without anything that a reader of lines may take for a line's end."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text)
