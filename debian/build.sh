#!/bin/sh
# Builds the package from the last commit into dist/, in a copy of its own: `make deb`.
#
# Promises: the work tree stays as it is, nothing is fetched, the same commit on the same release gives the same bytes.
# Refuses: to build what is not committed (it says so).
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
if [ -n "$(git -C "$root" status --porcelain)" ]; then
	echo 'make deb builds the last commit; changes that are not committed are left out' >&2
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM HUP
mkdir "$copy/tidegate"
git -C "$root" archive HEAD | tar -x -C "$copy/tidegate"
cd "$copy/tidegate"
# The caller's Python, language and umask are none of the package's business.
umask 022
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$copy" LC_ALL=C.UTF-8 dpkg-buildpackage -b -us -uc >"$copy/log" 2>&1 || {
	cat "$copy/log" >&2
	exit 1
}
mkdir -p "$root/dist"
mv "$copy"/tidegate_* "$root/dist/"
cd "$root/dist"
sha256sum tidegate_*.deb
