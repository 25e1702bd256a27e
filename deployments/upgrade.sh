#!/bin/sh
# upgrade.sh FOLDER TAG REGISTRY: bring the stack of a checkout to a tag whose images are in the registry.
# A back-up comes first; the migrations run before anything of the new version starts.
set -eu
folder=${1:?the checkout on this server}
tag=${2:?the tag to go to}
registry=${3:?where the images are}
cd "$folder"
sh deployments/backup.sh "${BACKUPS:-../refit-backups}/$(date -u +%Y%m%dT%H%M%SZ)-before-$tag"
git fetch --tags origin
git checkout --detach "$tag"
export REFIT_IMAGE="$registry/refit:$tag" SERVICE_IMAGE="$registry/refit-service:$tag"
docker compose pull --ignore-buildable
docker pull "$REFIT_IMAGE"
docker pull "$SERVICE_IMAGE"
docker compose up --detach --no-build --wait --remove-orphans
