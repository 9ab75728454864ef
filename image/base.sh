#!/bin/sh
# base.sh ROOT: copy the base image from ROOT to the folder that this is run in, without what only builds, tests and
# people need. FILE_TIME is the time that every file gets, as touch --date reads it.
# Packages stay or go whole, and from dpkg's record too, so that scanners see what is there.
set -eu

# What stays: a shell, coreutils, certificates, and the libraries that Python and its packages load.
kept="base-files base-passwd ca-certificates coreutils dash gcc-14-base libacl1 libattr1 libbz2-1.0 libc-bin libc6
    libcap2 libffi8 libgcc-s1 libgmp10 liblzma5 libncursesw6 libpcre2-8-0 libreadline8t64 libselinux1 libsqlite3-0
    libssl3t64 libstdc++6 libtinfo6 libuuid1 libzstd1 ncurses-base netbase readline-common zlib1g"
# Python itself: Debian's packages. The official image has it in /usr/local instead, where dpkg knows nothing of it.
debian_python="libexpat1 libpython3-stdlib libpython3.13-minimal libpython3.13-stdlib media-types python3
    python3-minimal python3.13 python3.13-minimal"

cp -a "$1/." .
[ -x usr/local/bin/python3.13 ] || kept="$kept $debian_python"
record=var/lib/dpkg
installed=$(sed -n 's/^Package: //p' $record/status | tr '\n' ' ')
# shellcheck disable=SC2086,SC2116 # one line, one space between two names
kept=$(echo $kept)
for package in $kept; do
    case " $installed " in *" $package "*) continue ;; esac
    echo "the base image has no package $package, which image/base.sh keeps" >&2
    exit 1
done

# What a kept package owns stays, whoever else lists it: /lib is a link of base-files, and a folder to others.
for package in $kept; do
    cat "$record/info/$package.list" "$record/info/$package:"*.list 2>/dev/null || true
done >owned
for package in $installed; do
    case " $kept " in *" $package "*) continue ;; esac
    echo "left out: $package"
    for list in "$record/info/$package.list" "$record/info/$package:"*.list; do
        [ -f "$list" ] || continue
        grep -vxFf owned "$list" | while read -r path; do
            [ -d ".$path" ] && [ ! -L ".$path" ] || rm -f ".$path"
        done
        for script in conffiles config list md5sums postinst postrm preinst prerm shlibs symbols templates triggers; do
            rm -f "${list%list}$script"
        done
    done
    awk -v RS= -v ORS='\n\n' -v name="Package: $package" 'substr($0, 1, length(name) + 1) != name "\n"' \
        $record/status >status
    mv status $record/status
done
rm owned

for lib in usr/lib/python3.13 usr/local/lib/python3.13; do
    [ -d "$lib" ] || continue
    for unused in ensurepip idlelib pydoc_data site-packages test tkinter turtledemo; do
        rm -rf "${lib:?}/$unused"
    done
    rm -rf "$lib"/config-3.13-* # for linking with Python
    for unused in '*test*' 'xx*' _dbm _gdbm _tkinter; do
        find "$lib" -name "$unused.cpython-*.so" -delete
    done
done
rm -rf usr/local/bin/pip* usr/local/bin/idle* usr/local/bin/pydoc* usr/share/python-wheels
rm -rf usr/share/doc usr/share/man usr/share/info usr/share/locale usr/include usr/local/include
rm -rf usr/local/lib/pkgconfig
# Python has its character sets, certificates come as one bundle, and no terminal is drawn on.
rm -rf usr/lib/*/gconv usr/share/ca-certificates usr/share/terminfo
find etc/ssl/certs -type l -delete
rm -rf var/lib/apt var/lib/pam var/lib/dpkg/*-old etc/apt etc/alternatives etc/pam.d
rm -rf var/cache/* var/log/* tmp/* root/.cache
rm -rf dev/* etc/machine-id etc/hostname etc/hosts etc/resolv.conf

# Compiled anew: what is compiled in a base image holds the time of its source.
find . -name __pycache__ -type d -prune -exec rm -r {} +
for lib in usr/lib/python3.13 usr/local/lib/python3.13; do
    [ ! -d "$lib" ] || python3 -m compileall -q --invalidation-mode unchecked-hash -s "$PWD" -p / "$PWD/$lib"
done
find . -exec touch --no-dereference --date="$FILE_TIME" {} +
