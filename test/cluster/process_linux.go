// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import "syscall"

// attributes returns how a component is started: out of reach of the terminal's Ctrl-C, which this program answers in order,
// and, unless it is detached, killed by the kernel when its parent ends.
func attributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
