"""Runs the steps on the connection that `schema.migrate` holds, inside its transaction: all of them or none."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
