"""Attempts to get out of a worker's sandbox, each a function that a tenant could have written.

Runs as the worker itself: as a module of the harness folder named worker, exec'ed or forked from the
zygote. serve(3) reads one JSON object with the facts of the machine outside and the name of one
attempt, makes it, and answers "escaped: …" or "refused: …". A worker that is killed for it has been
refused too. An attempt returns what it got, or None, or raises.

    python3 attempts.py --list      the names, one a line
    python3 attempts.py --table     docs/escape-attempts.md
"""

import array
import ctypes
import errno
import fcntl
import glob
import json
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
ATTEMPTS = {}

# x86_64, aarch64
CALLS = {
    "add_key": (248, 217), "bpf": (321, 280), "capset": (126, 91), "clone": (56, 220),
    "clone3": (435, 435), "execve": (59, 221), "execveat": (322, 281), "fanotify_init": (300, 262),
    "finit_module": (313, 273), "fsopen": (430, 430), "init_module": (175, 105),
    "io_uring_setup": (425, 425), "ioperm": (173, None), "iopl": (172, None), "kcmp": (312, 272),
    "kexec_load": (246, 104), "keyctl": (250, 219), "landlock_create_ruleset": (444, 444),
    "mbind": (237, 235), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "migrate_pages": (256, 238), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "mq_open": (240, 180), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "perf_event_open": (298, 241),
    "personality": (135, 92), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pivot_root": (155, 41), "prctl": (157, 167),
    "prlimit64": (302, 261), "process_madvise": (440, 440), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "reboot": (169, 142), "request_key": (249, 218), "rt_sigqueueinfo": (129, 138),
    "seccomp": (317, 277), "semget": (64, 190), "setdomainname": (171, 162), "setns": (308, 268),
    "settimeofday": (164, 170), "shmget": (29, 194), "swapon": (167, 224), "syslog": (103, 116),
    "tkill": (200, 130), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
    "vfork": (58, None), "fork": (57, None), "vmsplice": (278, 75), "msgget": (68, 186),
    "clock_settime": (227, 112), "acct": (163, 89), "chroot": (161, 51), "mknodat": (259, 33),
}
COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine())


