"""Alembic's entry: runs the migrations on the connection that core.db.migrate hands over."""

from alembic import context

from core.db.text_tables import metadata  # the tables that are imported last bring all others

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
