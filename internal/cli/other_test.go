//go:build !linux

package cli_test

import "os/exec"

// confine does nothing: containers are Linux's.
func confine(cmd *exec.Cmd, root string) { cmd.Path = root + cmd.Path }
