// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// stopGrace is how long processes that were asked to stop may take. The API server would like more, to let its clients
	// go, but whatever it still has to do is thrown away anyway.
	stopGrace = time.Second
	// killGrace bounds the wait for processes that were killed.
	killGrace = 10 * time.Second
	// stopPoll is the interval at which stopping processes are looked at.
	stopPoll = 20 * time.Millisecond
	// tailSize is how many bytes from the end of a log an error quotes.
	tailSize = 2000
)

// process is one component that was started, by this program or by an earlier one. While it runs it holds a lock on a file.
// Unlike its process id, which may belong to somebody else by now, the lock tells anybody at any time whether it is alive.
type process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	// Lock and Log are paths: the file the process holds a lock on, and its output.
	Lock string `json:"lock"`
	Log  string `json:"log"`
}

// spawn starts the program of a component. A process that isn't detached is killed when this program ends, however it ends,
// on systems that offer that.
func spawn(program string, args []string, p process, detached bool) (process, error) {
	lock, err := acquireLock(p.Lock)
	if err != nil {
		return process{}, err
	}
	defer closeQuietly(lock)
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return process{}, err
	}
	defer closeQuietly(log)

	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = attributes(detached)
	if err := startAndReap(cmd); err != nil {
		return process{}, err
	}
	p.PID = cmd.Process.Pid
	return p, nil
}

// startAndReap starts a command and collects it when it has ended. Both happen on one thread that exists as long as the
// command: Linux kills a child when the thread that started it ends, not only when the whole parent does.
func startAndReap(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	return <-started
}

// alive says whether the process still runs.
func (p process) alive() bool {
	return locked(p.Lock)
}

// signal sends a signal to the process if it still runs.
func (p process) signal(s syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to %s: %w", s, p.Name, err)
	}
	return nil
}

// stopProcesses asks the processes to stop, in this order, and kills those that haven't within stopGrace or until the
// context is done. It returns when all are gone.
func stopProcesses(ctx context.Context, processes ...process) error {
	if err := signalAll(processes, syscall.SIGTERM); err != nil {
		return err
	}
	if gone(ctx, stopGrace, processes) == nil {
		return nil
	}
	if err := signalAll(processes, syscall.SIGKILL); err != nil {
		return err
	}
	return gone(context.WithoutCancel(ctx), killGrace, processes)
}

// signalAll sends a signal to each of the processes.
func signalAll(processes []process, s syscall.Signal) error {
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.signal(s))
	}
	return errors.Join(errs...)
}

// gone waits until none of the processes is alive; the error names one that is after the timeout.
func gone(ctx context.Context, timeout time.Duration, processes []process) error {
	for _, p := range processes {
		err := wait.PollUntilContextTimeout(ctx, stopPoll, timeout, true, func(context.Context) (bool, error) {
			return !p.alive(), nil
		})
		if err != nil {
			return fmt.Errorf("%s, process %d, doesn't stop: %w", p.Name, p.PID, err)
		}
	}
	return nil
}

// logTail returns the end of the process's output.
func (p process) logTail() string {
	data, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(data[max(0, len(data)-tailSize):]))
}

// errLocked is the error of acquireLock for a file that somebody holds.
var errLocked = errors.New("is locked")

// acquireLock opens the file at path, makes it if need be, and takes the lock on it. The lock is free again when every copy of
// the open file is closed, the copies of child processes included.
func acquireLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		closeQuietly(file)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s %w", path, errLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

// locked says whether somebody holds the lock on the file at path. A file that can't be opened is taken for locked unless it
// doesn't exist: better to wait for a process than to overlook it.
func locked(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer closeQuietly(file)
	return syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// closeQuietly closes a file that holds nothing worth an error.
func closeQuietly(file *os.File) {
	_ = file.Close()
}
