// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// initCommand is the command of this program on the node.
	initCommand = "init"
	// namespaces are the kinds of namespaces that a node doesn't share.
	namespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET |
		syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP
	// offTimeout limits the wait for the end of a node's killed processes.
	offTimeout = 20 * time.Second
	// pollInterval is the interval of checks while until waits.
	pollInterval = 50 * time.Millisecond
)

// on runs the node until its first process ends, by a kill or an error.
func (m *machine) on(args []string) error {
	if err := m.joinGroups(); err != nil {
		return err
	}
	stdin, connected, err := os.Pipe()
	if err != nil {
		return err
	}
	node := exec.Command("/proc/self/exe", append([]string{initCommand}, args...)...)
	node.Stdin, node.Stdout, node.Stderr = stdin, os.Stdout, os.Stderr
	// When the first process of a PID namespace ends, the kernel kills all others in it.
	node.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // The kernel kills the node when the thread that started it ends.
	if err := node.Start(); err != nil {
		return err
	}
	if err := m.connect(node.Process.Pid); err != nil {
		return errors.Join(err, node.Process.Kill(), node.Wait())
	}
	if err := connected.Close(); err != nil { // The end of its input lets the node continue.
		return err
	}
	return node.Wait()
}

// connect makes the virtual cable between the bridge and the namespace of a process, and adds the host's route to the
// node's pods.
func (m *machine) connect(pid int) error {
	return errors.Join(
		ip("link", "add", m.name, "type", "veth", "peer", "name", cable, "netns", strconv.Itoa(pid)),
		ip("link", "set", m.name, "master", m.bridge, "up"),
		ip("route", "replace", m.pods.String(), "via", m.address.Addr().String()),
	)
}

// off removes everything that a killed node has left on the host.
func (m *machine) off() error {
	if err := m.removeGroups(); err != nil {
		return err
	}
	// The kernel removes the cable together with the node's network namespace, but with delay.
	if _, err := os.Stat("/sys/class/net/" + m.name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := ip("link", "delete", m.name); err != nil && !strings.Contains(err.Error(), "Cannot find device") {
		return err
	}
	return nil
}

// ip runs the command ip.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// until repeats a check until it returns no error, or until the timeout.
func until(timeout time.Duration, check func() error) error {
	expired := time.After(timeout)
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-expired:
			return err
		case <-time.After(pollInterval):
		}
	}
}
