#!/bin/sh
# Makes the Debian package of the programs that are built: packaging/deb.sh PROFILE FOLDER, where PROFILE is cargo's and
# FOLDER gets the package. `make deb` calls it.
#
# debhelper makes it of what `make install` installs, as it makes Debian's own packages: it finds the libraries that the
# programs need, and Debian's rules for permissions, compression and units are its own. That needs a folder for itself, since
# `debian/changelog` has the version, which is to stand in Cargo.toml only.
set -eu

PROFILE=$1
DIST=$(realpath "$2")
PROJECT=$(realpath "$(dirname "$0")/..")
case $PROFILE in
    release) programs=$PROJECT/target/release COMPRESSION= ;;
    # For the tests, which want it soon.
    dev) programs=$PROJECT/target/debug COMPRESSION='-Zgzip -z1' ;;
    *) programs=$PROJECT/target/$PROFILE COMPRESSION= ;;
esac

command -v dh >/dev/null || {
    echo 'a Debian package is made by debhelper: apt-get install debhelper' >&2
    exit 1
}

# A version before 1.0.0 is 1.0.0~rc.1, which Debian sorts before it.
version=$("$programs/runner" --version | sed 's/^runner //; s/-/~/')
# The time of the last change, so that the same source makes the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$PROJECT" log -1 --format=%ct 2>/dev/null || date +%s)}
maintainer=$(sed -n 's/^Maintainer: //p' "$PROJECT/packaging/debian/control")
copyright=$(sed -n 's/^Copyright (c) //p' "$PROJECT/LICENSE-MIT")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cp -R "$PROJECT/packaging/debian" "$work"
cd "$work"
sed -i "s/^Copyright: COPYRIGHT$/Copyright: $copyright/" debian/copyright
cat >debian/changelog <<CHANGELOG
runner ($version-1) unstable; urgency=medium

  * /usr/share/doc/runner/changelog.gz says what has changed.

 -- $maintainer  $(date -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG

# All files belong to root in the package, whoever makes it.
export PROFILE DIST PROJECT COMPRESSION SOURCE_DATE_EPOCH DEB_RULES_REQUIRES_ROOT=no
debian/rules binary
