#!/bin/sh
# enter.sh FOLDER LOWER SCRIPT: in namespaces of its own, puts FOLDER/upper over LOWER and runs SCRIPT there.
set -e
folder=$1 at=$1/at
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$2,upperdir=$folder/upper,workdir=$folder/work" "$at"
mount -t proc proc "$at/proc"
mount -t tmpfs -o mode=755 tmpfs "$at/dev"
for device in null zero full random urandom tty; do
	: >"$at/dev/$device"
	mount --bind "/dev/$device" "$at/dev/$device"
done
mkdir "$at/dev/shm" "$at/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$at/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$at/dev/pts"
ln -s pts/ptmx "$at/dev/ptmx"
ln -s /proc/self/fd "$at/dev/fd"
ln -s fd/0 "$at/dev/stdin"
ln -s fd/1 "$at/dev/stdout"
ln -s fd/2 "$at/dev/stderr"
hostname mx.example.com
if [ -e /etc/resolv.conf ]; then cat /etc/resolv.conf >"$at/etc/resolv.conf"; fi
echo '127.0.0.1 localhost mx.example.com mx' >"$at/etc/hosts"
ip link set lo up 2>/dev/null || :
exec chroot "$at" sh -c "$3"
