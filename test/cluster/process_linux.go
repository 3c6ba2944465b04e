// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import "syscall"

// attributes returns the attributes with which a component starts. The terminal's Ctrl-C doesn't reach the component,
// so that this program can stop components in order. The kernel kills a component that isn't detached when its parent
// ends.
func attributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
