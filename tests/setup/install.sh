#!/bin/sh
# Install the Debian packages that a target of the Makefile needs: install.sh demo|test|bench|rival|check|offline|deb|roots
#
# Promises: says nothing and is quick (one dpkg-query) when nothing is missing, one line where it installs, and all that
# apt said where that fails; starts no service (policy-rc.d), asks no question, and waits two minutes for another apt;
# gives Postfix no configuration where it had none, so that it serves nobody after the next boot either.
# As anybody but root it prints the one command to run and exits 2.
set -eu

target=${1:?install.sh demo|test|bench|rival|check|offline|deb|roots}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

case $target in
    demo) kinds='run demo' ;;
    test) kinds='run demo test' ;;
    check) kinds='run test' ;;
    offline) kinds='run test offline' ;;
    bench) kinds='run demo test bench' ;;
    deb) kinds='run deb' ;;
    roots) kinds='roots' ;; # throw-away systems, in which the package is installed
    rival) kinds='rival' ;; # what the benchmark compares with, and can do without
    *) echo "install.sh: no target $target" >&2; exit 64 ;;
esac

needs_root() {
    echo "make $target needs root, because it $1. Run" >&2
    echo >&2
    echo "    sudo make -C $root ${target%offline}" >&2
    echo >&2
    exit 2
}

# Postfix's master wants root too, so root it is even where no package is missing.
if [ "$(id -u)" -ne 0 ] && [ "$target" != check ] && [ "$target" != offline ] && [ "$target" != deb ]; then
    needs_root 'installs Debian packages and starts a private Postfix'
fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "make $target installs Debian packages (listed in $here/packages.txt); this is not Debian" >&2
    exit 2
fi

# "name status" of all that is installed among the listed packages, in one call; unknown names are no error here.
names=$(sed -e 's/#.*//' -e 's/^[a-z]* *//' -e 's/|/ /g' "$here/packages.txt")
# shellcheck disable=SC2086
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $names 2>/dev/null | sed -n 's/ installed$//p' || :)

# The wanted rows of which no alternative is installed, one a line.
missing=$(awk -v kinds="$kinds" -v installed="$installed" '
    BEGIN {
        count = split(kinds, words, " "); for (i = 1; i <= count; i++) wanted[words[i]] = 1
        count = split(installed, words, "\n"); for (i = 1; i <= count; i++) have[words[i]] = 1
    }
    /^#/ || !NF { next }
    wanted[$1] {
        found = 0
        for (i = 2; i <= NF; i++) if ($i in have) found = 1
        if (!found) { $1 = ""; gsub(/\|/, ""); print }
    }' "$here/packages.txt")

[ -n "$missing" ] || exit 0
[ "$(id -u)" -eq 0 ] || needs_root "installs $(echo $missing)"

export DEBIAN_FRONTEND=noninteractive
known() { apt-cache show --no-all-versions "$1" >/dev/null 2>&1; }

choose() { # the first alternative of each row that apt knows
    echo "$missing" | while read -r row; do
        for name in $row; do
            if known "$name"; then echo "$name"; break; fi
        done
    done
}

chosen=$(choose)
if [ "$(echo "$chosen" | grep -c .)" -ne "$(echo "$missing" | grep -c .)" ]; then
    echo 'apt-get update' >&2
    apt-get update -qq >&2
    chosen=$(choose)
fi
if [ "$(echo "$chosen" | grep -c .)" -ne "$(echo "$missing" | grep -c .)" ]; then
    echo "apt knows no package for one of these rows:" >&2
    echo "$missing" >&2
    exit 2
fi

made=
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
trap 'rm -f "$log" $made' EXIT
trap 'exit 130' INT TERM HUP
if [ ! -e "$policy" ]; then
    made=$policy
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
if echo "$chosen" | grep -qx postfix && [ ! -e /etc/postfix/main.cf ]; then
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
fi

install() {
    # shellcheck disable=SC2086
    apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 $chosen >"$log" 2>&1
}
# shellcheck disable=SC2086 # one line
echo "apt-get install" $chosen >&2
if ! install; then
    # Package lists that are older than the archive name files that are gone.
    apt-get update -qq >&2
    install || { cat "$log" >&2; exit 2; }
fi
