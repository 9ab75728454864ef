#!/bin/sh
# dependencies.sh LOCKS: install the Python packages that the service runs on, from the lock files in the folder LOCKS,
# into opt/packages of the folder that this is run in. They are wheels for TARGETARCH, those that MODEL_FORMAT needs;
# nothing of them is run. FILE_TIME is the time that every file gets, as touch --date reads it.
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
packages=opt/packages
pip install --quiet --no-compile --target "$packages" --python-version 3.13 --implementation cp \
    --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" --platform "manylinux2014_$machine" \
    -r "$1/$lock"

# What the service never imports: programs, tests, headers, type stubs, and ONNX Runtime's tools for making models.
for unused in bin google flatbuffers numpy/_core/include numpy/_core/lib numpy/_core/*_tests.* \
    numpy/_core/_simd.* onnxruntime/datasets onnxruntime/quantization onnxruntime/tools onnxruntime/transformers; do
    # shellcheck disable=SC2086 # the stars are for the shell
    rm -rf "${packages:?}"/$unused
done
find . -type d \( -name tests -o -name test \) -prune -exec rm -r {} +
find . \( -name '*.pyi' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete

python3 -m compileall -q --invalidation-mode unchecked-hash -s "$PWD" -p / "$PWD"
find . -exec touch --no-dereference --date="$FILE_TIME" {} +
