# Makes a Debian system of this machine's own packages: sh minimal.sh ROOT
#
# Those that every Debian has (essential) and systemd, with what they depend on, and nothing else: no Python, no libzmq. Files are
# copied as they are here, so nothing is fetched; documents and translations are left out.
set -eu
root=$1

mkdir -p "$root/usr"
for directory in bin sbin lib lib64; do
    mkdir "$root/usr/$directory"
    ln -s "usr/$directory" "$root/$directory"
done
wanted=$(dpkg-query -W -f '${Essential} ${Package}\n' | sed -n 's/^yes //p')
# shellcheck disable=SC2086 # a list
closure=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances $wanted systemd | grep '^[a-z0-9]' | sort -u)
# shellcheck disable=SC2086 # a list
packages=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $closure 2>/dev/null | sed -n 's/^installed //p' | sort -u)
# shellcheck disable=SC2086 # a list
dpkg-query -L $packages | sort -u | grep -vE '^/usr/share/(doc|man|locale|info|lintian)/' |
    tar -C / --no-recursion --ignore-failed-read -cf - -T - 2>/dev/null | tar -C "$root" --keep-directory-symlink -xf -

mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/proc" "$root/dev" "$root/run" "$root/tmp" "$root/var/log"
[ -e "$root/var/run" ] || ln -s /run "$root/var/run"
# shellcheck disable=SC2086 # a list
dpkg-query -s $packages >"$root/var/lib/dpkg/status"
touch "$root/var/lib/dpkg/available"
for package in $packages; do
    for file in /var/lib/dpkg/info/"$package".* /var/lib/dpkg/info/"$package":*.*; do
        if [ -e "$file" ]; then cp "$file" "$root/var/lib/dpkg/info/"; fi
    done
done
# As base-passwd makes them on a new system.
cp /usr/share/base-passwd/passwd.master "$root/etc/passwd"
cp /usr/share/base-passwd/group.master "$root/etc/group"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
ldconfig -r "$root"
mknod -m 666 "$root/dev/null" c 1 3
