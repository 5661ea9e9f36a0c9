"""How a database of any earlier version becomes one of today, run by Alembic from inside the package."""