def call(name, *arguments):
    """A plain system call; raises OSError."""
    number = CALLS[name][COLUMN]
    if number is None:
        raise OSError(errno.ENOSYS, "not on this processor")
    words = [ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def attempt(tries, refused_by, harmless=False):
    """`harmless`: also made outside any sandbox, where it must succeed, so that it proves something."""

    def keep(function):
        ATTEMPTS[function.__name__] = (function, tries, refused_by, harmless)
        return function

    return keep


def read(path):
    with open(path, "rb") as file:
        return file.read(200) or None


# --- files ---------------------------------------------------------------------------------------


@attempt("read a file of the server's by its path", "own root", harmless=True)
def read_secret_file(host):
    return read(host["secret_file"])


@attempt("read /etc/shadow", "own root", harmless=True)
def read_shadow(host):
    return read("/etc/shadow")


@attempt("list /root and /home", "own root", harmless=True)
def list_homes(host):
    return os.listdir("/root") + os.listdir("/home")


@attempt("climb above the root with ..", "own root", harmless=True)
def climb(host):
    return read("/".join([".."] * 40) + host["secret_file"])


@attempt("reach the outside through /proc/self/root", "own root", harmless=True)
def proc_root(host):
    return read("/proc/self/root" + host["secret_file"])


@attempt("reach the outside through /proc/self/cwd and ..", "own root", harmless=True)
def proc_cwd(host):
    return read("/proc/self/cwd/../../../.." + host["secret_file"])


@attempt("follow a symbolic link in /tmp to the outside", "own root", harmless=True)
def symlink_out(host):
    link = "/tmp/link-%d" % os.getpid()
    os.symlink(host["secret_file"], link)
    try:
        return read(link)
    finally:
        os.unlink(link)


@attempt("make a hard link to a program of /usr in /tmp", "separate mounts, Landlock")
def hardlink_out(host):
    os.link(os.path.realpath("/usr/bin/python3"), "/tmp/python")
    return "linked"


@attempt("rename a file out of /tmp", "read-only root, Landlock")
def rename_out(host):
    open("/tmp/mine", "w").close()
    os.rename("/tmp/mine", "/usr/mine")
    return "renamed"


@attempt("exchange /tmp with another directory", "mounts, Landlock")
def rename_exchange(host):
    if libc.renameat2(-100, b"/tmp", -100, b"/etc", 2) == 0:
        return "exchanged"


@attempt("write into /usr", "read-only mounts, Landlock, own uid")
def write_usr(host):
    open("/usr/lib/seam-was-here", "w").close()
    return "written"


@attempt("write into the harness", "read-only mounts, Landlock")
def write_harness(host):
    open("/harness/worker.py", "a").close()
    return "opened for writing"


@attempt("write into the root and /etc", "read-only root")
def write_root(host):
    for path in ("/new", "/etc/passwd", "/etc/ld.so.preload"):
        try:
            open(path, "a").close()
            return path
        except OSError:
            pass


@attempt("make a setuid program in /tmp and keep the bit", "nosuid, no_new_privs, own uid")
def setuid_file(host):
    open("/tmp/suid", "w").close()
    os.chmod("/tmp/suid", 0o4755)
    if os.statvfs("/tmp").f_flag & os.ST_NOSUID == 0:
        return "honoured"


@attempt("open a file by its handle", "seccomp")
def file_handle(host):
    handle = struct.pack("II", 8, 1) + struct.pack("II", 2, 0) + bytes(120)
    return "opened %d" % call("open_by_handle_at", -100, ctypes.create_string_buffer(handle), 0)


@attempt("fill the disk past the size of /tmp", "size of the tmpfs, RLIMIT_FSIZE")
def fill_tmp(host):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    total = 0
    for index in range(4):
        with open("/tmp/big-%d" % index, "wb", buffering=0) as file:
            while total <= host["disk_bytes_max"]:
                total += file.write(bytes(1 << 20))
    return "%d bytes" % total


@attempt("use up inodes of /tmp", "nr_inodes of the tmpfs")
def fill_inodes(host):
    for index in range(100000):
        open("/tmp/i-%d" % index, "w").close()
    return "100000 files"


# --- devices and the kernel's files --------------------------------------------------------------


@attempt("open the disk, memory and terminal devices", "minimal /dev")
def open_devices(host):
    for path in ("/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/fuse", "/dev/tty", "/dev/kvm",
                 "/dev/ptmx", "/dev/loop0", "/dev/net/tun"):
        try:
            os.close(os.open(path, os.O_RDWR))
            return path
        except OSError:
            pass


@attempt("make a device with mknod", "seccomp, no capabilities, nodev")
def mknod(host):
    os.mknod("/tmp/mem", 0o020666, os.makedev(1, 1))
    return "made"


@attempt("look at /sys", "own root", harmless=True)
def look_at_sys(host):
    return os.listdir("/sys/kernel")


@attempt("read the machine's /proc files", "proc with subset=pid", harmless=True)
def read_proc_files(host):
    return read("/proc/cmdline") or read("/proc/mounts")


@attempt("write core_pattern", "proc with subset=pid, own uid")
def core_pattern(host):
    open("/proc/sys/kernel/core_pattern", "w").close()
    return "opened"


@attempt("trigger sysrq", "proc with subset=pid, own uid")
def sysrq(host):
    open("/proc/sysrq-trigger", "w").close()
    return "opened"


@attempt("raise its limits by the cgroup's files", "own root")
def cgroup_write(host):
    for top, folders, files in os.walk("/sys/fs/cgroup"):
        return top


@attempt("mount a cgroup hierarchy", "seccomp, no capabilities")
def cgroup_mount(host):
    os.mkdir("/tmp/cg")
    call("mount", b"none", b"/tmp/cg", b"cgroup2", 0, None)
    return "mounted"


@attempt("change its oom_score_adj to be spared", "RLIMIT and capabilities: it can only be raised")
def oom_score(host):
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    return "spared"


@attempt("rewrite its uid map", "no capabilities, Landlock")
def uid_map(host):
    with open("/proc/self/uid_map", "w") as file:
        file.write("0 0 1")
    return "mapped"


@attempt("write the memory of itself by /proc/self/mem to a read-only mapping", "Landlock: /proc is read-only")
def proc_mem(host):
    with open("/proc/self/mem", "r+b", buffering=0) as file:
        return "opened %d" % file.fileno()


# --- other processes -----------------------------------------------------------------------------


@attempt("see processes of others in /proc", "pid namespace, hidepid", harmless=True)
def see_processes(host):
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    return others or None


@attempt("read the server's environment", "pid namespace, own uid", harmless=True)
def server_environment(host):
    return read("/proc/%d/environ" % host["server_pid"])


@attempt("find the server's environment in its own", "environment of the spec only")
def own_environment(host):
    everything = read("/proc/self/environ") or b""
    everything += b"".join(key + value for key, value in os.environb.items())
    return "found" if host["secret_start"].encode() in everything else None


@attempt("find a secret of the server's memory in its own", "exec; the spawner and zygotes know none")
def own_memory(host):
    # The secret is never whole here: its end comes masked and is compared byte by byte.
    start = host["secret_start"].encode()
    end = bytes.fromhex(host["secret_end_masked"])
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps.readlines():
            first, last = (int(x, 16) for x in line.split()[0].split("-"))
            if "r" not in line.split()[1] or first >= 1 << 47:
                continue
            try:
                memory.seek(first)
                bytes_there = memory.read(min(last - first, 64 << 20))
            except OSError:
                continue
            place = bytes_there.find(start)
            while place >= 0:
                after = bytes_there[place + len(start):place + len(start) + len(end)]
                if len(after) == len(end) and all(x ^ 0x55 == y for x, y in zip(after, end)):
                    return line
                place = bytes_there.find(start, place + 1)
    return None


@attempt("signal the server", "pid namespace, seccomp", harmless=True)
def signal_server(host):
    os.kill(host["server_pid"], 0)
    return "there"


@attempt("signal everyone", "seccomp")
def signal_everyone(host):
    os.kill(-1, 0)
    return "sent"


@attempt("signal another worker with tgkill's elder, tkill", "pid namespace, seccomp", harmless=True)
def tkill_victim(host):
    call("tkill", host["victim_pid"], 0)
    return "there"


@attempt("queue a signal to another worker", "seccomp, pid namespace")
def queue_signal(host):
    information = ctypes.create_string_buffer(struct.pack("iii", 34, 0, -1) + bytes(116))
    call("rt_sigqueueinfo", host["victim_pid"], 34, information)
    return "queued"


@attempt("trace the server or another worker", "seccomp, pid namespace, own uid", harmless=True)
def ptrace(host):
    call("ptrace", 0x4206, host["victim_pid"], 0, 0)  # PTRACE_SEIZE
    return "attached"


@attempt("be traced", "seccomp")
def ptrace_me(host):
    call("ptrace", 0, 0, 0, 0)
    return "traced"


@attempt("read another process's memory", "seccomp, pid namespace")
def read_memory(host):
    buffer = ctypes.create_string_buffer(8)
    part = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(buffer), 8))
    call("process_vm_readv", os.getpid(), part, 1, part, 1, 0)
    return "read"


