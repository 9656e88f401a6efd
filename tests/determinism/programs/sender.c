// SPDX-License-Identifier: MIT
// sender ADDRESS PORT FILE: one datagram with the bytes of FILE.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    char data[1024];
    if (argc != 4) return 2;
    FILE *f = fopen(argv[3], "rb");
    if (!f) return perror(argv[3]), 1;
    size_t size = fread(data, 1, sizeof data, f);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return sendto(fd, data, size, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)size ? 0 : 1;
}
