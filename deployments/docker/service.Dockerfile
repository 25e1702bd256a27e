# The served model alone: no Prefect, no Evidently, no pandas, no Arrow. It swaps releases without a restart.
# Two layers of ours: the libraries change with the lock, the code with every commit.
FROM python:3.11-slim AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR=/var/cache/pip
COPY deployments/docker/service.lock deployments/docker/slim.sh /build/
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv /opt/refit \
 && /opt/refit/bin/pip install --no-deps --require-hashes --only-binary :all: --no-compile -r /build/service.lock \
 && sh /build/slim.sh /opt/refit service

FROM python:3.11-slim AS code
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR=/var/cache/pip
COPY pyproject.toml README.md prefect.yaml /build/
COPY src /build/src
COPY flows /build/flows
COPY bentos /build/bentos
COPY db /build/db
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv /build/venv \
 && /build/venv/bin/pip install --no-deps --no-compile --target /opt/code /build \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/code

# What runs Python and no more: without a package manager, Perl and manuals, the base is half as large.
FROM python:3.11-slim AS base
RUN groupadd --gid 10001 refit && useradd --uid 10001 --gid refit --no-create-home --home-dir /tmp refit \
 && install -d -o refit -g refit /var/lib/refit \
 && rm -rf /var/cache/* /var/lib/apt /var/lib/dpkg/info /usr/share/doc /usr/share/man /usr/share/locale /usr/share/perl* \
      /usr/lib/*/perl* /usr/bin/perl* /usr/bin/apt* /usr/bin/dpkg* /usr/lib/apt /usr/share/python-wheels \
      /usr/lib/python3/dist-packages /usr/local/lib/python3.11/site-packages/pip* /usr/local/lib/python3.11/ensurepip

FROM scratch
# hadolint ignore=DL3067
COPY --from=base / /
COPY --from=libraries /opt/refit /opt/refit
COPY --from=code /opt/code /opt/refit/code
ENV PATH=/opt/refit/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=1 \
    BENTOML_DO_NOT_TRACK=True \
    REFIT_HOME=/var/lib/refit
USER 10001:10001
WORKDIR /var/lib/refit
VOLUME /var/lib/refit
EXPOSE 3000
ENTRYPOINT ["python", "-m", "refit.cli", "serve"]
CMD ["demo"]
