"""A file of records as the lake would hold it, without a database in between."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from refit.intake.loading import Seen, load_rows
from refit.intake.validate import lake_schema, source_columns, validate
from refit.usecase.model import UseCase

CHUNK = 50_000


def records(path: Path, usecase: UseCase, loaded_at: datetime) -> pa.Table:
    """Return the accepted records of a CSV file, typed as a batch of the lake."""
    with pyarrow.csv.open_csv(path) as opened:
        names = opened.schema.names
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    parsed = pyarrow.csv.ParseOptions(newlines_in_values=True)
    read = pyarrow.csv.read_csv(path, convert_options=options, parse_options=parsed)
    seen, batches = Seen(), []
    for raw in read.to_batches(CHUNK):
        rows = load_rows(raw, usecase, seen, loaded_at).rows
        batches.append(validate(rows.select(source_columns(usecase)), usecase).records)
    return pa.Table.from_batches(batches, lake_schema(usecase))