@attempt("write another process's memory", "seccomp, pid namespace")
def write_memory(host):
    buffer = ctypes.create_string_buffer(8)
    part = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(buffer), 8))
    call("process_vm_writev", os.getpid(), part, 1, part, 1, 0)
    return "written"


@attempt("open a pidfd of the server", "seccomp, pid namespace", harmless=True)
def pidfd_open(host):
    return "pidfd %d" % call("pidfd_open", host["server_pid"], 0)


@attempt("take a descriptor out of a process", "seccomp")
def pidfd_getfd(host):
    pidfd = call("pidfd_open", os.getpid(), 0)
    return "descriptor %d" % call("pidfd_getfd", pidfd, 1, 0)


@attempt("signal by pidfd", "seccomp", harmless=True)
def pidfd_signal(host):
    pidfd = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)
    call("pidfd_send_signal", pidfd, 0, 0, 0)
    return "sent"


@attempt("advise on another's memory", "seccomp")
def process_madvise(host):
    call("process_madvise", call("pidfd_open", os.getpid(), 0), 0, 0, 0, 0)
    return "advised"


@attempt("compare kernel objects of two processes", "seccomp")
def kcmp(host):
    call("kcmp", os.getpid(), os.getpid(), 1, 0, 0)
    return "compared"


@attempt("survive the spawner: clear PDEATHSIG", "seccomp")
def clear_death_signal(host):
    call("prctl", 1, 0, 0, 0, 0)
    return "cleared"


