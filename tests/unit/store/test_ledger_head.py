from alembic.config import Config
from alembic.script import ScriptDirectory

from refit.store.ledger import HEAD, MIGRATIONS


def test_the_ledger_knows_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
