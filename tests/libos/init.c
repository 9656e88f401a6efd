/* SPDX-License-Identifier: MIT */
/* The smallest init there is: it leaves a word in its root folder and switches the machine off. */

#include <fcntl.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
	struct utsname name;
	int file = open("/said", O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (file < 0 || uname(&name) || write(file, name.release, strlen(name.release)) < 0)
		return 1;
	close(file);
	sync();
	return reboot(RB_POWER_OFF);
}
