"""How Alembic runs here: on the connection that `Ledger.migrate` hands over, inside its transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="refit",
    include_schemas=True,
)
context.run_migrations()
