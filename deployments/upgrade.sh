#!/bin/sh
# upgrade.sh FOLDER TAG REGISTRY: bring the stack of a checkout to a tag whose images are in the registry.
# A back-up comes first; the migrations run before anything of the new version starts. The images are named in .env, so
# that a later `docker compose up` starts the same ones.
set -eu

upgrade() {
  folder=${1:?the checkout on this server}
  tag=${2:?the tag to go to}
  registry=${3:?where the images are}
  cd "$folder"
  sh deployments/backup.sh "${BACKUPS:-../refit-backups}/$(date -u +%Y%m%dT%H%M%SZ)-before-$tag"
  git fetch --tags origin
  git checkout --detach "$tag"
  docker pull "$registry/refit:$tag"
  docker pull "$registry/refit-service:$tag"
  docker compose pull --ignore-buildable
  (
    umask 077
    grep -v -e '^REFIT_IMAGE=' -e '^SERVICE_IMAGE=' .env >.env.new
    printf 'REFIT_IMAGE=%s\nSERVICE_IMAGE=%s\n' "$registry/refit:$tag" "$registry/refit-service:$tag" >>.env.new
  )
  mv .env.new .env
  docker compose up --detach --no-build --wait --remove-orphans
}

# Over SSH this file comes in on standard input, which none of its commands may read on.
upgrade "$@" </dev/null
