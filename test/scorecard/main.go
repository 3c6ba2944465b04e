// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command scorecard runs the built-in tests of the Operator SDK's scorecard on a bundle. It needs no cluster, unlike
// `operator-sdk scorecard`. It runs the tests that the bundle's own configuration names, with the program of the
// scorecard's image.
//
//	scorecard -bundle bundle -binary bin/scorecard-test
//
// That program reads /bundle. It runs in a root directory of its own with a copy of the bundle. That needs user
// namespaces if the caller isn't root.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"sigs.k8s.io/yaml"
)

// program is the name of the test program, in its root directory and in the configuration.
const program = "scorecard-test"

func main() {
	bundle := flag.String("bundle", "bundle", "directory of the bundle")
	binary := flag.String("binary", filepath.Join("bin", program), "the statically linked test program")
	flag.Parse()
	if err := run(*bundle, *binary); err != nil {
		fmt.Fprintf(os.Stderr, "scorecard: %v\n", err)
		os.Exit(1)
	}
}

// run runs all tests and returns the errors of those that failed.
func run(bundle, binary string) (err error) {
	tests, err := testsOf(filepath.Join(bundle, "tests", "scorecard", "config.yaml"))
	if err != nil {
		return err
	}
	root, err := os.MkdirTemp("", "scorecard-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := prepare(root, bundle, binary); err != nil {
		return err
	}
	var failures []error
	for _, test := range tests {
		if err := runTest(root, test); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", test, err))
			continue
		}
		fmt.Printf("%-26s pass\n", test)
	}
	return errors.Join(failures...)
}

// testsOf reads the names of the built-in tests from a scorecard configuration.
func testsOf(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var configuration struct {
		Stages []struct {
			Tests []struct{ Entrypoint []string }
		}
	}
	if err := yaml.Unmarshal(data, &configuration); err != nil {
		return nil, err
	}
	var names []string
	for _, stage := range configuration.Stages {
		for _, test := range stage.Tests {
			if len(test.Entrypoint) == 2 && test.Entrypoint[0] == program {
				names = append(names, test.Entrypoint[1])
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no test has the entrypoint %s", file, program)
	}
	return names, nil
}

// prepare fills the root directory of the test program.
func prepare(root, bundle, binary string) error {
	if err := os.CopyFS(filepath.Join(root, "bundle"), os.DirFS(bundle)); err != nil {
		return err
	}
	// The program writes temporary files.
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o700); err != nil {
		return err
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, program), data, 0o700)
}

// status is the output of the test program.
type status struct {
	Results []struct {
		State  string
		Errors []string
	}
}

// runTest runs one test. The program always exits with 0, and prints the result. runTest ignores suggestions: they ask
// for a status in the examples, but users don't write the status.
func runTest(root, test string) error {
	command := exec.Command("/"+program, test)
	command.Dir = "/"
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Geteuid() != 0 {
		command.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	output, err := command.Output()
	if err != nil {
		return err
	}
	var found status
	if err := json.Unmarshal(output, &found); err != nil {
		return fmt.Errorf("%w in %s", err, output)
	}
	if len(found.Results) == 0 {
		return errors.New("no result")
	}
	for _, result := range found.Results {
		if result.State != "pass" || len(result.Errors) > 0 {
			return fmt.Errorf("%s: %q", result.State, result.Errors)
		}
	}
	return nil
}
