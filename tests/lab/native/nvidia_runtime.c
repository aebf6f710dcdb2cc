/* /usr/bin/nvidia-container-runtime: an ELF program, as NVIDIA's is, that becomes the lab's own.
 * COMMAND, given by the compiler's command line, is what it runs before its own arguments. */
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
    static char *command[] = {COMMAND};
    enum { OWN = sizeof command / sizeof *command, MOST = 500 };
    char *all[OWN + MOST + 1];
    int n = 0;
    while (n < OWN)
        all[n] = command[n], n++;
    for (int i = 1; i < count && i < MOST; i++)
        all[n++] = arguments[i];
    all[n] = NULL;
    execv(all[0], all);
    perror(all[0]);
    return 1;
}
