#!/bin/sh
# The first process of a guest that is a host, until sshd takes its place: see guests.py, and userland.py for what there is.
export PATH=/usr/sbin:/usr/bin
mkdir -p /proc /sys /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup || echo "no control groups"
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
mkdir -p /dev/pts /dev/shm /run/sshd /var/tmp /tmp /home
chmod 1777 /tmp /var/tmp
chmod 700 /root
mount -t devpts -o mode=620,gid=5 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
for module in /modules/*; do insmod "$module"; done
hostname "$(cat /etc/hostname)"
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
chmod 600 /etc/ssh/lab/host_key
echo "::guest ready"
exec /usr/sbin/sshd -D -e -f /etc/ssh/lab/sshd_config
