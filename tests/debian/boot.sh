#!/bin/sh
# boot.sh FOLDER LOWER INIT: in namespaces of its own, puts FOLDER/upper over LOWER and becomes the init of what is there.
set -e
folder=$1 at=$1/at
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$2,upperdir=$folder/upper,workdir=$folder/work" "$at"
mount -t proc proc "$at/proc"
mount -t sysfs -o ro sysfs "$at/sys"
mount -t cgroup2 cgroup2 "$at/sys/fs/cgroup"
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
mount -t tmpfs -o mode=755 tmpfs "$at/run"
# sysvinit notes its runlevel there.
: >"$at/run/utmp"
hostname mx.example.com
echo '127.0.0.1 localhost mx.example.com mx' >"$at/etc/hosts"
ip link set lo up
# Not chroot(8): the kernel makes no user namespace (PrivateUsers=) for a process whose root is not its mount namespace's.
mkdir "$at/run/before"
cd "$at"
pivot_root . run/before
umount -l /run/before
exec env -i container=tidegate-test PATH=/usr/sbin:/usr/bin:/sbin:/bin "$3" </dev/null