@attempt("change the limits of another process", "seccomp, own uid")
def limits_of_others(host):
    call("prlimit64", host["victim_pid"], 7, ctypes.create_string_buffer(struct.pack("QQ", 1, 1)), None)
    return "changed"


# --- descriptors left over -----------------------------------------------------------------------


@attempt("use descriptors left open by the spawner or the zygote", "close_range")
def left_descriptors(host):
    mine = os.open("/dev/null", os.O_RDONLY)
    left = []
    for fd in range(4, 1024):
        try:
            os.fstat(fd)
        except OSError:
            continue
        if fd != mine:
            left.append(fd)
    return left or None


@attempt("connect its own socket elsewhere", "seccomp")
def reconnect(host):
    own = socket.socket(fileno=os.dup(3))
    own.connect("\0" + host["abstract_name"])
    return "connected"


# --- programs and processes ----------------------------------------------------------------------


@attempt("run a program with execve", "seccomp: execve passes once, by three random addresses", harmless=True)
def execve(host):
    os.execv("/usr/bin/true", ["true"])


@attempt("run a program with execveat and an empty path", "seccomp", harmless=True)
def execveat(host):
    fd = os.open("/usr/bin/true", os.O_RDONLY)
    call("execveat", fd, b"", (ctypes.c_char_p * 2)(b"true", None), None, 0x1000)


@attempt("run a program out of memory (memfd)", "seccomp", harmless=True)
def memfd_exec(host):
    fd = call("memfd_create", b"program", 0)
    os.write(fd, open("/usr/bin/true", "rb").read())
    program = os.open("/proc/self/fd/%d" % fd, os.O_RDONLY)
    os.close(fd)  # a file open for writing is busy
    os.execv("/proc/self/fd/%d" % program, ["true"])


@attempt("run a program written to /tmp", "noexec, Landlock, seccomp", harmless=True)
def tmp_exec(host):
    path = "/tmp/program-%d" % os.getpid()
    with open(path, "wb") as file:
        file.write(open("/usr/bin/true", "rb").read())
    os.chmod(path, 0o755)
    os.execv(path, ["program"])


@attempt("run a program by the dynamic loader", "seccomp", harmless=True)
def loader_exec(host):
    loader = (glob.glob("/lib64/ld-linux-*") + glob.glob("/lib/ld-linux-*"))[0]
    os.execv(loader, ["ld", "/usr/bin/true"])


@attempt("run a program from a second thread", "seccomp holds for all threads")
def thread_exec(host):
    result = []

    def run():
        try:
            os.execv("/usr/bin/true", ["true"])
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if result:
        raise result[0]


@attempt("guess the addresses that execve passes with, 100,000 times", "129 random bits")
def guess_exec(host):
    import random

    for _ in range(100000):
        where = random.getrandbits(46) & ~7
        libc.syscall(CALLS["execve"][COLUMN], ctypes.c_void_p(where), ctypes.c_void_p(where),
                     ctypes.c_void_p(where))
        if ctypes.get_errno() != errno.EPERM:
            return "answered %d" % ctypes.get_errno()


