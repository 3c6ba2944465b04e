// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// The operator of a chaos run has a clock that a file shifts by seconds. No system call can shift the clock of a single
// process, so Go's overlay replaces time.Now in the build. As on a real machine, the monotonic clock goes on.
const (
	// clockFile is the file beside the configuration.
	clockFile = "clock"

	clockSource = "\tsec, nsec, mono := runtimeNow()\n"
	clockShift  = clockSource + "\tsec += shift.Load()\n"

	shiftSource = `package time

import "sync/atomic"

var shift atomic.Int64

func SetShift(seconds int64) { shift.Store(seconds) }
`
	readSource = `package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func init() {
	for _, arg := range os.Args {
		if config, found := strings.CutPrefix(arg, "--config="); found {
			go follow(filepath.Join(filepath.Dir(config), "` + clockFile + `"))
		}
	}
}

func follow(path string) {
	for {
		if data, err := os.ReadFile(path); err == nil {
			if seconds, err := strconv.ParseInt(string(data), 10, 64); err == nil {
				time.SetShift(seconds)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}
`
)

// buildWithClock compiles the operator with that clock, and returns the path of the binary.
func buildWithClock(ctx context.Context, root string) (string, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	std := filepath.Join(string(bytes.TrimSpace(goroot)), "src", "time")
	source, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		return "", err
	}
	if bytes.Count(source, []byte(clockSource)) != 1 {
		return "", errors.New("this version of Go reads the clock in another way: adapt the overlay of time.Now")
	}
	dir := filepath.Join(root, "bin", "chaos", "operator")
	overlay := map[string]string{}
	files := map[string][]byte{
		filepath.Join(std, "time.go"):   bytes.Replace(source, []byte(clockSource), []byte(clockShift), 1),
		filepath.Join(std, "shift.go"):  []byte(shiftSource),
		filepath.Join(root, "clock.go"): []byte(readSource),
	}
	errs := []error{os.MkdirAll(dir, 0o750)}
	for path, content := range files {
		overlay[path] = filepath.Join(dir, filepath.Base(path)+".overlay") // Not .go: bin is part of the module.
		errs = append(errs, os.WriteFile(overlay[path], content, 0o600))
	}
	replace, err := json.Marshal(map[string]any{"Replace": overlay})
	errs = append(errs, err, os.WriteFile(filepath.Join(dir, "overlay.json"), replace, 0o600))
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "manager")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator with another clock: %w\n%s", err, out)
	}
	return binary, nil
}

// shiftClock moves the clock of the elected replica, and moves it back at the end.
func shiftClock(by time.Duration) func(context.Context, *plane) error {
	return toLeader(func(ctx context.Context, r *replica) error {
		path := filepath.Join(filepath.Dir(r.operator.ConfigFile()), clockFile)
		if err := os.WriteFile(path, []byte(strconv.Itoa(int(by.Seconds()))), 0o600); err != nil {
			return err
		}
		pause(ctx, faultTime)
		return os.WriteFile(path, []byte("0"), 0o600)
	})
}
