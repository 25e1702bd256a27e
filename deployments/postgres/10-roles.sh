#!/bin/sh
# One server, three databases, and a role for each use: run once, when the volume is empty.
# The lender owns the source; refit only reads it, owns the ledger, and sees nothing of Prefect's.
set -eu

for name in LENDER_PASSWORD READER_PASSWORD LEDGER_PASSWORD PREFECT_PASSWORD; do
  eval "value=\${$name:-}"
  if [ -z "$value" ]; then
    echo "$name is not set; see .env.example" >&2
    exit 1
  fi
done

psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  -v lender="$LENDER_PASSWORD" -v reader="$READER_PASSWORD" -v ledger="$LEDGER_PASSWORD" -v prefect="$PREFECT_PASSWORD" <<'SQL'
CREATE ROLE lender LOGIN PASSWORD :'lender';
CREATE ROLE refit_reader LOGIN PASSWORD :'reader';
CREATE ROLE refit LOGIN PASSWORD :'ledger';
CREATE ROLE prefect LOGIN PASSWORD :'prefect';
CREATE DATABASE source OWNER lender;
CREATE DATABASE ledger OWNER refit;
CREATE DATABASE prefect OWNER prefect;
REVOKE ALL ON DATABASE source, ledger, prefect FROM PUBLIC;
GRANT CONNECT ON DATABASE source TO refit_reader;
\connect prefect
CREATE EXTENSION IF NOT EXISTS pg_trgm;
\connect source
CREATE SCHEMA source AUTHORIZATION lender;
GRANT USAGE ON SCHEMA source TO refit_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE lender IN SCHEMA source GRANT SELECT ON TABLES TO refit_reader;
SQL