@attempt("start a shell with posix_spawn", "seccomp", harmless=True)
def posix_spawn(host):
    return "pid %d" % os.posix_spawn("/usr/bin/true", ["true"], {})


@attempt("map a library written to /tmp as code", "noexec")
def tmp_library(host):
    with open("/tmp/lib.so", "wb") as file:
        file.write(bytes(4096))
    with open("/tmp/lib.so", "rb") as file:
        mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
    return "mapped"


@attempt("fork", "seccomp", harmless=True)
def fork(host):
    if (pid := os.fork()) == 0:
        os._exit(0)
    return "pid %d" % pid


@attempt("vfork", "seccomp")
def vfork(host):
    pid = call("fork") if COLUMN == 1 else call("vfork")
    if pid == 0:
        os._exit(0)
    return "pid %d" % pid


@attempt("clone a process that shares no thread group", "seccomp")
def clone(host):
    pid = call("clone", 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return "pid %d" % pid


@attempt("clone into new namespaces", "seccomp")
def clone_namespaces(host):
    pid = call("clone", 0x10000000 | 0x20000 | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return "pid %d" % pid


@attempt("clone3, whose flags seccomp cannot see", "seccomp: ENOSYS")
def clone3(host):
    pid = call("clone3", ctypes.create_string_buffer(struct.pack("Q" * 11, *([0] * 4 + [17] + [0] * 6))), 88)
    if pid == 0:
        os._exit(0)
    return "pid %d" % pid


@attempt("start threads without end", "cgroup pids, RLIMIT_NPROC")
def thread_bomb(host):
    stop = threading.Event()
    threading.stack_size(65536)
    try:
        for count in range(2000):
            threading.Thread(target=stop.wait, daemon=True).start()
        return "%d threads" % count
    finally:
        stop.set()


@attempt("call the kernel by the 32-bit door", "seccomp: ends the process")
def compat_call(host):
    if COLUMN != 0:
        return None
    code = bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3])  # mov eax, getpid; int 0x80; ret
    memory = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
                       mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return "answered %d" % ctypes.CFUNCTYPE(ctypes.c_int)(place)()


@attempt("call the kernel by the x32 door", "seccomp: ends the process")
def x32_call(host):
    if COLUMN != 0:
        return None
    result = libc.syscall(0x40000000 + 39)
    return "answered %d" % result if result >= 0 else None


# --- privileges ----------------------------------------------------------------------------------


@attempt("become root", "no capabilities, seccomp")
def setuid(host):
    os.setuid(0)
    return "root" if os.getuid() == 0 else None


@attempt("take another group", "no capabilities, seccomp")
def setgid(host):
    os.setgroups([0])
    return "groups"


@attempt("give itself capabilities", "seccomp, empty bounding set")
def capset(host):
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))
    call("capset", header, ctypes.create_string_buffer(struct.pack("I" * 6, *([0xFFFFFFFF] * 6))))
    return "capable"


@attempt("hold a capability at all", "all dropped")
def any_capability(host):
    for line in open("/proc/self/status"):
        if line.startswith(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")) and int(line.split()[1], 16):
            return line


@attempt("run without no_new_privs or filters", "set by the launcher")
def status_flags(host):
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    if status["NoNewPrivs"].strip() != "1" or status["Seccomp"].strip() != "2":
        return status["NoNewPrivs"] + status["Seccomp"]


@attempt("raise its limits", "seccomp, hard limits")
def raise_limits(host):
    for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC,
                  resource.RLIMIT_CORE, resource.RLIMIT_DATA, resource.RLIMIT_MEMLOCK):
        try:
            resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return which
        except (OSError, ValueError):
            pass


@attempt("open descriptors without end", "RLIMIT_NOFILE")
def descriptor_bomb(host):
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(5000)]
    return "%d files" % len(files)


@attempt("lock memory", "RLIMIT_MEMLOCK 0, seccomp")
def lock_memory(host):
    memory = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if libc.mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory))), 1 << 20) == 0:
        return "locked"


@attempt("leave a core dump", "RLIMIT_CORE 0")
def core_limit(host):
    return "allowed" if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0 else None


