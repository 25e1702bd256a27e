#!/bin/sh
# restore.sh FOLDER: bring a back-up into an empty stack. Roles and passwords are those of this stack's .env.
# It refuses where there are ledger rows already: a restore never mixes two histories.
set -eu
folder=${1:?name the folder of a back-up}
compose=${COMPOSE:-docker compose}
(cd "$folder" && sha256sum --check --quiet SHA256SUMS)

$compose up -d --wait --no-build postgres
sql() { $compose exec -T postgres psql --username=postgres --no-psqlrc --tuples-only --no-align --dbname="$1" --command="$2"; }
if [ -n "$(sql ledger "SELECT 1 FROM pg_namespace WHERE nspname = 'refit'")" ]; then
  echo "this stack has a ledger already; restore into an empty one (docker compose down --volumes deletes this one)" >&2
  exit 2
fi
for database in ledger source prefect; do
  $compose exec -T postgres pg_restore --username=postgres --dbname="$database" --clean --if-exists --exit-on-error \
    --single-transaction <"$folder/$database.dump"
done
# An older back-up has the spool in home.tar.gz, with notes how far the mover was at a later moment than its ledger's.
# Without them all is moved again, and what the ledger has is told by its id.
for archive in "$folder/home.tar.gz" "$folder/spool.tar.gz"; do
  [ -e "$archive" ] || continue
  $compose run --rm --no-deps -T --entrypoint tar lender \
    --extract --gzip --directory=/var/lib/refit --exclude='./spool/*.moved' <"$archive"
done
echo "restored; now: docker compose up --wait"
