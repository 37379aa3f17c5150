// The first process of a guest: does the orders that lie in its initramfs, tells on the console how each ended, and switches the
// machine off.
//
//   /orders    one order a line: arguments, a tab between two of them; the first is the program's path
//
// On the console, beside what the programs say, on lines of their own:
//   ::guest ready
//   ::guest begin N            N from 0
//   ::guest end N STATUS       exit status; 128 + signal; 126: it could not be started
//   ::guest over
// A guest whose console ends without `over` has died.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_BYTES = 8192, ARGUMENTS = 128 };

static void mount_one(const char *type, const char *at) {
    mkdir(at, 0755);
    if (mount(type, at, type, 0, NULL) != 0 && errno != EBUSY) {
        printf("::guest cannot mount %s: %s\n", at, strerror(errno));
    }
}

static void open_console(void) {
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; console >= 0 && fd < 3; fd++) {
        dup2(console, fd);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static int status_of(pid_t child) {
    for (;;) {
        int how = 0;
        pid_t ended = wait(&how); // orphans, too, are ours
        if (ended == child) {
            return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
        }
        if (ended < 0 && errno != EINTR) {
            return 126;
        }
    }
}

static int do_order(char *line) {
    char *arguments[ARGUMENTS + 1] = {NULL}, *rest = NULL;
    int count = 0;
    for (char *at = strtok_r(line, "\t\n", &rest); at != NULL && count < ARGUMENTS; at = strtok_r(NULL, "\t\n", &rest)) {
        arguments[count++] = at;
    }
    if (count == 0) {
        return 126;
    }
    pid_t child = fork();
    if (child == 0) {
        execv(arguments[0], arguments);
        printf("::guest cannot start %s: %s\n", arguments[0], strerror(errno));
        _exit(126);
    }
    return child < 0 ? 126 : status_of(child);
}

int main(void) {
    mkdir("/dev", 0755);
    mount_one("devtmpfs", "/dev");
    open_console();
    mount_one("proc", "/proc");
    mount_one("sysfs", "/sys");
    mount_one("tmpfs", "/tmp");
    puts("::guest ready");
    FILE *orders = fopen("/orders", "re");
    char line[LINE_BYTES];
    for (int number = 0; orders != NULL && fgets(line, sizeof line, orders) != NULL; number++) {
        printf("::guest begin %d\n", number);
        int status = do_order(line);
        printf("\n::guest end %d %d\n", number, status);
    }
    puts("::guest over");
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
    return 1; // not the first process after all
}
