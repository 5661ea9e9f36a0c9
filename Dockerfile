# The image of our helper pods and Jobs: `lading` with its core dependencies, nothing else.
#
#   docker build -t lading .
#   docker build -t lading --build-arg BASE=registry.example/python:3.12-slim .
#
# In an air gap, put the wheels of requirements/image.txt and requirements/build.txt into the folder wheelhouse/ first,
# for the base's Python (`pip download --require-hashes -r … -d wheelhouse`); then no stage needs a network:
#
#   docker build -t lading --network none --build-arg BASE=… .
#
# The base needs Python >= 3.11 with venv as `python3`. The same base runs the result: the interpreter is not copied.
ARG BASE=docker.io/library/python:3.13-slim

# ------------------------------------------------------------------------------------- the dependencies, locked by hash
FROM ${BASE} AS dependencies
COPY requirements/image.txt requirements/build.txt wheelhouse* /wheelhouse/
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/lading
RUN set -e; cd /wheelhouse; offline=; if ls ./*.whl >/dev/null 2>&1; then offline="--no-index --find-links ."; fi; \
    pip="/build/bin/pip --disable-pip-version-check --no-cache-dir"; \
    $pip install --quiet $offline --only-binary :all: --require-hashes -r build.txt; \
    $pip --python /opt/lading/bin/python3 install --quiet $offline --only-binary :all: --require-hashes -r image.txt
# botocore describes four hundred services in 25 MB; we speak to an object store and to what gives credentials for it.
RUN set -e; cd /opt/lading/lib/python3*/site-packages; \
    find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin \
      -exec rm -rf {} +; \
    find . -depth -type d -name tests -exec rm -rf {} +

# --------------------------------------------------------------------------------- our wheel, laid out over /opt/lading
FROM dependencies AS ours
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN set -e; pip="/build/bin/pip --disable-pip-version-check --no-cache-dir"; \
    $pip wheel --quiet --no-deps --no-index --no-build-isolation -w /wheel /src; \
    $pip --python /opt/lading/bin/python3 install --quiet --no-deps --no-index --root /ours --prefix /opt/lading \
      /wheel/*.whl

# ------------------------------------------------------------------------------------------------------------ the image
FROM ${BASE}
COPY --from=dependencies /opt/lading /opt/lading
COPY --from=ours /ours/ /
# Compiled above; nothing is written at run time, so that a read-only root and any user will do (OpenShift gives one).
ENV PATH=/opt/lading/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:0
WORKDIR /tmp
ENTRYPOINT ["lading"]
