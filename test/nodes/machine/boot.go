// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// cable is the node's end of the network.
	cable = "eth0"
	// logs is the directory of the daemons' output, on the node.
	logs = "/var/log"
	// runtimeSocket is the socket of containerd.
	runtimeSocket = "/run/containerd/containerd.sock"
	// runtimeTimeout limits the start of containerd.
	runtimeTimeout = 30 * time.Second
	// restartDelay is the time between the end of a daemon and its restart.
	restartDelay = time.Second
)

// environment is the environment of all daemons.
var environment = []string{
	"PATH=" + programs + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/var", "TMPDIR=/tmp",
}

// daemon is a program that runs all the time.
type daemon struct {
	name string
	args []string
}

// log returns the file with the daemon's output.
func (d daemon) log() string { return filepath.Join(logs, d.name+".log") }

// boot runs the node as its first process. It returns only on an error.
func (m *machine) boot() error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // Wait for the cable.
		return err
	}
	if err := m.enterRoot(); err != nil {
		return err
	}
	if err := m.configure(); err != nil {
		return err
	}
	running := map[int]daemon{}
	containerd := daemon{"containerd", []string{"--config=/etc/containerd/config.toml"}}
	if err := start(containerd, running); err != nil {
		return err
	}
	if err := until(runtimeTimeout, func() error { return dial(runtimeSocket) }); err != nil {
		return fmt.Errorf("wait for containerd: %w", err)
	}
	for _, d := range []daemon{
		{"kubelet", []string{
			"--config=/etc/kubernetes/kubelet.yaml",
			"--kubeconfig=/etc/kubernetes/kubelet.kubeconfig",
			"--node-ip=" + m.address.Addr().String(),
		}},
		{"kube-proxy", []string{"--config=/etc/kubernetes/kube-proxy.yaml"}},
	} {
		if err := start(d, running); err != nil {
			return err
		}
	}
	return supervise(running)
}

// configure sets the node's name, network and limits.
func (m *machine) configure() error {
	if err := syscall.Sethostname([]byte(m.name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	err := errors.Join(
		ip("link", "set", "lo", "up"),
		ip("address", "add", m.address.String(), "dev", cable),
		ip("link", "set", cable, "up"),
	)
	for _, route := range m.routes {
		err = errors.Join(err, ip(append([]string{"route", "add"}, strings.Fields(route)...)...))
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600); err != nil {
		return err
	}
	// Services need the filtering of bridged packets between pods of one node, if the kernel has it.
	err = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o600)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	files.Cur = files.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
}

// start starts a daemon and adds its process to running.
func start(d daemon, running map[int]daemon) error {
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	process, err := os.StartProcess(filepath.Join(programs, d.name), append([]string{d.name}, d.args...), &os.ProcAttr{
		Env:   environment,
		Files: []*os.File{os.Stdin, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	running[process.Pid] = d
	return process.Release()
}

// dial returns an error unless a process listens on the socket.
func dial(socket string) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	return connection.Close()
}

// lastLine returns the last line of a file.
func lastLine(file string) []byte {
	data, err := os.ReadFile(file)
	if err != nil {
		return []byte(err.Error())
	}
	data = bytes.TrimSpace(data)
	return data[bytes.LastIndexByte(data, '\n')+1:]
}

// supervise does the work of a first process: it reaps orphaned processes, and restarts daemons that end.
func supervise(running map[int]daemon) error {
	for {
		pid, err := syscall.Wait4(-1, nil, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		} else if err != nil {
			return err
		}
		d, ok := running[pid]
		if !ok {
			continue
		}
		delete(running, pid)
		fmt.Printf("%s has ended and restarts; the last line of its log:\n%s\n", d.name, lastLine(d.log()))
		<-time.After(restartDelay)
		if err := start(d, running); err != nil {
			return err
		}
	}
}
