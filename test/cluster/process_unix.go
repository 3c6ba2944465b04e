// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package cluster

import "syscall"

// attributes returns the attributes with which a component starts. The terminal's Ctrl-C doesn't reach the component,
// so that this program can stop components in order. This system can't kill a child when its parent ends. After a kill
// -9 of the parent, Load and Stop clean up.
func attributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true}
}
