//go:build linux

package cli_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// TestWhateverHoldsAProcessUp: it leaves. Here it reads a script from a pipe that nobody writes to, and has not come to serving.
func TestWhateverHoldsAProcessUp(t *testing.T) {
	t.Parallel()
	path, err := binary()
	require.NoError(t, err)
	pipe := filepath.Join(t.TempDir(), "feed.sse")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-addr", "127.0.0.1:0", "-script", "GET /feed="+pipe)
	require.NoError(t, cmd.Start())
	release := context.AfterFunc(ctx, func() { // a pipe that no process has open would hold the test up
		if r, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			_ = r.Close()
		}
	})
	defer release()
	other, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the process has it open to read
	require.NoError(t, err)
	defer func() { _ = other.Close() }()
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, cmd.Wait(), "the exit code is 0")
}
