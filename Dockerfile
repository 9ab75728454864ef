# From a table of data to an image that answers. `docker build -t ml-app .` works as it stands; `./ship build` adds
# what makes the result reproducible (the commit's time as SOURCE_DATE_EPOCH) and writes it as an OCI layout.
#
# Nothing below runs for the target's architecture: the build machine's Python installs the target's wheels, trains
# the model once and prepares the files, and the last stage only copies. So another architecture needs no emulation.
#
# Another table: --build-context source=FOLDER --build-arg DATA=wines.csv --build-arg TARGET=quality --build-arg NAME=wine
#
# Behind a TLS-intercepting proxy: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt (mounted, never in a layer).

# Where everything starts. Another base: --build-arg PYTHON_IMAGE=…
ARG PYTHON_IMAGE=python:3.13-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
# The table, its column to predict, and what the model made of it is called.
ARG DATA=training/data/houses.csv
ARG TARGET=price
ARG NAME=house-price
ARG VERSION=0.0.0
# onnx or joblib.
ARG MODEL_FORMAT=onnx
# What the labels say of the commit.
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG LICENSES=MIT
# The time of every file in the image: 1980-01-01, the earliest that a zip archive can hold.
ARG FILE_TIME=@315532800


# The build machine's Python, which does all the work.
FROM --platform=$BUILDPLATFORM ${PYTHON_IMAGE} AS python

# The target's Python, which is only copied from.
FROM ${PYTHON_IMAGE} AS target

# pip, in a virtual environment: the one way to it that every Python image shares, Debian's included.
FROM python AS pip
RUN python3 -m venv /opt/pip
# No option that pip reads from here turns a default off: PIP_NO_COMPILE=1 would mean "compile".
ENV PATH=/opt/pip/bin:$PATH \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_REQUIRE_HASHES=1 \
    PIP_ROOT_USER_ACTION=ignore

# The table and its description: a build context named "source" takes the place of this stage, as in `./ship build`.
FROM scratch AS source
COPY training/data/ /training/data/


# Four stages, one for each layer of the image, in /layer with all parent folders. Every file has FILE_TIME, so a layer
# whose content did not change keeps its digest from commit to commit, and is neither pushed nor pulled again.

# Layer 1: the target's base, without what only builds, tests and people need; image/base.sh says what stays.
FROM python AS base
ARG FILE_TIME
WORKDIR /layer
RUN --mount=type=bind,from=target,target=/target \
    --mount=type=bind,source=image/base.sh,target=/base.sh \
    sh /base.sh /target

# Layer 2: the Python packages that the service runs on, as wheels for the target; none of them is run here.
FROM pip AS dependencies
ARG FILE_TIME
ARG MODEL_FORMAT
ARG TARGETARCH
COPY requirements.txt requirements/joblib.txt /locks/
WORKDIR /layer
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=image/dependencies.sh,target=/dependencies.sh \
    sh /dependencies.sh /locks

# Layer 3: the model: trained, measured against its gate, exported, compared with scikit-learn on every hold-out row.
FROM pip AS training
ARG FILE_TIME
WORKDIR /src
COPY requirements/training.txt ./
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --quiet --no-compile -r training.txt
COPY app/__init__.py app/
COPY app/model/ app/model/
COPY training/ training/
ARG MODEL_FORMAT
ARG VERSION
ARG NAME
ARG DATA
ARG TARGET
RUN --mount=type=bind,from=source,target=/source \
    python -m training --data "/source/$DATA" --target "$TARGET" --out /layer/model \
    --format "$MODEL_FORMAT" --name "$NAME" --version "$VERSION" \
    && find /layer -exec touch --no-dereference --date="$FILE_TIME" {} +

# Layer 4: the service.
FROM python AS code
ARG FILE_TIME
COPY app/ /layer/opt/service/app/
# Git keeps no more of a mode than whether a file may run: the rest is the umask of whoever cloned.
RUN chmod -R u=rwX,go=rX /layer \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -s /layer -p / /layer \
    && find /layer -exec touch --no-dereference --date="$FILE_TIME" {} +


# The image: the four layers, what is said of them, and how they are started.
FROM scratch AS service
COPY --from=base /layer/ /
COPY --from=dependencies /layer/ /
COPY --from=training /layer/ /
COPY --from=code /layer/ /
ARG MODEL_FORMAT
ARG VERSION
ARG REVISION
ARG CREATED
ARG NAME
ARG DATA
ARG TARGET
ARG LICENSES
LABEL org.opencontainers.image.title="$NAME" \
      org.opencontainers.image.description="Predicts $TARGET with a scikit-learn model, over HTTP" \
      org.opencontainers.image.licenses="$LICENSES" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      com.shipshape.model.data="$DATA" \
      com.shipshape.model.target="$TARGET" \
      com.shipshape.model.format="$MODEL_FORMAT"
ENV PATH=/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONPATH=/opt/service:/opt/packages \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MODEL_DIR=/model \
    IMAGE_VERSION="$VERSION" \
    IMAGE_REVISION="$REVISION"
USER 65532:65532
EXPOSE 5000
STOPSIGNAL SIGTERM
ENTRYPOINT ["python3", "-m", "app"]
CMD ["serve"]
