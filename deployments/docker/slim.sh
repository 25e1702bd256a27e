#!/bin/sh
# slim.sh VENV [service]: name the folder of our code in an environment, drop pip and the libraries' own tests from it, and
# compile it. For the service, also drop headers and sources, and compile just what serving imports: half the size.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)
rm -rf "$packages"/pip "$packages"/pip-* "$packages"/setuptools "$packages"/setuptools-* "$1"/bin/pip*
echo "$1/code" >"$packages/code.pth"
for library in numpy scipy sklearn joblib pandas statsmodels pyarrow matplotlib psutil tornado zmq greenlet; do
  if [ -d "$packages/$library" ]; then
    find "$packages/$library" -type d -name tests -prune -exec rm -rf {} +
  fi
done
if [ "${2:-}" != service ]; then
  "$1"/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$packages" || true # some carry samples of bad code
  exit 0
fi
for library in numpy scipy sklearn joblib psutil tornado zmq greenlet; do
  find "$packages/$library" -type d -name include -prune -exec rm -rf {} +
done
find "$packages" -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.h' -o -name '*.c' \) -delete
rm -rf "$packages"/scipy/datasets "$packages"/sklearn/datasets/data "$packages"/sklearn/datasets/images
find "$packages" -type d -name __pycache__ -prune -exec rm -rf {} +
"$1"/bin/python -c '
import alembic.command, bentoml, httptools, orjson, prometheus_client, psycopg2, pydantic_settings, rich.console
import skops.io, sklearn.ensemble, sklearn.linear_model, sklearn.neighbors, sklearn.neural_network, sklearn.pipeline
import sqlalchemy.dialects.postgresql.psycopg2, structlog, typer, uvicorn.lifespan.on, uvicorn.loops.auto
import uvicorn.protocols.http.auto, uvloop, xgboost, yaml
bentoml.service(type("Any", (), {})).to_asgi()
' || "$1"/bin/python -c 'import bentoml, psycopg2, skops.io, sqlalchemy, xgboost'
