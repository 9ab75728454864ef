# A stand-in for the official python:3.13-slim-trixie where no registry can be reached: the same layout, with Python in
# /usr/local, built with the same options and packages, from the source of Debian's package instead of python.org's.
# What it follows: https://github.com/docker-library/python/blob/master/3.13/slim-trixie/Dockerfile
ARG PYTHON_IMAGE
# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS debian
RUN apt-get purge -qq -y --auto-remove python3 python3-venv

FROM debian AS build
RUN cat /etc/apt/sources.list.d/*.list | sed 's/^deb /deb-src /' >/etc/apt/sources.list.d/source.list \
    && apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends dpkg-dev gcc libbz2-dev libc6-dev libdb-dev libffi-dev \
        libgdbm-dev liblzma-dev libncursesw5-dev libreadline-dev libsqlite3-dev libssl-dev make uuid-dev zlib1g-dev
WORKDIR /source
RUN apt-get source -qq python3.13 && mv python3.13-*/* .
# Optimised (--enable-optimizations --with-lto) it takes half an hour more, and is laid out the same. Debian's source
# refuses --with-ensurepip for a Python outside a virtual environment.
RUN ./configure -q --enable-loadable-sqlite-extensions --enable-option-checking=fatal --enable-shared --with-ensurepip=no \
    && make -s -j "$(nproc)" LDFLAGS=-Wl,--strip-all \
    && rm python \
    && make -s -j "$(nproc)" "LDFLAGS=-Wl,--strip-all,-rpath='\$\$ORIGIN/../lib'" python
RUN make -s install \
    && find /usr/local -depth \( -type d -a \( -name test -o -name tests -o -name idle_test \) \
        -o -type f -a \( -name '*.pyc' -o -name 'libpython*.a' \) \) -exec rm -rf {} + \
    && for program in idle3 pydoc3 python3 python3-config; do \
        ln -s "$program" "/usr/local/bin/$(echo "$program" | tr -d 3)"; \
    done
# The packages whose libraries are loaded.
RUN find /usr/local -type f -executable -not -name '*tkinter*' -exec ldd {} ';' 2>/dev/null \
    | awk '/=>/ && $(NF-1) !~ "^/usr/local/" { sub("^/(usr/)?", "", $(NF-1)); print "*" $(NF-1) }' | sort -u \
    | xargs -r dpkg-query --search | awk 'sub(":$", "", $1) { print $1 }' | sort -u >/packages

FROM debian
RUN --mount=type=bind,from=build,source=/packages,target=/packages \
    apt-get update -qq \
    && xargs apt-get install -qq -y --no-install-recommends netbase tzdata </packages \
    && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/ /usr/local/
RUN ldconfig && PYTHONDONTWRITEBYTECODE=1 python3 --version
ENV PATH=/usr/local/bin:$PATH
CMD ["python3"]
