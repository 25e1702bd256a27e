#!/bin/sh
# backup.sh FOLDER: keep the three databases and the home volume (lake, bundles, Bentos, reports) in an empty folder.
# The stack goes on meanwhile. The databases go first: whatever a ledger row names is on the disk before the row is
# written and is never changed, so the files of a later moment hold all that an earlier ledger speaks of.
# Prometheus' history is not kept. COMPOSE names another compose command, such as `docker compose -p other`.
set -eu
umask 077
folder=${1:?name a folder for the back-up}
compose=${COMPOSE:-docker compose}
mkdir -p "$folder"
if [ -n "$(ls -A "$folder")" ]; then
  echo "$folder is not empty; a back-up is never written over" >&2
  exit 2
fi
for database in ledger source prefect; do
  $compose exec -T postgres pg_dump --username=postgres --format=custom "$database" >"$folder/$database.dump"
done
# tar ends with 1 where a file changed while it was read: the spool, whose readers expect a torn end.
$compose run --rm --no-deps -T --entrypoint tar lender \
  --create --gzip --directory=/var/lib/refit --warning=no-file-changed . >"$folder/home.tar.gz" || [ $? -eq 1 ]
(cd "$folder" && sha256sum ./*.dump home.tar.gz >SHA256SUMS)
echo "kept in $folder:"
ls -lh "$folder"
