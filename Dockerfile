# The operator and the model downloader, one image: `aimctl` with different arguments.
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/aim-operator:0.1.0 .
#
# Behind a proxy that signs with a certificate of its own, use a BASE that trusts it, and
# --build-arg PIP_CERT=/etc/ssl/certs/ca-certificates.crt.
# hack/cluster/operator_image.py builds this very file for the tests, on a Debian base made without a registry.

# Any Debian or Python image with Python 3.11 and its venv module. A release gives it by digest:
# --build-arg BASE=docker.io/library/python:3.11-slim-bookworm@sha256:…
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
ARG PIP_CERT
# Trust what the base trusts, take its Python, and copy instead of linking into a cache that is left behind.
ENV UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/dependencies
# The version of uv.lock, which this uv is needed to read.
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir 'uv==0.13.9'
WORKDIR /source
COPY pyproject.toml uv.lock ./
# The root filesystem is read-only at run time, so bytecode is written now.
RUN /opt/uv/bin/uv sync --frozen --no-default-groups --extra otel --no-install-project --compile-bytecode --quiet

FROM dependencies AS project
COPY README.md LICENSE ./
COPY examples examples
COPY docs/reference/reasons.md docs/reference/reasons.md
COPY src src
# The build backend comes from the lock too, with its hashes.
RUN UV_PROJECT_ENVIRONMENT=/opt/build /opt/uv/bin/uv sync --frozen --only-group build --quiet \
 && /opt/uv/bin/uv build --quiet --wheel --no-build-isolation --python /opt/build/bin/python --out-dir /opt/wheel
# Apart from the dependencies: an upgrade that changes only this layer is a pull of a few hundred kB.
RUN /opt/uv/bin/uv pip install --quiet --no-deps --no-index --compile-bytecode \
    --python /opt/dependencies/bin/python --target /opt/aim-operator /opt/wheel/*.whl

FROM ${BASE}
# A release adds version and revision.
LABEL org.opencontainers.image.title="aim-operator" \
      org.opencontainers.image.description="Turns a catalog of AI model images into inference services" \
      org.opencontainers.image.source="https://github.com/silogen/aim-operator" \
      org.opencontainers.image.url="https://github.com/silogen/aim-operator" \
      org.opencontainers.image.documentation="https://github.com/silogen/aim-operator/tree/main/docs" \
      org.opencontainers.image.vendor="The aim-operator authors" \
      org.opencontainers.image.licenses="MIT"
COPY --from=dependencies /opt/dependencies /opt/dependencies
COPY --from=project /opt/aim-operator /opt/aim-operator
ENV PATH=/opt/aim-operator/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/aim-operator \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["aimctl"]
