"""Pure: the space, feasibility, the score, strategies as functions of history, the gain."""
