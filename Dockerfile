# From a table of data to an image that answers. `docker build -t ml-app .` works as it stands; `./ship build` adds
# what makes the result reproducible (the commit's time as SOURCE_DATE_EPOCH) and writes it as an OCI layout.
#
# Nothing below runs for the target's architecture: the build machine's Python installs the target's wheels, trains
# the model once and prepares the files, and the last stage only copies. So another architecture needs no emulation.
#
# Another table: --build-context source=FOLDER --build-arg DATA=wines.csv --build-arg TARGET=quality --build-arg NAME=wine
#
# Behind a TLS-intercepting proxy: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt (mounted, never in a layer).

ARG PYTHON_IMAGE=python:3.13-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM --platform=$BUILDPLATFORM ${PYTHON_IMAGE} AS python
FROM ${PYTHON_IMAGE} AS target
FROM python AS pip
# A virtual environment is the one way to a pip that every Python image shares, Debian's included.
RUN python3 -m venv /opt/pip
# No option that pip reads from here turns a default off: PIP_NO_COMPILE=1 would mean "compile".
ENV PATH=/opt/pip/bin:$PATH \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_REQUIRE_HASHES=1 \
    PIP_ROOT_USER_ACTION=ignore


# Where the table is read from. A build context of this name takes its place: `./ship build` gives the table and its
# description, of this repository or of another.
FROM scratch AS source
COPY training/data/ /training/data/

# The model: trained, measured against its gate, exported, and compared with scikit-learn on every hold-out row.
FROM pip AS training
WORKDIR /src
COPY requirements/training.txt ./
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --quiet --no-compile -r training.txt
COPY app/__init__.py app/
COPY app/model/ app/model/
COPY training/ training/
ARG MODEL_FORMAT=onnx
ARG VERSION=0.0.0
ARG NAME=house-price
ARG DATA=training/data/houses.csv
ARG TARGET=price
RUN --mount=type=bind,from=source,target=/source \
    python -m training --data "/source/$DATA" --target "$TARGET" --out /layer/model \
    --format "$MODEL_FORMAT" --name "$NAME" --version "$VERSION" \
    && find /layer -exec touch --no-dereference --date=@315532800 {} +


# Below, one stage a layer of the image, each with all its parent folders and one constant time on every file: a layer
# whose content did not change keeps its digest from commit to commit, and is neither pushed nor pulled again.

# The target's base, without what only builds, tests and people need: image/base.sh says what it keeps.
FROM python AS base
WORKDIR /layer
RUN --mount=type=bind,from=target,target=/target \
    --mount=type=bind,source=image/base.sh,target=/base.sh \
    sh /base.sh /target

# The packages that the service runs on: wheels for the target, none of them run here.
FROM pip AS dependencies
ARG MODEL_FORMAT=onnx
ARG TARGETARCH
WORKDIR /src
COPY requirements.txt requirements/joblib.txt ./
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    <<'EOF'
set -eu
case "$MODEL_FORMAT" in
    onnx) lock=requirements.txt ;;
    joblib) lock=joblib.txt ;;
    *) echo "MODEL_FORMAT is '$MODEL_FORMAT'; it must be onnx or joblib" >&2; exit 2 ;;
esac
case "$TARGETARCH" in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *) echo "no wheels for the architecture '$TARGETARCH'; there are for amd64 and arm64" >&2; exit 2 ;;
esac
pip install --quiet --no-compile --target /layer/opt/packages --python-version 3.13 --implementation cp \
    --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" --platform "manylinux2014_$machine" \
    -r "$lock"
# What nothing in the service imports: programs, tests, headers and type stubs, and ONNX Runtime's tools for making models.
for unused in bin google flatbuffers numpy/_core/include numpy/_core/lib numpy/_core/*_tests.* \
    numpy/_core/_simd.* onnxruntime/datasets onnxruntime/quantization onnxruntime/tools onnxruntime/transformers; do
    # shellcheck disable=SC2086 # the stars are for the shell
    rm -rf /layer/opt/packages/$unused
done
find /layer -type d \( -name tests -o -name test \) -prune -exec rm -r {} +
find /layer \( -name '*.pyi' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete
python3 -m compileall -q --invalidation-mode unchecked-hash -s /layer -p / /layer
find /layer -exec touch --no-dereference --date=@315532800 {} +
EOF

FROM python AS code
COPY app/ /layer/opt/service/app/
# Git keeps no more of a mode than whether it may run: the rest is the umask of whoever cloned.
RUN chmod -R u=rwX,go=rX /layer \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -s /layer -p / /layer \
    && find /layer -exec touch --no-dereference --date=@315532800 {} +


FROM scratch AS service
COPY --from=base /layer/ /
COPY --from=dependencies /layer/ /
COPY --from=training /layer/ /
COPY --from=code /layer/ /
ARG MODEL_FORMAT=onnx
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG NAME=house-price
ARG DATA=training/data/houses.csv
ARG TARGET=price
ARG LICENSES=MIT
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
