# The first process of a rack: namespaces in which a bridge and the hosts of one lab live, and nothing of it outside.
# Environment: LAB its folder, HOSTS their names, DISK size of a host's disk in bytes, ADDRESS of the controller.
# It says "ready" on standard output and stays once "go" came on standard input; where whoever made it ends before that,
# it ends, and the kernel takes everything away with it.
set -e
mount --make-rprivate /
mount -t proc proc /proc
mkdir -p "$LAB/mnt"
mount -t tmpfs -o size=1m,mode=700 lab "$LAB/mnt"
for host in $HOSTS; do
    mkdir "$LAB/mnt/$host"
    mount -t tmpfs -o "size=$DISK,mode=755" disk "$LAB/mnt/$host"
done
hostname rack
# an address is answered for on the interface that has it, and on no other (see wire.py)
echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
for room in 1 2 3; do echo 16384 >/proc/sys/net/ipv4/neigh/default/gc_thresh$room 2>/dev/null || true; done
ip -batch - <<COMMANDS
link set lo up
link add br0 type bridge forward_delay 0 mcast_snooping 0
addr add $ADDRESS dev br0
link set br0 up
COMMANDS
echo ready
read -r word
[ "$word" = go ]
# what loses its parent in here is handed to this process, and need not be waited for
trap '' CHLD
exec sleep infinity >/dev/null