@attempt("replace its filters", "seccomp")
def replace_filters(host):
    call("seccomp", 1, 0, ctypes.create_string_buffer(16))
    return "added"


@attempt("change its personality", "seccomp", harmless=True)
def personality(host):
    call("personality", 0x0040000)
    return "changed"


# --- namespaces and mounts -----------------------------------------------------------------------


@attempt("make a user namespace", "seccomp")
def unshare_user(host):
    call("unshare", 0x10000000)
    return "made"


@attempt("make a mount namespace", "seccomp, no capabilities")
def unshare_mount(host):
    call("unshare", 0x20000)
    return "made"


@attempt("join the server's namespaces", "seccomp, pid namespace")
def setns(host):
    fd = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    call("setns", fd, 0)
    return "joined"


@attempt("chroot", "seccomp, no capabilities")
def chroot(host):
    os.chroot("/tmp")
    return "changed"


@attempt("pivot_root", "seccomp, no capabilities")
def pivot_root(host):
    call("pivot_root", b"/tmp", b"/tmp")
    return "changed"


@attempt("mount a tmpfs", "seccomp, no capabilities")
def mount_tmpfs(host):
    call("mount", b"none", b"/tmp", b"tmpfs", 0, None)
    return "mounted"


@attempt("remount /usr writable", "seccomp, no capabilities")
def remount_usr(host):
    call("mount", None, b"/usr", None, 32 | 4096, None)
    return "remounted"


@attempt("unmount /tmp or /proc to see below", "seccomp, no capabilities")
def unmount(host):
    call("umount2", b"/proc", 2)
    return "unmounted"


@attempt("use the new mount calls", "seccomp, no capabilities")
def new_mount_calls(host):
    for name, arguments in (("fsopen", (b"tmpfs", 0)), ("open_tree", (-100, b"/usr", 1)),
                            ("mount_setattr", (-100, b"/usr", 0, 0, 0)),
                            ("move_mount", (-100, b"/tmp", -100, b"/usr", 0))):
        try:
            call(name, *arguments)
            return name
        except OSError:
            pass


@attempt("change the host's name", "uts namespace, seccomp")
def set_host_name(host):
    call("setdomainname", b"mine", 4)
    return "changed"


@attempt("learn the host's name", "uts namespace")
def host_name(host):
    return socket.gethostname() if socket.gethostname() == host["host_name"] else None


# --- network and messages ------------------------------------------------------------------------


def family(number, kind=socket.SOCK_STREAM):
    return lambda host: "socket %d" % socket.socket(number, kind).fileno()


for name, number, kind, may_run in (
        ("inet", socket.AF_INET, socket.SOCK_STREAM, True),
        ("inet_datagram", socket.AF_INET, socket.SOCK_DGRAM, True),
        ("inet6", socket.AF_INET6, socket.SOCK_STREAM, False),
        ("unix", socket.AF_UNIX, socket.SOCK_STREAM, True),
        ("netlink", socket.AF_NETLINK, socket.SOCK_RAW, True),
        ("packet", socket.AF_PACKET, socket.SOCK_RAW, False),
        ("vsock", 40, socket.SOCK_STREAM, False),
        ("alg", 38, socket.SOCK_SEQPACKET, False),
        ("bluetooth", 31, socket.SOCK_RAW, False),
        ("can", 29, socket.SOCK_RAW, False),
        ("tipc", 30, socket.SOCK_STREAM, False),
        ("xdp", 44, socket.SOCK_RAW, False)):
    made = family(number, kind)
    made.__name__ = "socket_" + name
    attempt("make a socket of family %s" % name, "seccomp", harmless=may_run)(made)


@attempt("connect to the server over loopback", "network namespace, seccomp", harmless=True)
def connect_loopback(host):
    socket.create_connection(("127.0.0.1", host["tcp_port"]), 2).close()
    return "connected"


@attempt("connect to an abstract socket of the machine", "network namespace, Landlock, seccomp", harmless=True)
def connect_abstract(host):
    own = socket.socket(socket.AF_UNIX)
    own.connect("\0" + host["abstract_name"])
    return "connected"


