/* The first process of a pod's sandbox: sleeps, reaps what is orphaned, leaves when told to. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_signal(int number) {
    if (number != SIGCHLD) _exit(0);
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    while (1) pause();
}
