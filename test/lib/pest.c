/*
 * pest.c
 *		What a process of this machine may do to the socket over which
 *		descriptors are handed out, or to the limits that it lives by.
 *
 *	pest ask PATH			one client that asks for nothing sensible; what it gets
 *	pest silent PATH N		N clients that say nothing
 *	pest half PATH N		N that send the beginning of a request
 *	pest rubbish PATH N		N that send random bytes, of random number
 *	pest descriptors PATH N	N that send descriptors of their own
 *	pest churn PATH N		connects and goes away, N times
 *	pest inflight N			N descriptors are on their way, to nobody
 *
 * A line on standard output says that it is done and what came of it; it then
 * stays, with all that it has open, until its standard input ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_MAGIC	"wahn"	/* whatever it is, the rest is missing */

static int
client(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int			fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *) &addr, sizeof(addr)) == 0)
		return fd;
	if (fd >= 0)
	{
		int			why = errno;

		close(fd);
		errno = why;
	}
	return -1;
}

static void
send_descriptors(int fd, int n)
{
	union
	{
		struct cmsghdr header;
		char		space[CMSG_SPACE(sizeof(int) * 64)];
	}			control = {0};
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
	.msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int			fds[64];

	for (int i = 0; i < n; i++)
		fds[i] = STDERR_FILENO;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		perror("sendmsg");
}

static void
ask(const char *path)
{
	int			fd = client(path);
	char		bytes[256];
	ssize_t		n;

	if (fd < 0)
	{
		printf("no connection: %s\n", strerror(errno));
		return;
	}
	memset(bytes, 'x', sizeof(bytes));
	(void) !send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
	n = recv(fd, bytes, sizeof(bytes), 0);
	if (n < 0 && errno == ECONNRESET)
		n = 0;
	printf("%zd bytes as the answer\n", n);
}

static void
bother(const char *mode, const char *path, int n)
{
	int			connected = 0;

	for (int i = 0; i < n; i++)
	{
		int			fd = client(path);
		char		bytes[200];

		if (fd < 0)
			continue;
		connected++;
		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (char) random();
		if (strcmp(mode, "half") == 0)
			(void) !send(fd, REQUEST_MAGIC, strlen(REQUEST_MAGIC), MSG_NOSIGNAL);
		else if (strcmp(mode, "rubbish") == 0)
			(void) !send(fd, bytes, 1 + random() % sizeof(bytes), MSG_NOSIGNAL);
		else if (strcmp(mode, "descriptors") == 0)
			send_descriptors(fd, 32);
		else if (strcmp(mode, "churn") == 0)
			close(fd);
	}
	printf("%d of %d connected\n", connected, n);
}

static void
inflight(int n)
{
	for (int i = 0; i < n; i += 32)
	{
		int			ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
			break;
		send_descriptors(ends[0], 32);
	}
	printf("%d are on their way\n", n);
}

int
main(int argc, char **argv)
{
	struct rlimit limit;
	char		byte;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (argc == 3 && strcmp(argv[1], "ask") == 0)
		ask(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "inflight") == 0)
		inflight(atoi(argv[2]));
	else if (argc == 4)
		bother(argv[1], argv[2], atoi(argv[3]));
	else
		return 2;
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
