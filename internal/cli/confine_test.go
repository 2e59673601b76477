//go:build linux

package cli_test

import (
	"os"
	"os/exec"
	"syscall"
)

// confine has a command see nothing but a folder, and run as nobody: as root can have it, or else in a user namespace.
func confine(cmd *exec.Cmd, root string) {
	const nobody = 65532 // as in the Dockerfile
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.Credential = nil // no other user is there to be; outside it is whoever runs the test
	}
}
