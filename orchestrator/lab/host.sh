# The first process of a host of a rack, until sshd takes its place. In namespaces of its own, inside those of the rack.
# Environment: DISK its disk (mounted), KEYS the folder to copy to /etc/ssh/lab, NAME, ADDRESS with prefix length, BRING folders that
# it sees read-only though they lie where it has its own (one a line), SSHD the program, OWNER user:uid:gid:home without root.
set -e
root=$DISK/root
# a restart keeps the disk, but not what a machine forgets when it is switched off
rm -rf "$root/tmp" "$root/run" "$DISK/scratch"
mkdir -p "$root" "$DISK/up" "$DISK/scratch"
mount --bind "$root" "$root"
cd "$root"
mkdir -p dev proc sys tmp run root home mnt media boot "$DISK/vartmp" run/sshd
chmod 1777 tmp "$DISK/vartmp"
chmod 700 root
# what lies below belongs to somebody whom a user's namespace does not know: it can be covered, and not be changed
mkdir -p "$DISK/up/etc/ssh/lab"

# the machine's own folders, each with what this host changes above it
for folder in /*; do
    name=${folder#/}
    case $name in
    dev | proc | sys | tmp | run | root | home | mnt | media | boot | lost+found | *[!A-Za-z0-9._-]*) continue ;;
    esac
    if [ -L "$folder" ]; then
        [ -L "$name" ] || cp -P "$folder" "$name"
    elif [ -d "$folder" ]; then
        mkdir -p "$name" "$DISK/up/$name" "$DISK/scratch/$name"
        layers="lowerdir=$folder,upperdir=$DISK/up/$name,workdir=$DISK/scratch/$name"
        mount -t overlay -o "$layers${OWNER:+,userxattr}" root "$name" 2>/dev/null || {
            # something is mounted below it that a user may not uncover
            mount --rbind "$folder" "$name"
            mount -o remount,bind,ro "$name" 2>/dev/null || echo "$folder can be written to"
        }
    fi
done
mkdir -p var/tmp
mount --bind "$DISK/vartmp" var/tmp

mount --rbind /dev dev
mkdir -p dev/shm dev/pts
mount -t tmpfs -o size=1g,mode=1777 shm dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts 2>/dev/null ||
    mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys 2>/dev/null || mount --rbind /sys sys

echo "$BRING" | while read -r folder; do
    [ -n "$folder" ] || continue
    mkdir -p ".$folder"
    mount --rbind "$folder" ".$folder"
    mount -o remount,bind,ro ".$folder" 2>/dev/null || echo "$folder can be written to"
done

hostname "$NAME"
rm -f etc/hostname etc/hosts etc/ssh/lab/*
echo "$NAME" >etc/hostname
cp "$KEYS"/* etc/ssh/lab/
cp etc/ssh/lab/hosts etc/hosts
chmod 600 etc/ssh/lab/host_key
if [ -n "$OWNER" ]; then
    IFS=: read -r user uid gid home <<WHO
$OWNER
WHO
    grep -v "^$user:" /etc/passwd >etc/passwd.lab || true
    echo "$user:x:$uid:$gid::$home:/bin/sh" >>etc/passwd.lab
    mv -f etc/passwd.lab etc/passwd
    # the machine's own says of some users that they may not log in
    rm -f etc/shadow
    echo "$user:*:::::::" >etc/shadow
    mkdir -p ".$home"
fi

mkdir -p .outside
pivot_root . .outside
cd /
umount -l /.outside
rmdir /.outside

tries=0
until ip link set eth0 up 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 500 ] || { echo "there is no network card"; exit 1; }
    sleep 0.02
done
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
ip link set lo up
ip addr add "$ADDRESS" dev eth0
exec ${OWNER:+unshare --user --map-user="$uid" --map-group="$gid"} "$SSHD" -D -e -f /etc/ssh/lab/sshd_config
