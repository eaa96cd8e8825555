# Starts systemd as the first process of a Debian system in a directory: sh boot.sh ROOT CGROUP
#
# It has namespaces of its own but for the network, a group of the control groups' second version that is made for it, and a few
# devices. What would change the kernel, which is this machine's, is not started. (With /proc/sys mounted read-only no service with
# users of its own would get a /proc: mount_namespaces(7).)
set -eu
root=$1
mkdir "$2"
echo $$ >"$2/cgroup.procs"
# shellcheck disable=SC2016 # expanded by the other shell
exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child --propagation private -- sh -euc '
root=$0
mount --bind "$root" "$root"
mkdir -p "$root/sys" "$root/old"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
    # shellcheck disable=SC2086 # a name and a number
    set -- $device
    mknod -m 666 "$root/dev/$1" c 1 "$2"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
: >"$root/etc/machine-id"
for unit in systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    systemd-udevd.service systemd-udev-trigger.service systemd-random-seed.service systemd-pstore.service; do
    ln -s /dev/null "$root/etc/systemd/system/$unit"
done
cd "$root"
pivot_root . old
umount -l old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=console
' "$root" </dev/null
