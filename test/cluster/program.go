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

// RunProgram starts the program at path, under a name that no running one has. It lives as long as the cluster's components would. Its
// output goes to LogFile, after that of earlier programs of the name.
func (c *Cluster) RunProgram(name, path string, args ...string) (*Program, error) {
	p, err := spawn(path, args, process{
		Name: name,
		Lock: filepath.Join(c.dir, "run", name+".lock"),
		Log:  filepath.Join(c.dir, "logs", name+".log"),
	}, c.state.Detached)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.state.Programs = append(slices.DeleteFunc(c.state.Programs, func(old process) bool { return old.Name == name }), p)
	return &Program{process: p}, c.save()
}

// Program returns the program that was last started under a name, by this program or an earlier one, whether or not it still runs.
func (c *Cluster) Program(name string) (*Program, bool) {
	for _, p := range c.state.Programs {
		if p.Name == name {
			return &Program{process: p}, true
		}
	}
	return nil, false
}

// ProgramDir makes and returns the directory for a program's files. It is gone after the cluster's Stop.
func (c *Cluster) ProgramDir(name string) (string, error) {
	dir := filepath.Join(c.dir, "programs", name)
	return dir, os.MkdirAll(dir, 0o700)
}

// Stop asks the program to stop, and kills it if it takes more than a second.
func (p *Program) Stop(ctx context.Context) error { return stopProcesses(ctx, p.process) }

// Kill ends the program by SIGKILL and waits until it is gone.
func (p *Program) Kill(ctx context.Context) error {
	if err := p.process.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return gone(ctx, killGrace, []process{p.process})
}

// Alive says whether the program still runs.
func (p *Program) Alive() bool { return p.process.alive() }

// PID is the program's process id. It is worth something only while the program is Alive.
func (p *Program) PID() int { return p.process.PID }

// LogFile is the path of the program's output.
func (p *Program) LogFile() string { return p.process.Log }

// LogTail is the end of the program's output.
func (p *Program) LogTail() string { return p.process.logTail() }
