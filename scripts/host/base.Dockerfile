# A base image for several platforms, for when none can be pulled: this machine's own (NATIVE, made by mmdebstrap) and,
# for another platform, the same packages unpacked. Nothing of the other platform runs, so no emulation is needed: dpkg
# here unpacks the packages and records them, and what their scripts would create (users, certificates, links) is copied
# from NATIVE. Only the loader's cache is left out; the loader works without one.
#
# The context has a folder of .deb files for each architecture to make.
ARG NATIVE
FROM --platform=$BUILDPLATFORM ${NATIVE} AS unpacked
ARG TARGETARCH
RUN --mount=type=bind,target=/packages \
    <<'EOF'
set -eu
mkdir -p /bare /target/var/lib/dpkg
for package in "/packages/$TARGETARCH"/*.deb; do
    dpkg-deb --raw-extract "$package" /package
    for script in config postinst postrm preinst prerm triggers; do
        rm -f "/package/DEBIAN/$script"
    done
    dpkg-deb -Znone --build /package "/bare/${package##*/}" >/dev/null
    rm -r /package
done
echo "$TARGETARCH" >/target/var/lib/dpkg/arch
dpkg --root=/target --force-architecture --force-depends --force-unsafe-io --no-triggers --install /bare/*.deb >/log 2>&1 \
    || { tail /log; exit 1; }
rm -r /bare /log
EOF

# hadolint ignore=DL4006
RUN <<'EOF'
set -eu
# Files that no package owns were made by a script; so were links that are folders in a package.
sort -u /var/lib/dpkg/info/*.list >/owned
find / \( -path /target -o -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/cache -o -path /var/log \
    -o -path /var/lib/apt -o -path /var/lib/dpkg/info -o -name __pycache__ \) -prune -o -print \
    | sort | comm -13 /owned - >/made
find / -path /target -prune -o -path /proc -prune -o -type l -print | while read -r link; do
    [ ! -d "/target$link" ] || [ -L "/target$link" ] || echo "$link" >>/made
done
grep -vxE '/|/owned|/made|/etc/(hosts|hostname|ld\.so\.cache|mtab|resolv\.conf)|/var/lib/dpkg/(arch|lock|status).*' /made \
    | tar -C / --create --no-recursion --files-from - | tar -C /target --extract --preserve-permissions
EOF

FROM scratch AS other
COPY --from=unpacked /target /
CMD ["python3"]

# The native one stays as it is, whichever of the two that is.
FROM ${NATIVE} AS amd64-on-amd64
FROM ${NATIVE} AS arm64-on-arm64
FROM other AS arm64-on-amd64
FROM other AS amd64-on-arm64
# hadolint ignore=DL3006
FROM ${TARGETARCH}-on-${BUILDARCH}
