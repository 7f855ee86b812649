/*
 * confine.c - see confine.h. Plain system calls and a filter of classic BPF: no library is worth a page of code.
 */
#include "worker/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- Landlock ---- */

#define ABI_REFER 2
#define ABI_TRUNCATE 3
#define FS_TRUNCATE (1ULL << 14) /* headers older than the kernel do not name it */

static uint64_t handled(long abi)
{
    uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* the rights of the first ABI */
    if (abi >= ABI_REFER)
        all |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= ABI_TRUNCATE)
        all |= FS_TRUNCATE;
    return all;
}

static bool restrict_files(int staging)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return false;
    struct landlock_ruleset_attr attr = {.handled_access_fs = handled(abi)};
    struct landlock_path_beneath_attr rule = {
        .allowed_access = (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                           LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | FS_TRUNCATE) &
                          handled(abi),
        .parent_fd = staging};
    int set = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (set < 0)
        return false;
    bool ok = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 &&
              syscall(SYS_landlock_restrict_self, set, 0) == 0;
    close(set);
    return ok;
}

/* ---- seccomp ---- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef ARCH

#define NUMBER offsetof(struct seccomp_data, nr)
#define LOW_HALF(arg) (offsetof(struct seccomp_data, args) + 8 * (arg)) /* little-endian */
#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)
#define REFUSED (SECCOMP_RET_ERRNO | EPERM)
/* Every line of the filter stands alone: it matches or falls through, so lines may come and go without counting. */
#define REFUSE(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), ANSWER(REFUSED)
#define REFUSE_UNLESS(name, arg, value)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 4), LOAD(LOW_HALF(arg)),                                        \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 1, 0), ANSWER(REFUSED), ANSWER(SECCOMP_RET_ALLOW)

static bool filter_calls(void)
{
    uint32_t self = (uint32_t)getpid();
    struct sock_filter code[] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        ANSWER(SECCOMP_RET_KILL_PROCESS),
        LOAD(NUMBER),
#ifdef __x86_64__ /* the x32 numbers name the same calls once more */
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x40000000, 0, 1),
        ANSWER(REFUSED),
        REFUSE(fork),
        REFUSE(vfork),
#endif
        REFUSE(socket),
        REFUSE(socketpair),
        REFUSE(io_uring_setup), /* would open sockets and files past this filter */
        REFUSE(execve),
        REFUSE(execveat),
        REFUSE(ptrace),
        REFUSE(process_vm_readv),
        REFUSE(process_vm_writev),
        REFUSE(pidfd_open), /* and with it signals and descriptors of others */
        REFUSE(rt_sigqueueinfo),
        REFUSE(tkill),
        /* clone3 hides its flags in memory; told that there is none, glibc makes its threads with clone */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
        LOAD(LOW_HALF(0)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
        ANSWER(REFUSED),
        ANSWER(SECCOMP_RET_ALLOW),
        REFUSE_UNLESS(kill, 0, self),
        REFUSE_UNLESS(tgkill, 0, self),
        REFUSE_UNLESS(rt_tgsigqueueinfo, 0, self),
        REFUSE_UNLESS(prlimit64, 0, 0), /* 0 is the caller */
        ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
#else
static bool filter_calls(void)
{
    return false;
}
#endif

struct am_confined am_confine(int staging)
{
    struct am_confined c = {false, false};
    if (SANITIZED || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return c;
    c.landlock = restrict_files(staging);
    c.seccomp = filter_calls();
    return c;
}