@attempt("make a pair of internet sockets", "seccomp")
def inet_pair(host):
    pair = (ctypes.c_int * 2)()
    if libc.socketpair(socket.AF_INET, socket.SOCK_STREAM, 0, pair) == 0:
        return "made"


@attempt("see network interfaces", "network namespace, seccomp", harmless=True)
def interfaces(host):
    return [name for _, name in socket.if_nameindex()]


@attempt("use System V shared memory", "seccomp, ipc namespace", harmless=True)
def sysv_shared_memory(host):
    return "segment %d" % call("shmget", host["shm_key"], 64, 0)


@attempt("use System V semaphores and queues", "seccomp, ipc namespace")
def sysv_queues(host):
    for name, arguments in (("semget", (77, 1, 0o1600)), ("msgget", (77, 0o1600))):
        try:
            return name + " %d" % call(name, *arguments)
        except OSError:
            pass


@attempt("open a POSIX message queue", "seccomp, RLIMIT_MSGQUEUE 0")
def posix_queue(host):
    return "queue %d" % call("mq_open", b"seam", 0o102, 0o600, None)


@attempt("use /dev/shm", "minimal /dev", harmless=True)
def dev_shm(host):
    path = "/dev/shm/seam-%d" % os.getpid()
    open(path, "w").close()
    os.unlink(path)
    return "written"


# --- memory that nobody counts -------------------------------------------------------------------


@attempt("use more memory than it may", "cgroup memory, or RLIMIT_DATA")
def memory_bomb(host):
    held = []
    while len(held) < host["memory_bytes_max"] * 2 >> 20:
        held.append(bytearray(b"x") * (1 << 20))
    return "%d MiB" % len(held)


@attempt("use more memory by shared anonymous mappings", "cgroup memory, or seccomp")
def shared_memory_bomb(host):
    held = []
    while len(held) < host["memory_bytes_max"] * 2 >> 24:
        held.append(mmap.mmap(-1, 1 << 24, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
        held[-1].write(b"x" * (1 << 24))
    return "%d MiB" % (len(held) * 16)


@attempt("use more memory by shared mappings of /dev/zero", "cgroup memory, or no /dev/zero")
def zero_memory_bomb(host):
    zero = os.open("/dev/zero", os.O_RDWR)
    held = []
    while len(held) < host["memory_bytes_max"] * 2 >> 24:
        held.append(mmap.mmap(zero, 1 << 24, mmap.MAP_SHARED))
        held[-1].write(b"x" * (1 << 24))
    return "%d MiB" % (len(held) * 16)


@attempt("use memory of a memfd", "seccomp", harmless=True)
def memfd(host):
    return "descriptor %d" % call("memfd_create", b"memory", 0)


@attempt("use secret memory", "seccomp")
def memfd_secret(host):
    return "descriptor %d" % call("memfd_secret", 0)


# --- the kernel's wider surface ------------------------------------------------------------------


@attempt("set up io_uring", "seccomp")
def io_uring(host):
    return "ring %d" % call("io_uring_setup", 8, ctypes.create_string_buffer(120))


@attempt("load a BPF program", "seccomp")
def bpf(host):
    attributes = ctypes.create_string_buffer(struct.pack("IIII", 2, 4, 4, 1) + bytes(112))
    return "map %d" % call("bpf", 0, attributes, 128)


@attempt("handle page faults in user space", "seccomp")
def userfaultfd(host):
    return "descriptor %d" % call("userfaultfd", 1)


@attempt("measure with perf", "seccomp")
def perf(host):
    attributes = ctypes.create_string_buffer(struct.pack("IIQ", 1, 112, 1) + bytes(96))
    return "event %d" % call("perf_event_open", attributes, 0, -1, -1, 0)


@attempt("add and search kernel keys", "seccomp")
def keys(host):
    return "key %d" % call("add_key", b"user", b"seam", b"x", 1, -3)


@attempt("read the session keyring", "seccomp")
def keyring(host):
    return "keyring %d" % call("keyctl", 0, -3, 1)


@attempt("request a key", "seccomp")
def request_key(host):
    return "key %d" % call("request_key", b"user", b"seam", None, -3)


@attempt("load a kernel module", "seccomp, no capabilities")
def kernel_module(host):
    call("init_module", ctypes.create_string_buffer(64), 64, b"")
    return "loaded"


@attempt("load another kernel", "seccomp, no capabilities")
def kexec(host):
    call("kexec_load", 0, 0, 0, 0)
    return "loaded"


@attempt("read the kernel's log", "seccomp")
def kernel_log(host):
    return "%d bytes" % call("syslog", 10, 0, 0)


@attempt("set the clock", "seccomp, no capabilities")
def set_clock(host):
    call("clock_settime", 0, ctypes.create_string_buffer(struct.pack("qq", 1, 0)))
    return "set"


@attempt("use the processor's ports", "seccomp, no capabilities")
def ports(host):
    call("iopl", 3)
    return "allowed"


@attempt("watch files of the machine with fanotify", "seccomp")
def fanotify(host):
    return "descriptor %d" % call("fanotify_init", 0, 0)


@attempt("restart the machine, swap, quota, accounting", "seccomp, no capabilities")
def administration(host):
    for name, arguments in (("swapon", (b"/tmp/none", 0)), ("quotactl", (0, 0, 0, 0)), ("acct", (b"/tmp/none",))):
        try:
            call(name, *arguments)
            return name
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOSYS):
                return name + " reached the kernel"


@attempt("move memory between nodes", "seccomp")
def migrate(host):
    call("migrate_pages", 0, 0, 0, 0)
    return "moved"


@attempt("splice its memory into a pipe", "seccomp", harmless=True)
def vmsplice(host):
    reader, writer = os.pipe()
    data = ctypes.create_string_buffer(8)
    part = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(data), 8))
    return "%d bytes" % call("vmsplice", writer, part, 1, 0)


