// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Program is a program that runs beside the cluster's own, such as an operator. The cluster's Stop stops it first.
type Program struct {
	process process
}

// RunProgram starts the program at path. No running program may have the same name. Like the cluster's components, a
// program that isn't Detached ends with this process. RunProgram appends the program's output to LogFile, after the
// output of earlier programs of that name.
func (c *Cluster) RunProgram(name, path string, args ...string) (*Program, error) {
	p, err := spawn(path, args, process{
		Name: name,
		Lock: filepath.Join(c.dir, "run", name+".lock"),
		Log:  filepath.Join(c.dir, "logs", name+".log"),
	}, c.state.Detached)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.state.Programs = append(slices.DeleteFunc(c.state.Programs, p.sameName), p)
	return &Program{process: p}, c.save()
}

// Program returns the last program that this process or an earlier one started under a name. It may have ended.
func (c *Cluster) Program(name string) (*Program, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, p := range c.state.Programs {
		if p.Name == name {
			return &Program{process: p}, true
		}
	}
	return nil, false
}

// ProgramDir makes and returns the directory for a program's files. The cluster's Stop removes it.
func (c *Cluster) ProgramDir(name string) (string, error) {
	dir := filepath.Join(c.dir, "programs", name)
	return dir, os.MkdirAll(dir, 0o700)
}

// Stop asks the program to stop, and kills it if it takes more than a second.
func (p *Program) Stop(ctx context.Context) error { return stopProcesses(ctx, p.process) }

// Kill ends the program by SIGKILL and waits for its end.
func (p *Program) Kill(ctx context.Context) error {
	if err := p.process.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return untilEnded(ctx, killGrace, []process{p.process})
}

// Signal sends a signal to the program, such as SIGSTOP and SIGCONT.
func (p *Program) Signal(signal syscall.Signal) error { return p.process.signal(signal) }

// Alive reports whether the program still runs.
func (p *Program) Alive() bool { return p.process.alive() }

// PID returns the program's process ID. The ID is meaningful only while the program is Alive.
func (p *Program) PID() int { return p.process.PID }

// LogFile returns the path of the program's output.
func (p *Program) LogFile() string { return p.process.Log }

// LogTail returns the end of the program's output.
func (p *Program) LogTail() string { return p.process.logTail() }
