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
	// stopGrace is how long processes may take to stop after SIGTERM. The API server would wait longer for its clients,
	// but nobody needs what it still does.
	stopGrace = time.Second
	// killGrace limits the wait for processes after SIGKILL.
	killGrace = 10 * time.Second
	// stopPoll is the interval of checks whether processes have stopped.
	stopPoll = 20 * time.Millisecond
	// tailSize is how many bytes from the end of a log an error quotes.
	tailSize = 2000
)

// process is a component that this program or an earlier one started. While it runs, it holds a lock on a file, which
// shows that it is alive. Its process ID doesn't show that, because another process may get the same ID later.
type process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	// Lock is the path of the file that the process holds a lock on. Log is the path of its output.
	Lock string `json:"lock"`
	Log  string `json:"log"`
}

// spawn starts the program of a component. On Linux, the kernel kills a process that isn't detached when this program
// ends for any reason.
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

// startAndReap starts a command and reaps it when it has ended. Both happen on one thread that exists until the command
// ends. Linux kills a child when the thread that started it ends, not only when the whole parent does.
func startAndReap(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // The command's log has the reason of its end.
		}
	}()
	return <-started
}

// sameName reports whether an earlier process has the same name.
func (p process) sameName(earlier process) bool { return earlier.Name == p.Name }

// alive reports whether the process still runs.
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

// stopProcesses sends SIGTERM to the processes in this order. It kills the processes that still run after stopGrace, or
// when the context is done. It returns when all have ended.
func stopProcesses(ctx context.Context, processes ...process) error {
	if err := signalAll(processes, syscall.SIGTERM); err != nil {
		return err
	}
	if untilEnded(ctx, stopGrace, processes) == nil {
		return nil
	}
	if err := signalAll(processes, syscall.SIGKILL); err != nil {
		return err
	}
	return untilEnded(context.WithoutCancel(ctx), killGrace, processes)
}

// signalAll sends a signal to each of the processes.
func signalAll(processes []process, s syscall.Signal) error {
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.signal(s))
	}
	return errors.Join(errs...)
}

// untilEnded waits until none of the processes is alive. After the timeout, the error names one that still is.
func untilEnded(ctx context.Context, timeout time.Duration, processes []process) error {
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

// errLocked is the error of acquireLock for a file whose lock is taken.
var errLocked = errors.New("is locked")

// acquireLock opens the file at path and takes the lock on it. It creates a missing file. The lock is released when
// every copy of the open file is closed, including the copies in child processes.
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

// locked reports whether a process holds the lock on the file at path. It treats a file that it can't open as locked,
// unless the file doesn't exist: waiting for no process is better than missing one.
func locked(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer closeQuietly(file)
	return syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// closeQuietly closes a file and ignores the error. It is for files whose content doesn't matter.
func closeQuietly(file *os.File) {
	_ = file.Close()
}
