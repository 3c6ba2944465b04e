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
	// namespaces are those that a node has of its own.
	namespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC |
		syscall.CLONE_NEWCGROUP
	// offTimeout bounds the end of a node's processes, which have been killed.
	offTimeout = 20 * time.Second
	// pollInterval is the interval at which something that is waited for is looked at.
	pollInterval = 50 * time.Millisecond
)

// on runs the node until its first process ends, which nobody but the user or a mistake brings about.
func (m *machine) on(args []string) error {
	if err := m.joinGroups(); err != nil {
		return err
	}
	waits, connected, err := os.Pipe()
	if err != nil {
		return err
	}
	node := exec.Command("/proc/self/exe", append([]string{initCommand}, args...)...)
	node.Stdin, node.Stdout, node.Stderr = waits, os.Stdout, os.Stderr
	// The first process of a PID namespace takes all others with it.
	node.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the kernel kills the node when the thread that started it ends
	if err := node.Start(); err != nil {
		return err
	}
	if err := m.connect(node.Process.Pid); err != nil {
		return errors.Join(err, node.Process.Kill(), node.Wait())
	}
	if err := connected.Close(); err != nil { // the node goes on
		return err
	}
	return node.Wait()
}

// connect lays the cable between the bridge and the namespace of a process, and tells the host the way to the node's pods.
func (m *machine) connect(pid int) error {
	return errors.Join(
		ip("link", "add", m.name, "type", "veth", "peer", "name", cable, "netns", strconv.Itoa(pid)),
		ip("link", "set", m.name, "master", m.bridge, "up"),
		ip("route", "replace", m.pods.String(), "via", m.address.Addr().String()),
	)
}

// off removes what a node that was killed has left on the host.
func (m *machine) off() error {
	if err := m.removeGroups(); err != nil {
		return err
	}
	// The cable goes with the node's network namespace, but the kernel takes its time for that.
	if _, err := os.Stat("/sys/class/net/" + m.name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := ip("link", "delete", m.name); err != nil && !strings.Contains(err.Error(), "Cannot find device") {
		return err
	}
	return nil
}

// ip changes the network.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// until repeats a check until it finds nothing wrong, or the time is over.
func until(timeout time.Duration, check func() error) error {
	over := time.After(timeout)
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-over:
			return err
		case <-time.After(pollInterval):
		}
	}
}
