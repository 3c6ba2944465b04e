// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package cluster

import "syscall"

// attributes returns how a component is started: out of reach of the terminal's Ctrl-C, which this program answers in order.
// This system can't tie the life of a child to its parent: after a kill -9, Load and Stop clean up.
func attributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true}
}
