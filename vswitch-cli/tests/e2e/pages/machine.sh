# Mounts of a page's machine, below a folder of the test; writes the id of its first process to `ready`.
set -e
read -r pid _ </proc/self/stat
folder=$1/over
mkdir "$folder" "$1/home"
mount -t tmpfs tmpfs "$folder"
for lower in etc opt usr var/lib; do
  mkdir -p "$folder/$lower/upper" "$folder/$lower/work"
  mount -t overlay overlay -o "lowerdir=/$lower,upperdir=$folder/$lower/upper,workdir=$folder/$lower/work" "/$lower"
done
mount -t tmpfs tmpfs /run
mkdir /run/netns /run/lock
for store in docker containerd containers lxc machines vswitch; do
  mkdir -p "/var/lib/$store"
  mount -t tmpfs tmpfs "/var/lib/$store"
done
mount -t proc proc /proc
# A control group of its own for systemd-nspawn, which names those below it.
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  [ -e $hierarchy/cgroup.procs ] || continue
  mkdir "$hierarchy/vswt-$pid"
  echo 0 >"$hierarchy/vswt-$pid/cgroup.procs"
done
echo "$pid" >"$1/ready.new"
mv "$1/ready.new" "$1/ready"
# The first process adopts orphans, and bash collects them while it waits.
read -r _
