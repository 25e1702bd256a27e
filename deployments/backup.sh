#!/bin/sh
# backup.sh FOLDER: keep the three databases and the home volume (lake, bundles, Bentos, reports, and the spool with
# what of the decision log waits) in an empty folder. The stack goes on meanwhile, so the order counts:
# - The spool goes before the ledger, for what waits in it moves to the ledger: read later, it would lack what the
#   ledger of that moment did not have yet. What is in both is told by its id. The notes how far a segment was moved
#   stay out: they speak of another moment, and the mover would pass over what the kept ledger lacks.
# - The rest of the home goes after the databases: whatever a ledger row names is on the disk before the row is written
#   and is never changed, so the files of a later moment hold all that an earlier ledger speaks of.
# What was answered before the back-up began is in it; what is answered meanwhile may be.
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
# archive WHAT WITHOUT: write an archive of it, empty where it is absent.
# tar ends with 1 where a file changed or went while it was read: the spool, whose readers expect a torn end. The shell
# in the container allows for that, and for no other 1: compose itself ends with 1 where it could start nothing.
archive() {
  # shellcheck disable=SC2016 # these are the variables of the shell in the container
  $compose run --rm --no-deps -T --entrypoint sh lender -euc '
    cd /var/lib/refit
    [ -e "$1" ] || set -- --files-from=/dev/null "$2"
    tar --create --gzip --warning=no-file-changed --exclude="$2" "$1" || [ $? -eq 1 ]' archive "$1" "$2"
}
archive ./spool '*.moved' >"$folder/spool.tar.gz"
for database in ledger source prefect; do
  $compose exec -T postgres pg_dump --username=postgres --format=custom "$database" >"$folder/$database.dump"
done
archive . ./spool >"$folder/home.tar.gz"
(cd "$folder" && sha256sum ./*.dump spool.tar.gz home.tar.gz >SHA256SUMS)
echo "kept in $folder:"
ls -lh "$folder"