@attempt("type into the terminal with TIOCSTI", "seccomp, no terminal")
def terminal_input(host):
    for fd in (0, 1, 2):
        for request in (0x5412, 0x15412, 0x541C, 0x540E):
            if libc.ioctl(fd, ctypes.c_ulong(request | (1 << 32)), b"x") == 0:
                return "request %x" % request


@attempt("change the flags of a file by ioctl", "seccomp, Landlock")
def file_flags(host):
    fd = os.open("/tmp", os.O_RDONLY)
    fcntl.ioctl(fd, 0x80086601, array.array("L", [0]))
    return "read"


@attempt("have a controlling terminal or the server's session", "setsid")
def session(host):
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
        return "terminal"
    except OSError:
        pass
    return "session" if os.getsid(0) == host["session"] else None


# --- as a worker ---------------------------------------------------------------------------------


def make(host):
    function = ATTEMPTS[host["attempt"]][0]
    try:
        got = function(host)
    except (OSError, MemoryError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        return "refused: %s" % error
    return "refused" if got is None else "escaped: %s" % (got,)


def serve(fd):
    channel = socket.socket(fileno=fd)
    host = json.loads(channel.recv(65536))
    channel.sendall(make(host).encode(errors="replace"))


def table():
    print("# Attempts to get out of a worker\n")
    print("Made by `tests/escape/attempts.py`, which `process_test` runs in workers that were exec'ed and in workers")
    print("forked from a zygote, as root and as an ordinary user. All must be refused. Those marked * are also made")
    print("without isolation, where they must succeed. This file is written by `attempts.py --table`.\n")
    print("| attempt | tries to | refused by |\n|---|---|---|")
    for name, (_, tries, refused_by, harmless) in ATTEMPTS.items():
        print("| `%s`%s | %s | %s |" % (name, "\\*" if harmless else "", tries, refused_by))


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(ATTEMPTS))
    elif sys.argv[1:] == ["--list-harmless"]:
        print("\n".join(name for name, entry in ATTEMPTS.items() if entry[3]))
    else:
        table()
