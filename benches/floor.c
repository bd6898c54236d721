/* The floor: a launch with nothing but its system calls, no C library, no options. It measures what the kernel charges.
 * cc -Os -static -nostdlib -ffreestanding -fno-stack-protector -o floor floor.c; with -DTARGET, a command that does nothing.
 * ./floor credentials|bounding|groups=COUNT|stay|user|maps=TEXT|inplace|all|net|loopback|init COMMAND [ARG]...
 */
#include <linux/sched.h>
#include <sys/syscall.h>

typedef unsigned long word;

static long call(long n, word a, word b, word c, word d, word e, word f)
{
    long answer;
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    register word r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(answer) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return answer;
}
#define CALL(n, a, b, c, d, e, ...) call(SYS_##n, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), 0)
#define DO(n, ...) CALL(n, __VA_ARGS__, 0, 0, 0, 0, 0)
#define exit(status) for (;;) DO(exit_group, status)

static void run(long *stack);

#ifdef TARGET
/* With an argument it tells that it runs, and stays until its standard input ends. */
static void run(long *stack)
{
    char byte = 0;
    if (*stack > 1) DO(write, 1, &byte, 1), DO(read, 0, &byte, 1);
    exit(0);
}
#else
static void must(long answer) { if (answer < 0) exit(125); }

static int is(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

/* What follows the name of an option, if it is that one. */
static const char *after(const char *a, const char *name)
{
    while (*name && *a == *name) a++, name++;
    return *name ? 0 : a;
}

static char *decimal(char *to, word number)
{
    char digits[20];
    int count = 0;
    do digits[count++] = '0' + number % 10; while (number /= 10);
    while (count) *to++ = digits[--count];
    return to;
}

static void put(int dir, const char *file, const char *text, word size)
{
    int fd = DO(openat, dir, file, 02 | 02000000);
    must(fd);
    if (DO(write, fd, text, size) != (long)size) exit(125);
    DO(close, fd);
}

static void set_groups(const char *text)
{
    static unsigned list[65536];
    unsigned count = 0;
    while (*text) count = count * 10 + *text++ - '0';
    for (unsigned i = 0; i < count; i++) list[i] = i + 1;
    must(DO(setgroups, count, list));
}

static void put_maps(const char *place, const char *text, word uid, word gid)
{
    char map[32] = "0 ", *end;
    word size = 0;
    int dir = DO(openat, -100, place, 010000000 | 0200000 | 02000000);
    must(dir);
    if (text) {
        while (text[size]) size++;
        put(dir, "uid_map", text, size);
        put(dir, "gid_map", text, size);
        return;
    }
    end = decimal(map + 2, uid), *end++ = ' ', *end++ = '1', *end++ = '\n';
    put(dir, "uid_map", map, end - map);
    put(dir, "setgroups", "deny", 4);
    end = decimal(map + 2, gid), *end++ = ' ', *end++ = '1', *end++ = '\n';
    put(dir, "gid_map", map, end - map);
}

static void empty_bounding_set(void) { for (int i = 0; DO(prctl, 24, i) == 0; i++) {} }

static void loopback_up(void)
{
    struct { char name[16]; short flags; char rest[22]; } request = { "lo", 0, "" };
    int fd = DO(socket, 1, 02000002, 0);
    must(DO(ioctl, fd, 0x8913, &request));
    request.flags |= 1;
    must(DO(ioctl, fd, 0x8914, &request));
    DO(close, fd);
}

static void become(word uid, word gid, char **argv, char **envp)
{
    must(DO(setresgid, gid, gid, gid));
    must(DO(setresuid, uid, uid, uid));
    must(DO(close_range, 3, ~0u, 0));
    DO(execve, argv[2], argv + 2, envp);
    exit(127);
}

static void run(long *stack)
{
    char **argv = (char **)(stack + 1), **envp = argv + *stack + 1;
    const char *how = argv[1], *groups = after(how, "groups="), *maps = after(how, "maps=");
    char path[32] = "/proc/", byte = 0;
    unsigned status[4];
    char info[128];
    int pidfd = -1, go[2], up = is(how, "loopback"), net = up || is(how, "net"), init = is(how, "init");
    word uid, gid, flags = CLONE_NEWUSER;

    if (is(how, "credentials") || is(how, "bounding") || groups) {
        if (is(how, "bounding")) empty_bounding_set();
        set_groups(groups ? groups : "");
        become(65534, 65534, argv, envp);
    }
    uid = DO(geteuid, 0), gid = DO(getegid, 0);
    if (is(how, "inplace")) {
        must(DO(unshare, CLONE_NEWUSER));
        put_maps("/proc/self", 0, uid, gid);
        become(0, 0, argv, envp);
    }
    if (is(how, "stay")) flags = 0;
    else if (!is(how, "user") && !maps)
        flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;
    if (net) flags |= CLONE_NEWNET;
    must(DO(pipe2, go, 02000000));
    struct clone_args args = { .flags = flags | CLONE_PIDFD, .pidfd = (word)&pidfd, .exit_signal = 17 };
    long pid = DO(clone3, &args, sizeof args);
    must(pid);
    if (pid == 0) {
        DO(close, go[1]);
        if (DO(read, go[0], &byte, 1) != 1) exit(125);
        if (init) {
            long command = DO(clone, 17, 0, 0, 0, 0);
            must(command);
            if (command) {
                must(DO(waitid, 1, command, info, 4));
                exit(((int *)info)[6]);
            }
        }
        if (up) loopback_up();
        if (flags & CLONE_NEWNS) {
            must(CALL(mount, 0, "/", 0, 0x44000, 0));
            must(CALL(mount, "proc", "/proc", "proc", 14, 0));
        }
        if (flags) become(0, 0, argv, envp);
        become(uid, gid, argv, envp);
    }
    DO(close, go[0]);
    *decimal(path + 6, pid) = 0;
    if (flags) put_maps(path, maps, uid, gid);
    DO(write, go[1], &byte, 1);
    must(CALL(waitid, 3, pidfd, status, 4, 0));
    (void)status;
    exit(0);
}
#endif

__attribute__((force_align_arg_pointer, used)) static void start(long *stack) { run(stack); }
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tcall start\n");
