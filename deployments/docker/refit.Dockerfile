# Everything but the service: Prefect's server and worker, the console, the one-off commands.
# Two layers of ours: the libraries change with the lock, the code with every commit.
FROM python:3.11-slim AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR=/var/cache/pip
COPY deployments/docker/refit.lock deployments/docker/slim.sh /build/
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv /opt/refit \
 && /opt/refit/bin/pip install --no-deps --require-hashes --no-compile -r /build/refit.lock \
 && sh /build/slim.sh /opt/refit

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

# The libraries' stage goes on, for to copy a gigabyte and a half out of it takes longer than to compile it.
FROM libraries
RUN groupadd --gid 10001 refit && useradd --uid 10001 --gid refit --home-dir /home/refit --create-home refit \
 && install -d -o refit -g refit /var/lib/refit
COPY --from=code /opt/code /opt/refit/code
ENV PATH=/opt/refit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=1 \
    OMP_WAIT_POLICY=PASSIVE \
    REFIT_HOME=/var/lib/refit
USER 10001:10001
WORKDIR /var/lib/refit
VOLUME /var/lib/refit
ENTRYPOINT ["python", "-m", "refit.cli"]
CMD ["--help"]
